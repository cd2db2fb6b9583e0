/** The folder with `initdb` and `postgres`, or undefined. */
export function findPostgres(): string | undefined;
/** DATABASE_URL, or undefined where it is not set. Fails where it is no address of a server. */
export function databaseUrl(given?: string): string | undefined;
/** Why nothing answers at DATABASE_URL, in a sentence; undefined where it is not set, or something does. */
export function whyNoDatabase(given?: string): Promise<string | undefined>;
