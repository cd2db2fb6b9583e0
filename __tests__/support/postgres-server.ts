import { randomBytes } from 'node:crypto';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool, type PoolConfig } from 'pg';
import { databaseUrl, findPostgres } from '../../scripts/find-postgres.mjs';
import { freePort } from './redis-server.js';

export interface PrivatePostgres {
  readonly url: string;
  /** A pool on it, closed by `stop()`. Connections that the server ends are no error of anybody's. */
  pool(config?: PoolConfig): Pool;
  /** Stops it as a crash would, and starts it again on the same port, with what was committed. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

// As whom the server runs: it refuses to be root.
interface User {
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Starts a PostgreSQL of this test's own, on a free port of the loopback, in a folder that goes when it stops; with
 * DATABASE_URL, a database of this test's own on that server.
 */
export async function startPostgres(): Promise<PrivatePostgres> {
  const given = databaseUrl(process.env['DATABASE_URL']);
  if (given) return databaseOn(given);
  const bin = findPostgres();
  if (bin === undefined) {
    throw new Error('no PostgreSQL (initdb, postgres) and no DATABASE_URL: run "npm run setup"');
  }
  const user = unprivileged();
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'twiceshy-postgres-'));
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const made = spawnSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'twiceshy', '-A', 'trust', '-E', 'UTF8', '--no-locale', '-N'],
    { ...user, cwd: folder, encoding: 'utf8' },
  );
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
  const settings = ["listen_addresses = '127.0.0.1'", `unix_socket_directories = '${folder}'`, 'fsync = off'];
  settings.push('max_connections = 60', 'shared_buffers = 16MB', 'log_min_messages = fatal');
  appendFileSync(join(data, 'postgresql.conf'), `${settings.join('\n')}\n`);

  let server = await launch(bin, data, port, user);
  const url = `postgres://twiceshy@127.0.0.1:${port}/postgres`;
  const pools = new Pools(url);
  return {
    url,
    pool: (config) => pools.open(config),
    async restart() {
      await crash(server);
      server = await launch(bin, data, port, user);
    },
    async stop() {
      await pools.close();
      await crash(server);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** On a server that is not ours to stop, every connection to the database is broken instead. */
async function databaseOn(given: string): Promise<PrivatePostgres> {
  const name = `twiceshy_${randomBytes(6).toString('hex')}`;
  const owner = new Pools(given).open({ max: 1 });
  await owner.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`);
  const url = new URL(given);
  url.pathname = `/${name}`;
  const pools = new Pools(url.href);
  return {
    url: url.href,
    pool: (config) => pools.open(config),
    async restart() {
      await owner.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
    },
    async stop() {
      await pools.close();
      await owner.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await owner.end();
    },
  };
}

class Pools {
  readonly #pools: Pool[] = [];

  constructor(private readonly url: string) {}

  open(config: PoolConfig = {}): Pool {
    const pool = new Pool({ connectionString: this.url, ...config });
    pool.on('error', () => undefined);
    this.#pools.push(pool);
    return pool;
  }

  async close(): Promise<void> {
    await Promise.all(this.#pools.filter((pool) => !pool.ending).map((pool) => pool.end()));
  }
}

async function launch(bin: string, data: string, port: number, user: User): Promise<ChildProcess> {
  const server = spawn(join(bin, 'postgres'), ['-D', data, '-p', String(port)], {
    ...user,
    cwd: data,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  server.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-2_000)));
  try {
    await untilReady(server, port, () => log);
  } catch (error) {
    await crash(server);
    throw error;
  }
  return server;
}

/** Asked over and over: "ready to accept connections" is a line of the log, which may be in any language. */
async function untilReady(server: ChildProcess, port: number, log: () => string): Promise<void> {
  for (const deadlineMs = Date.now() + 30_000; Date.now() < deadlineMs;) {
    if (server.exitCode !== null) throw new Error(`postgres exited with ${server.exitCode}: ${log()}`);
    const pool = new Pool({ host: '127.0.0.1', port, user: 'twiceshy', database: 'postgres', max: 1 });
    pool.on('error', () => undefined);
    try {
      await pool.query('SELECT 1');
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      await pool.end();
    }
  }
  throw new Error(`postgres did not start: ${log()}`);
}

/** At once, without a shutdown: what follows is a recovery. */
async function crash(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = once(server, 'exit');
  server.kill('SIGQUIT');
  await gone;
}

function unprivileged(): User {
  if (process.getuid?.() !== 0) return {};
  const users = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const fields = users.find((line) => line.startsWith(`${name}:`))?.split(':');
    if (fields) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new Error('PostgreSQL refuses to run as root, and there is neither a user "postgres" nor "nobody"');
}
