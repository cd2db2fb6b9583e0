// Installs the servers that the tests start, where they are missing. Does nothing where nothing is missing.
import { spawnSync } from 'node:child_process';
import { findPgBouncer } from './find-pgbouncer.mjs';
import { databaseUrl, findPostgres } from './find-postgres.mjs';
import { findRedisServer } from './find-redis.mjs';
import { installSet, SET_NAMES } from './more.mjs';

const works = (command, args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;
const run = (command, args) => spawnSync(command, args, { stdio: 'inherit' }).status === 0;

function isDatabaseGiven() {
  try {
    return databaseUrl() !== undefined;
  } catch (error) {
    console.error(`setup: ${error.message}`);
    return false;
  }
}

const SERVERS = [
  {
    what: 'Redis',
    find: findRedisServer,
    apt: 'redis-server',
    brew: 'redis',
    byHand:
      'Install redis-server (6.2 or later) or valkey-server (7.2 or later) with your package manager, so that it is on PATH, ' +
      'for example "sudo apt-get install redis-server" or "brew install redis".',
  },
  {
    what: 'PostgreSQL',
    find: () => findPostgres() ?? (isDatabaseGiven() ? 'DATABASE_URL' : undefined),
    apt: 'postgresql',
    brew: 'postgresql@17',
    byHand:
      'Install PostgreSQL (12 or later) with your package manager, for example "sudo apt-get install postgresql" or ' +
      '"brew install postgresql@17", or set DATABASE_URL to one that may be given a database of the tests\' own.',
  },
  {
    what: 'curl',
    find: () => (works('curl', ['--version']) ? 'curl' : undefined),
    apt: 'curl',
    brew: 'curl',
    byHand: 'Install curl with your package manager: the session of the example shop is run with it.',
  },
];

/** What only `npm run test:more` needs: `npm run setup -- all`. */
const MORE = [
  {
    what: 'PgBouncer',
    find: findPgBouncer,
    apt: 'pgbouncer',
    brew: 'pgbouncer',
    byHand: 'Install PgBouncer (1.21 or later is best) with your package manager, so that it is on PATH.',
  },
];
const isAll = process.argv.includes('all');
const wanted = isAll ? [...SERVERS, ...MORE] : SERVERS;

let isUpdated = false;
function installWithApt(name) {
  if (!works('apt-get', ['--version'])) return false;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && !works('sudo', ['-n', 'true'])) return false;
  const apt = (...args) => (isRoot ? run('apt-get', args) : run('sudo', ['-n', 'apt-get', ...args]));
  isUpdated ||= apt('update');
  return isUpdated && apt('install', '-y', '--no-install-recommends', name);
}

const installWithBrew = (name) => works('brew', ['--version']) && run('brew', ['install', name]);

for (const { what, find, apt, brew, byHand } of wanted) {
  if (find()) {
    console.log(`setup: ${what} is here (${find()}), nothing to do`);
  } else if ((installWithApt(apt) || installWithBrew(brew)) && find()) {
    console.log(`setup: installed ${what} (${find()})`);
  } else {
    console.error(`setup: could not install ${what} by itself. ${byHand}`);
    process.exitCode = 1;
  }
}

for (const name of isAll ? SET_NAMES : []) {
  if (installSet(name)) {
    console.log(`setup: installed the npm packages "${name}" in .more/${name}`);
  } else {
    console.error(`setup: npm could not install the packages "${name}": is its registry within reach?`);
    process.exitCode = 1;
  }
}
