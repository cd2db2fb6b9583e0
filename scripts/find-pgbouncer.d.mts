/** The path of pgbouncer, or undefined. */
export function findPgBouncer(): string | undefined;
