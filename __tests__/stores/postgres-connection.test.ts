import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createIdempotency } from '../../src/index.js';
import type { LeaseStore } from '../../src/core/store.js';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { deferred, errorOf } from '../support/deferred.js';
import { Bench } from './postgres-bench.js';
import { watchedPool } from './postgres-watched-pool.js';
import { claim, DONE, request } from './redis-steps.js';
import { keyAt } from '../support/keys.js';

let bench: Bench;
beforeAll(async () => void (bench = await Bench.start()));
afterEach(() => bench.reset());
afterAll(() => bench.stop());

let places = 0;
const place = () => keyAt(`p:Task:${++places}`);
const unavailable = { name: 'StoreError', code: 'STORE_UNAVAILABLE', transient: true };

type Operation = (
  store: LeaseStore,
  key: ReturnType<typeof place>,
  own: Awaited<ReturnType<typeof claim>>,
) => Promise<unknown>;
const OPERATIONS: Record<string, Operation> = {
  claim: (store, key, own) => store.claim(key, { ...request(), ...own, replacing: undefined }),
  renew: (store, key, own) => store.renew(key, own),
  step: (store, key, own) => store.step(key, own, { name: 'a', payload: 'a' }),
  settle: (store, key, own) => store.settle(key, own, DONE),
  read: (store, key) => store.read(key),
  forget: (store, key) => store.override(key, { kind: 'forget', force: true }),
};

describe('a connection that is lost in the middle of an operation', () => {
  test.each(Object.entries(OPERATIONS))(
    '%s: its answer is lost; it is told so, and sent again it knows itself (G2)',
    async (name, run) => {
      const proxy = await bench.proxy();
      const store = bench.store({ url: proxy.url });
      const key = place();
      const own = await claim(store, key);
      const lost = proxy.lose('answer', 'twiceshy_');
      const error = await errorOf(run(store, key, own));
      await lost;
      expect(error).toMatchObject(unavailable);
      expect(error.cause).toBeInstanceOf(Error);
      const answer = await run(store, key, own);
      if (name === 'claim') expect(answer).toMatchObject({ kind: 'acquired', grant: { fence: own.fence } });
      else if (name === 'forget') expect(answer).toBe('absent');
      else expect(answer).toBeTruthy();
    },
  );

  test.each(Object.entries(OPERATIONS))('%s: it never arrives, and is told so', async (_, run) => {
    const proxy = await bench.proxy();
    const store = bench.store({ url: proxy.url });
    const key = place();
    const own = await claim(store, key);
    const lost = proxy.lose('question', 'twiceshy_');
    expect(await errorOf(run(store, key, own))).toMatchObject(unavailable);
    await lost;
    expect(await store.read(key)).toMatchObject({ token: own.token, status: 'IN_PROGRESS' });
    expect(await run(store, key, own)).toBeTruthy();
  });

  test('the server ends the backend that waits for a row', async () => {
    const [store, key] = [bench.store(), place()];
    await claim(store, key);
    const holder = await bench.pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM idempotency_records WHERE key = $1 FOR UPDATE', [key.address]);
    const own = { ...(await claim(store, place())), fence: Number.MAX_SAFE_INTEGER };
    const error = errorOf(store.settle(key, own, DONE));
    await bench.untilWaiting(1);
    await bench.pool.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
    );
    expect(await error).toMatchObject({ ...unavailable, cause: { code: '57P01' } });
    await holder.query('COMMIT');
    holder.release();
  });

  test('a row that somebody holds does not hold a connection for long: transient, after its lock_timeout', async () => {
    const [store, key] = [bench.store(), place()];
    const own = await claim(store, key);
    const holder = await bench.pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM idempotency_records WHERE key = $1 FOR UPDATE', [key.address]);
    expect(await errorOf(store.settle(key, own, DONE))).toMatchObject({
      ...unavailable,
      cause: { code: '55P03' },
    });
    expect(await store.override(key, { kind: 'forget', force: true })).toBe('live');
    await holder.query('COMMIT');
    holder.release();
    expect(await store.settle(key, own, DONE)).toBe(true);
  });

  test('a server that answers nothing: STORE_UNAVAILABLE after timeoutMs, and its connections are not used again', async () => {
    const proxy = await bench.proxy();
    const store = bench.store({ url: proxy.url, timeoutMs: 200 });
    const key = place();
    const own = await claim(store, key);
    proxy.freeze();
    expect(await errorOf(store.settle(key, own, DONE))).toMatchObject(unavailable);
    proxy.thaw();
    expect(await store.settle(key, own, DONE)).toBe(true);
    expect(await store.read(key)).toMatchObject({ status: 'COMPLETED' });
  });
});

describe('a server that goes and comes back', () => {
  test('under a run: nothing that was recorded is lost, and the work runs once (G7)', async () => {
    const idempotency = createIdempotency({ name: 'run', store: bench.store(), storeTimeout: '20s' });
    const [before, during] = [bench.key(), bench.key()];
    await idempotency.run(before, () => 'recorded before');
    let runs = 0;
    const work = async (): Promise<string> => {
      runs++;
      await bench.server.restart();
      return 'done';
    };
    expect(await idempotency.run(during, work)).toBe('done');
    const other = createIdempotency({ name: 'run', store: bench.store(), storeTimeout: '20s' });
    expect(await other.run(during, work)).toBe('done');
    expect(await other.run(before, () => 'again')).toBe('recorded before');
    expect(runs).toBe(1);
  });

  test('refuses: STORE_UNAVAILABLE with what the socket said', async () => {
    const proxy = await bench.proxy();
    const url = new URL(proxy.url);
    const store = bench.store({ url: url.href });
    proxy.refuse(true);
    expect(await errorOf(store.claim(place(), request()))).toMatchObject(unavailable);
    url.port = '1';
    const refused = await errorOf(bench.store({ url: url.href }).claim(place(), request()));
    expect(refused).toMatchObject({ ...unavailable, cause: { code: 'ECONNREFUSED' } });
    url.href = bench.server.url;
    url.pathname = '/nowhere';
    const missing = await errorOf(bench.store({ url: url.href }).claim(place(), request()));
    expect(missing).toMatchObject({ ...unavailable, transient: false, cause: { code: '3D000' } });
  });

  test('a pool that was ended says so', async () => {
    const store = bench.store({ listen: false });
    const ended = bench.server.pool({ max: 1 });
    await ended.end();
    const { PostgresStore: Store } = await import('../../src/stores/postgres/store.js');
    const error = await errorOf(new Store(ended).claim(place(), request()));
    expect(error).toMatchObject({ ...unavailable, transient: false });
    expect(error.message).toMatch(/the pool was ended/);
    expect(store.subscribe).toBeUndefined();
  });
});

describe('wake-ups', () => {
  const listeners = `(SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%')`;
  const waiting = async (store: PostgresStore, key: ReturnType<typeof place>) => {
    const woken = deferred();
    const leave = await store.subscribe!(key, () => woken.resolve());
    return { woken: woken.promise, leave };
  };

  test('one connection for all waiters, given back a while after the last has left', async () => {
    const store = bench.store();
    const all = await Promise.all(Array.from({ length: 30 }, () => waiting(store, place())));
    await bench.until('one listener', `${listeners} = 1`);
    for (const { leave } of all) leave();
    await bench.until('none', `${listeners} = 0`);
    expect(store.pool.idleCount).toBe(store.pool.totalCount);
    const again = await waiting(store, place());
    again.leave();
  });

  test('a waiter of another store, that names the table otherwise, is woken', async () => {
    const [store, key] = [bench.store(), place()];
    const own = await claim(store, key);
    const { woken, leave } = await waiting(bench.store({ schema: 'public' }), key);
    await store.settle(key, own, DONE);
    await woken;
    leave();
  });

  test('a listener that lost its connection connects again, and wakes everybody, who may have missed something', async () => {
    const store = bench.store();
    const all = await Promise.all([waiting(store, place()), waiting(store, place())]);
    await bench.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`,
    );
    await Promise.all(all.map(({ woken }) => woken));
    const [key, own] = [place(), await claim(store, place())];
    const { woken, leave } = await waiting(store, key);
    await store.settle(key, { ...own, token: 'x'.repeat(16) }, DONE);
    await woken;
    for (const each of all) each.leave();
    leave();
  });

  test('a pool without a free connection: the waiter is told so, polls, and gets its answer', async () => {
    const [store, other] = [bench.store({ max: 3, timeoutMs: 200 }), bench.store()];
    const taken = await Promise.all([store.pool.connect(), store.pool.connect(), store.pool.connect()]);
    expect(await errorOf(store.subscribe!(place(), () => undefined))).toMatchObject(unavailable);
    for (const client of taken.slice(1)) client.release();
    const key = bench.key();
    const held = deferred();
    const begun = deferred();
    const first = createIdempotency({ name: 'run', store: other }).run(key, async () => {
      begun.resolve();
      await held.promise;
      return 'done';
    });
    await begun.promise;
    const second = createIdempotency({ name: 'run', store, logger: {} }).run(key, () => 'again');
    held.resolve();
    expect([await first, await second]).toEqual(['done', 'done']);
    taken[0].release();
  });

  test('without LISTEN waiters poll, and nothing is published', async () => {
    const [store, other] = [bench.store({ listen: false }), bench.store({ listen: false })];
    const heard: unknown[] = [];
    const listener = await bench.pool.connect();
    listener.on('notification', (message) => heard.push(message));
    const { rows } = await listener.query<{ oid: number }>(
      `SELECT 'idempotency_records'::regclass::oid AS oid`,
    );
    await listener.query(`LISTEN "twiceshy_${rows[0]!.oid}"`);
    const key = bench.key();
    const held = deferred();
    const begun = deferred();
    const first = createIdempotency({ name: 'run', store }).run(key, async () => {
      begun.resolve();
      await held.promise;
      return 'done';
    });
    await begun.promise;
    const second = createIdempotency({ name: 'run', store: other }).run(key, () => 'again');
    held.resolve();
    expect([await first, await second]).toEqual(['done', 'done']);
    // What was published would have come before this answer.
    await listener.query('SELECT 1');
    expect(heard).toEqual([]);
    listener.release(true);
  });

  test('a closed store refuses to wait, and leaves the pool whole', async () => {
    const store = bench.store();
    await waiting(store, place());
    await store.close();
    expect(await errorOf(store.subscribe!(place(), () => undefined))).toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
    await bench.until('no listener', `${listeners} = 0`);
  });

  test('a full queue of wake-ups stops nobody from settling', async () => {
    let refusals = 0;
    const full = watchedPool(bench.pool, async (query, send) => {
      if (!query.text.includes('pg_notify')) return await send(query);
      refusals++;
      throw Object.assign(new Error('too many notifications in the NOTIFY queue'), {
        code: '54000',
        severity: 'ERROR',
      });
    });
    const store = new PostgresStore(full);
    const key = place();
    expect(await store.settle(key, await claim(store, key), DONE)).toBe(true);
    expect(refusals).toBe(1);
    expect(await store.read(key)).toMatchObject({ status: 'COMPLETED' });
  });
});
