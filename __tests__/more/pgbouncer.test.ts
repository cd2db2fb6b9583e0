import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Pool } from 'pg';
import { findPgBouncer } from '../../scripts/find-pgbouncer.mjs';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { describeStoreContract } from '../../src/testing/index.js';
import { deferred } from '../support/deferred.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';
import { freePort } from '../support/redis-server.js';

interface PgBouncer {
  readonly url: string;
  stop(): Promise<void>;
}

/** A PgBouncer of this test's own, in front of a server. */
async function startPgBouncer(binary: string, server: string, mode: string): Promise<PgBouncer> {
  const folder = mkdtempSync(join(tmpdir(), 'twiceshy-pgbouncer-'));
  const port = await freePort();
  const { hostname, port: behind, username } = new URL(server);
  const settings = [
    ...['[databases]', `* = host=${hostname} port=${behind} user=${username}`, '[pgbouncer]'],
    ...['listen_addr = 127.0.0.1', `listen_port = ${port}`, 'unix_socket_dir =', 'auth_type = any'],
    ...[`pool_mode = ${mode}`, 'max_client_conn = 200', 'default_pool_size = 45'],
    'server_check_delay = 0',
  ];
  const ini = join(folder, 'pgbouncer.ini');
  writeFileSync(ini, `${settings.join('\n')}\n`);
  const user = unprivileged();
  if (user.uid !== undefined && user.gid !== undefined) {
    chownSync(folder, user.uid, user.gid);
    chownSync(ini, user.uid, user.gid);
  }
  const bouncer = spawn(binary, [ini], { ...user, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  bouncer.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-2_000)));
  const url = `postgres://${username}@127.0.0.1:${port}/postgres`;
  await untilReady(bouncer, url, () => log);
  const stop = async () => {
    if (bouncer.exitCode === null) {
      const gone = once(bouncer, 'exit');
      bouncer.kill('SIGKILL');
      await gone;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  return { url, stop };
}

/** It refuses to be root. */
function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag: string) => Number(spawnSync('id', [flag, 'nobody'], { encoding: 'utf8' }).stdout);
  return { uid: idOf('-u'), gid: idOf('-g') };
}

async function untilReady(bouncer: ChildProcess, url: string, log: () => string): Promise<void> {
  for (const deadlineMs = Date.now() + 15_000; Date.now() < deadlineMs;) {
    if (bouncer.exitCode !== null) throw new Error(`pgbouncer exited with ${bouncer.exitCode}: ${log()}`);
    const pool = new Pool({ connectionString: url, max: 1 });
    pool.on('error', () => undefined);
    const isReady = await pool.query('SELECT 1').then(
      () => true,
      () => false,
    );
    await pool.end();
    if (isReady) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`pgbouncer was not ready in time: ${log()}`);
}

const found = findPgBouncer();
if (found === undefined) {
  const sentence = 'NO PGBOUNCER: run "npm run setup -- all". The store behind it is not tested';
  process.stderr.write(`\n${sentence}\n\n`);
  (process.env['CI'] ? test : test.skip)('PgBouncer is installed', () => {
    throw new Error(sentence);
  });
} else {
  let server: PrivatePostgres;
  beforeAll(async () => {
    server = await startPostgres();
    await new PostgresStore(server.pool()).createSchema();
  });
  afterAll(() => server.stop());

  describe.each(['transaction', 'session'])('PgBouncer in %s mode', (mode) => {
    let bouncer: PgBouncer | undefined;
    let pool: Pool;
    const pools: Pool[] = [];
    const newPool = (): Pool => {
      // In session mode a client holds one of the server's connections for as long as it is there, idle or not.
      const made = new Pool({ connectionString: bouncer!.url, max: 8, idleTimeoutMillis: 500 });
      made.on('error', () => undefined);
      pools.push(made);
      return made;
    };
    beforeAll(async () => {
      bouncer = await startPgBouncer(found, server.url, mode);
      pool = newPool();
    });
    afterAll(async () => {
      await Promise.all(pools.splice(0).map((each) => each.end()));
      await bouncer?.stop();
    });

    const skip =
      mode === 'transaction'
        ? { 'wake-ups': 'transaction mode passes no notifications on: waiters poll' }
        : {};
    describeStoreContract(
      `PostgresStore behind PgBouncer in ${mode} mode`,
      () => {
        const open = (on: Pool) =>
          new PostgresStore(on, { listen: mode === 'session', onWarning: () => undefined });
        return { store: open(pool), another: () => open(newPool()) };
      },
      { skip },
    );

    test('with listen at its default: a waiter gets its answer, and is told where notifications do not arrive', async () => {
      const warnings: string[] = [];
      const [one, two] = [newPool(), newPool()].map(
        (each) => new PostgresStore(each, { onWarning: (message) => void warnings.push(message) }),
      ) as [PostgresStore, PostgresStore];
      const [owner, waiter] = [one, two].map((store) =>
        createIdempotency({ store, name: 'wait', logger: {} }),
      );
      for (const key of [`${mode}-1`, `${mode}-2`]) {
        const [started, gate] = [deferred(), deferred()];
        const answer = owner!.run(key, async () => {
          started.resolve();
          await gate.promise;
          return 'done';
        });
        await started.promise;
        const waiting = waiter!.run(key, () => 'twice');
        while (waiter!.stats().waits === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        gate.resolve();
        expect(await Promise.all([answer, waiting])).toEqual(['done', 'done']);
        // In transaction mode the first wait finds it out.
        if (mode === 'transaction') await until(() => two.subscribe === undefined);
        else expect(two.subscribe).toBeDefined();
      }
      const notices = warnings.filter((message) => message.includes('notifications'));
      expect(notices).toHaveLength(mode === 'transaction' ? 1 : 0);
      await Promise.all([owner!.close(), waiter!.close()]);
      await Promise.all([one.close(), two.close()]);
    });
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}
