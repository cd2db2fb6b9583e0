import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';

const DEBIAN = '/usr/lib/postgresql';
const BREW = ['/opt/homebrew/opt', '/usr/local/opt', '/home/linuxbrew/.linuxbrew/opt'];

/** The folder with `initdb` and `postgres`: on PATH, or the newest that a package manager put elsewhere; or undefined. */
export function findPostgres() {
  const onPath = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const packaged = [
    ...newest(DEBIAN, /^\d+$/).map((version) => join(DEBIAN, version, 'bin')),
    ...BREW.flatMap((root) => newest(root, /^postgresql(@\d+)?$/).map((name) => join(root, name, 'bin'))),
  ];
  return [...onPath, ...packaged].find(
    (folder) => existsSync(join(folder, 'initdb')) && works(join(folder, 'postgres')),
  );
}

/**
 * DATABASE_URL, or undefined where it is not set. What is no address of a server counts for none: it fails with a sentence,
 * which leaves the value out, since it may hold a password.
 */
export function databaseUrl(given = process.env.DATABASE_URL) {
  if (!given) return undefined;
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (/^postgres(ql)?:$/.test(url?.protocol ?? '') && url.hostname !== '') return given;
  throw new Error(
    'DATABASE_URL is no address of a PostgreSQL server: give postgres://user@host:port/database, or unset it',
  );
}

/** Why nothing answers at DATABASE_URL, in a sentence; undefined where it is not set, or something does. */
export async function whyNoDatabase(given = process.env.DATABASE_URL) {
  try {
    if (!databaseUrl(given)) return undefined;
  } catch (error) {
    return error.message;
  }
  const { hostname, port } = new URL(given);
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 5432) });
  const fault = await new Promise((resolve) => {
    socket.setTimeout(5_000, () => resolve('it takes longer than 5 s'));
    socket
      .once('connect', () => resolve(undefined))
      .once('error', ({ code, message }) => resolve(code ?? message));
  });
  socket.destroy();
  return (
    fault &&
    `no PostgreSQL answers at DATABASE_URL, ${hostname}:${port || 5432} (${fault}): start it, or unset the variable`
  );
}

function newest(folder, pattern) {
  const version = (name) => Number(/\d+/.exec(name)?.[0] ?? 0);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.filter((name) => pattern.test(name)).sort((a, b) => version(b) - version(a));
}

function works(binary) {
  try {
    execFileSync(binary, ['--version'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}
