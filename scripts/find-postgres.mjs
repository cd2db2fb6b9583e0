import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
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
