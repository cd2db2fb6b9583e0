/** The first Redis-compatible server binary on PATH, or undefined. */
export function findRedisServer(): string | undefined;
