import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Transaction } from '../../src/stores/postgres/store.js';
import { deferred, errorOf } from '../support/deferred.js';
import { Bench, heldWork, order } from './postgres-bench.js';

let bench: Bench;
beforeAll(async () => void (bench = await Bench.start()));
afterEach(() => bench.reset());
afterAll(() => bench.stop());

const nothingKept = async (key: string): Promise<void> => {
  expect(await bench.orders(key)).toBe(0);
  expect(await bench.record(key)).toBeUndefined();
};
const pidOf = async (tx: Transaction): Promise<number> => {
  const { rows } = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]!.pid;
};
const terminate = (pid: number): Promise<unknown> =>
  bench.pool.query('SELECT pg_terminate_backend($1)', [pid]);

describe('a COMMIT that nobody has heard of', () => {
  test('was executed: it is read back by token, and the caller gets its own result', async () => {
    const [key, proxy] = [bench.key(), await bench.proxy()];
    const store = bench.store({ url: proxy.url });
    const first = heldWork(key);
    const answer = store.transaction(key, first.work);
    await first.begun;
    const lost = proxy.lose('answer', 'COMMIT');
    first.letGo();
    await lost;
    expect(await answer).toEqual({ order: key, attempt: 1 });
    expect(await store.transaction(key, first.work)).toEqual({ order: key, attempt: 1 });
    expect(first.runs).toBe(1);
    expect(await bench.orders(key)).toBe(1);
  });

  test('was executed for a failure: that failure is the answer', async () => {
    const [key, proxy] = [bench.key(), await bench.proxy()];
    const store = bench.store({ url: proxy.url });
    const first = heldWork(key);
    const failing = async (tx: Transaction): Promise<never> => {
      await first.work(tx);
      throw new RangeError('card declined');
    };
    const answer = errorOf(store.transaction(key, failing, { remember: 'all' }));
    await first.begun;
    const lost = proxy.lose('answer', 'COMMIT');
    first.letGo();
    await lost;
    expect(await answer).toMatchObject({ name: 'RangeError', message: 'card declined' });
    expect(await bench.record(key)).toMatchObject({ status: 'FAILED' });
    expect(await bench.orders(key)).toBe(0);
  });

  test('never arrived, over absence: the server lets go of the silent session, nothing is kept, and the next call runs', async () => {
    const [key, proxy] = [bench.key(), await bench.proxy()];
    const store = bench.store({ url: proxy.url });
    const first = heldWork(key);
    const answer = errorOf(store.transaction(key, first.work, { lease: 1_000 }));
    await first.begun;
    const lost = proxy.lose('question', 'COMMIT');
    first.letGo();
    await lost;
    const error = await answer;
    expect(error).toMatchObject({ name: 'StoreError', code: 'STORE_UNAVAILABLE', transient: true });
    expect(error.message).toMatch(/lost at the COMMIT, which did not take effect/);
    expect(error.cause).toBeInstanceOf(Error);
    await nothingKept(key);
    expect(await store.transaction(key, first.work)).toEqual({ order: key, attempt: 1 });
    expect(first.runs).toBe(2);
    expect(await bench.orders(key)).toBe(1);
  });

  test('never arrived, over a failure that stood there: that failure stands there again', async () => {
    const [key, proxy] = [bench.key(), await bench.proxy()];
    const store = bench.store({ url: proxy.url });
    await errorOf(store.transaction(key, () => Promise.reject(new Error('at first'))));
    const second = heldWork(key);
    const answer = errorOf(store.transaction(key, second.work, { lease: 1_000 }));
    await second.begun;
    const lost = proxy.lose('question', 'COMMIT');
    second.letGo();
    await lost;
    expect(await answer).toMatchObject({ code: 'STORE_UNAVAILABLE', transient: true });
    expect(await bench.record(key)).toMatchObject({ status: 'FAILED', attempt: 1 });
    expect(await bench.orders(key)).toBe(0);
    expect(await store.transaction(key, second.work)).toEqual({ order: key, attempt: 2 });
  });

  test('and a server that is gone: IN_DOUBT, and the next call knows', async () => {
    const [key, proxy] = [bench.key(), await bench.proxy()];
    const store = bench.store({ url: proxy.url, timeoutMs: 200 });
    const first = heldWork(key);
    const answer = errorOf(store.transaction(key, first.work, { lease: 300, waitTimeout: 500 }));
    await first.begun;
    const lost = proxy.lose('answer', 'COMMIT');
    proxy.refuse(true);
    first.letGo();
    await lost;
    const error = await answer;
    expect(error).toMatchObject({ name: 'OutcomeError', code: 'IN_DOUBT' });
    expect(error.message).toMatch(/kept together or not at all: the next call/);
    proxy.refuse(false);
    expect(await store.transaction(key, first.work)).toEqual({ order: key, attempt: 1 });
    expect(first.runs).toBe(1);
  });
});

describe('a silent owner', () => {
  test('does not wedge the key: the server ends its session after the lease, and another runs', async () => {
    const [key, proxy] = [bench.key(), await bench.proxy()];
    const frozen = bench.store({ url: proxy.url });
    const first = heldWork(key);
    const owner = frozen.transaction(key, first.work, { lease: 600 });
    await first.begun;
    proxy.freeze();
    const second = await bench.store().transaction(key, async (tx) => {
      await order(tx, key);
      return 'the second';
    });
    expect(second).toBe('the second');
    proxy.thaw();
    first.letGo();
    // All callers agree (G6): who lost the key is given what was recorded since.
    expect(await owner).toBe('the second');
    expect(await bench.orders(key)).toBe(1);
  });

  test('is told LEASE_LOST when nobody else ran it', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const held = deferred();
    const begun = deferred<AbortSignal>();
    const error = errorOf(
      store.transaction(
        key,
        async (tx) => {
          await order(tx, key);
          // As if the process had been frozen: it says nothing any more, by itself or through us.
          await tx.query("SET LOCAL idle_in_transaction_session_timeout = '1ms'");
          begun.resolve(tx.signal);
          await held.promise;
        },
        { lease: 900 },
      ),
    );
    const signal = await begun.promise;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    held.resolve();
    expect(await error).toMatchObject({ name: 'OutcomeError', code: 'LEASE_LOST', cause: { code: '25P03' } });
    await nothingKept(key);
  });

  test('is not who only works for long: its heartbeat breaks the silence', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const first = heldWork(key);
    const owner = store.transaction(key, first.work, { lease: 300 });
    const pid = await pidOf(await first.begun);
    const since = `(SELECT count(*) FROM pg_stat_activity WHERE pid = ${pid} AND clock_timestamp() - xact_start > '1500 ms')`;
    await bench.until('five leases to pass', `${since} = 1`);
    first.letGo();
    expect(await owner).toEqual({ order: key, attempt: 1 });
    expect(await bench.orders(key)).toBe(1);
  });

  test('nor who waits for one long query', async () => {
    const [key, store] = [bench.key(), bench.store()];
    await store.transaction(
      key,
      async (tx) => {
        await tx.query('SELECT pg_sleep(1)');
        await order(tx, key);
      },
      { lease: 300 },
    );
    expect(await bench.orders(key)).toBe(1);
  });
});

describe('a connection that is lost', () => {
  test('while the work is between two queries: nothing is kept, and the next call runs', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const first = heldWork(key);
    const answer = errorOf(store.transaction(key, first.work));
    await terminate(await pidOf(await first.begun));
    first.letGo();
    const error = await answer;
    expect(error).toMatchObject({ name: 'StoreError', code: 'STORE_UNAVAILABLE', transient: true });
    expect(error.message).toMatch(/Nothing was kept.*next call/);
    expect(error.cause).toMatchObject({ code: '57P01' });
    await nothingKept(key);
    expect(await store.transaction(key, first.work)).toEqual({ order: key, attempt: 1 });
  });

  test('in the middle of a query of the work', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const pid = deferred<number>();
    const answer = errorOf(
      store.transaction(key, async (tx) => {
        await order(tx, key);
        pid.resolve(await pidOf(tx));
        await tx.query('SELECT pg_sleep(60)');
      }),
    );
    await terminate(await pid.promise);
    expect(await answer).toMatchObject({ code: 'STORE_UNAVAILABLE', transient: true });
    await nothingKept(key);
  });

  test.each(['twiceshy_', 'SAVEPOINT', 'BEGIN'])(
    'when the answer to %s is lost, the claim is made again, and all runs once',
    async (text) => {
      const [key, proxy] = [bench.key(), await bench.proxy()];
      const store = bench.store({ url: proxy.url });
      const lost = proxy.lose('answer', text);
      const first = heldWork(key);
      const answer = store.transaction(key, first.work);
      await lost;
      first.letGo();
      expect(await answer).toEqual({ order: key, attempt: 1 });
      expect(first.runs).toBe(1);
      expect(await bench.orders(key)).toBe(1);
    },
  );

  test('when the answer to the recording is lost, nothing is kept', async () => {
    const [key, proxy] = [bench.key(), await bench.proxy()];
    const store = bench.store({ url: proxy.url });
    const first = heldWork(key);
    const answer = errorOf(store.transaction(key, first.work));
    await first.begun;
    const lost = proxy.lose('answer', 'twiceshy_');
    first.letGo();
    await lost;
    expect(await answer).toMatchObject({ code: 'STORE_UNAVAILABLE', transient: true });
    await nothingKept(key);
  });

  test('with the server: STORE_UNAVAILABLE within timeoutMs, and all is well when it is back', async () => {
    const [key, proxy] = [bench.key(), await bench.proxy()];
    const store = bench.store({ url: proxy.url, timeoutMs: 300 });
    proxy.refuse(true);
    const error = await errorOf(store.transaction(key, () => 1));
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', transient: true });
    expect(error.cause).toBeInstanceOf(Error);
    proxy.refuse(false);
    expect(await store.transaction(key, () => 2)).toBe(2);
  });

  test('a pool without a free connection: STORE_UNAVAILABLE, and no connection is leaked', async () => {
    const [key, store] = [bench.key(), bench.store({ max: 2, timeoutMs: 200 })];
    const taken = await Promise.all([store.pool.connect(), store.pool.connect()]);
    const error = await errorOf(store.transaction(key, () => 1));
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', transient: true });
    expect(error.message).toMatch(/no connection of the pool was free within 200 ms/);
    for (const client of taken) client.release();
    expect(await store.transaction(key, () => 2)).toBe(2);
    expect(store.pool.idleCount).toBe(store.pool.totalCount);
  });
});
