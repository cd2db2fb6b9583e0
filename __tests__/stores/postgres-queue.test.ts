import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newToken } from '../../src/core/token.js';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { errorOf } from '../support/deferred.js';
import { placeOf } from '../support/instances.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';

/** Shorter than a row is waited for otherwise. */
const TIMEOUT_MS = 900;
const LOCK_NOT_AVAILABLE = '55P03';

let server: PrivatePostgres;
beforeAll(async () => void (server = await startPostgres()));
afterAll(() => server.stop());

test('G8: nobody stays in the queue for a row after its call was given up: the server ends the wait first', async () => {
  const pool = server.pool({ max: 1 });
  const store = new PostgresStore(pool, { timeoutMs: TIMEOUT_MS, listen: false });
  await store.createSchema();
  const key = placeOf('k');
  const terms = {
    leaseMs: 60_000,
    unsettledRetentionMs: 60_000,
    onAbandoned: 'retry',
    fingerprint: undefined,
  } as const;
  const claimed = await store.claim(key, { ...terms, token: newToken(), replacing: undefined });
  if (claimed.kind !== 'acquired') throw new Error('the key is new');

  const holder = await server.pool({ max: 1 }).connect();
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM idempotency_records FOR UPDATE');
  const lease = { ...terms, ...claimed.grant };
  for (const call of [() => store.renew(key, lease), () => store.release(key, lease.token)]) {
    const error = await errorOf(call());
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', cause: { code: LOCK_NOT_AVAILABLE } });
  }
  // The server has answered: the session is as good as before, and a new one would cost a busy server far more.
  expect(pool.totalCount).toBe(1);
  await holder.query('ROLLBACK');
  holder.release();
  expect(await store.renew(key, lease)).not.toBe(false);
  await store.close();
});

test('G8: a call that got no connection in time is not executed when there is one', async () => {
  const pool = server.pool({ max: 1 });
  const store = new PostgresStore(pool, { timeoutMs: 50, listen: false });
  await store.createSchema();
  const key = placeOf('late');
  const holder = await pool.connect();
  const claim = { token: newToken(), replacing: undefined, leaseMs: 60_000, unsettledRetentionMs: 60_000 };
  const error = await errorOf(store.claim(key, { ...claim, onAbandoned: 'retry', fingerprint: undefined }));
  expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', transient: true });
  holder.release();
  await pool.query('SELECT 1');
  expect(await store.read(key)).toBeUndefined();
  await store.close();
});
