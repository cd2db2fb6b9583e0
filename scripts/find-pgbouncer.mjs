import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of pgbouncer, or undefined. Debian puts it where only root looks. */
export function findPgBouncer() {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/opt/homebrew/bin'];
  return folders.map((folder) => join(folder, 'pgbouncer')).find((path) => existsSync(path));
}
