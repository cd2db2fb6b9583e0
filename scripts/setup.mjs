// Installs the servers that the tests start, where they are missing. Does nothing where nothing is missing.
import { spawnSync } from 'node:child_process';
import { findRedisServer } from './find-redis.mjs';

const works = (command, args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;
const run = (command, args) => spawnSync(command, args, { stdio: 'inherit' }).status === 0;

function installWithApt() {
  if (!works('apt-get', ['--version'])) return false;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && !works('sudo', ['-n', 'true'])) return false;
  const apt = (...args) => (isRoot ? run('apt-get', args) : run('sudo', ['-n', 'apt-get', ...args]));
  return apt('update') && apt('install', '-y', '--no-install-recommends', 'redis-server');
}

const installWithBrew = () => works('brew', ['--version']) && run('brew', ['install', 'redis']);

if (findRedisServer()) {
  console.log(`setup: ${findRedisServer()} is here, nothing to do`);
} else if ((installWithApt() || installWithBrew()) && findRedisServer()) {
  console.log(`setup: installed ${findRedisServer()}`);
} else {
  console.error(
    'setup: could not install Redis by itself. Install redis-server (6.2 or later) or valkey-server (7.2 or later) ' +
      'with your package manager, so that it is on PATH, for example "sudo apt-get install redis-server" or "brew install redis".',
  );
  process.exit(1);
}
