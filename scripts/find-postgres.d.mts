/** The folder with `initdb` and `postgres`, or undefined. */
export function findPostgres(): string | undefined;
