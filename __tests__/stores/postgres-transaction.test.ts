import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createIdempotency } from '../../src/index.js';
import type { Transaction } from '../../src/stores/postgres/store.js';
import { deferred, errorOf } from '../support/deferred.js';
import { Bench, heldWork, order } from './postgres-bench.js';

let bench: Bench;
beforeAll(async () => void (bench = await Bench.start()));
afterEach(() => bench.reset());
afterAll(() => bench.stop());

describe('what commits together', () => {
  test('the rows of the work and its result; a duplicate is answered from the record, equal to the first (G9)', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const result = { at: new Date(0), lines: new Map([['a', 1n]]) };
    const charge = async (tx: Transaction): Promise<typeof result> => {
      await order(tx, key);
      expect(await bench.orders(key)).toBe(0);
      expect(await bench.record(key)).toBeUndefined();
      return result;
    };
    expect(await store.transaction(key, charge)).toEqual(result);
    expect(await store.transaction(key, charge)).toEqual(result);
    expect(await bench.orders(key)).toBe(1);
    expect(await bench.record(key)).toMatchObject({ status: 'COMPLETED', attempt: 1 });
  });

  test('run() of the same name, scope and prefix shares the record, both ways', async () => {
    const store = bench.store({ transactions: { scope: 'eu' } });
    const idempotency = createIdempotency({ name: 'run', store, scope: 'eu' });
    const [first, second] = [bench.key(), bench.key()];
    await store.transaction(first, () => 'in a transaction');
    expect(await idempotency.run(first, () => 'outside')).toBe('in a transaction');
    await idempotency.run(second, () => 'outside', { name: 'pay', prefix: 'p' });
    const options = { name: 'pay', prefix: 'p' };
    expect(await store.transaction(second, () => 'in a transaction', options)).toBe('outside');
    expect(await store.transaction(second, () => 'another')).toBe('another');
  });

  test('a result that cannot be kept does not undo the rows (G7): a duplicate gets RESULT_UNAVAILABLE', async () => {
    const [key, store] = [bench.key(), bench.store({ transactions: { logger: { warn: () => undefined } } })];
    const work = async (tx: Transaction): Promise<() => number> => {
      await order(tx, key);
      return () => 1;
    };
    expect((await store.transaction(key, work))()).toBe(1);
    expect(await errorOf(store.transaction(key, work))).toMatchObject({ code: 'RESULT_UNAVAILABLE' });
    expect(await bench.orders(key)).toBe(1);
  });

  test('queries run one after the other, also when the work does not wait for each', async () => {
    const [key, store] = [bench.key(), bench.store()];
    await store.transaction(key, (tx) => Promise.all([1, 2, 3, 4, 5].map(() => order(tx, key))));
    expect(await bench.orders(key)).toBe(5);
  });

  test('the work may set savepoints of its own', async () => {
    const [key, store] = [bench.key(), bench.store()];
    await store.transaction(key, async (tx) => {
      await tx.query('SAVEPOINT mine');
      await expect(tx.query('SELECT nonsense')).rejects.toThrow('nonsense');
      await tx.query('ROLLBACK TO SAVEPOINT mine');
      await order(tx, key);
    });
    expect(await bench.orders(key)).toBe(1);
  });

  test('a step is kept when the transaction is, and never alone', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const { currentAttempt } = await import('../../src/index.js');
    const work = async (tx: Transaction): Promise<unknown> => {
      const made = await currentAttempt()?.step('make', () => 'made');
      await order(tx, key);
      if (tx.attempt === 1) throw new Error('once');
      return made;
    };
    await expect(store.transaction(key, work)).rejects.toThrow('once');
    expect(await store.transaction(key, work)).toBe('made');
    expect(await bench.orders(key)).toBe(1);
  });
});

describe('failures', () => {
  test('a final failure rolls the rows back to a savepoint, commits the record, and is replayed', async () => {
    const [key, store] = [bench.key(), bench.store()];
    let runs = 0;
    const work = async (tx: Transaction): Promise<never> => {
      runs++;
      await order(tx, key);
      throw Object.assign(new RangeError('card declined'), { decline: 'insufficient_funds' });
    };
    const calls = [1, 2].map(() => errorOf(store.transaction(key, work, { remember: 'all' })));
    const third = errorOf(bench.store().transaction(key, work, { remember: 'all' }));
    for (const error of await Promise.all([...calls, third])) {
      expect(error).toMatchObject({
        name: 'RangeError',
        message: 'card declined',
        decline: 'insufficient_funds',
      });
    }
    expect(runs).toBe(1);
    expect(await bench.orders(key)).toBe(0);
    expect(await bench.record(key)).toMatchObject({ status: 'FAILED', attempt: 1 });
  });

  test('a final failure is kept also when it was a query that failed', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const work = async (tx: Transaction): Promise<void> => {
      await order(tx, key);
      await tx.query('SELECT 1 / 0');
    };
    await expect(store.transaction(key, work, { remember: 'all' })).rejects.toMatchObject({ code: '22012' });
    expect(await bench.record(key)).toMatchObject({ status: 'FAILED' });
    expect(await bench.orders(key)).toBe(0);
  });

  test('G6: those who waited share a failure that is not final, in this process and in others; the next call runs again', async () => {
    const [key, store, other, third] = [bench.key(), bench.store(), bench.store(), bench.store()];
    let runs = 0;
    const held = deferred();
    const work = async (tx: Transaction): Promise<string> => {
      const run = ++runs;
      await order(tx, key);
      if (run > 1) return `run ${run}`;
      await held.promise;
      throw new Error('out of order');
    };
    const calls = [store, store, other, third].map((each) => errorOf(each.transaction(key, work)));
    await bench.untilWaiting(2);
    held.resolve();
    for (const error of await Promise.all(calls)) expect(error.message).toBe('out of order');
    expect(runs).toBe(1);
    expect(await bench.record(key)).toMatchObject({ status: 'FAILED', failures: 0 });
    expect(await other.transaction(key, work)).toBe('run 2');
    expect(await bench.orders(key)).toBe(1);
    expect(await bench.record(key)).toMatchObject({ status: 'COMPLETED', attempt: 2 });
  });

  test('a run() that waited for a transaction shares its failure too', async () => {
    const [key, store, other] = [bench.key(), bench.store(), bench.store()];
    const first = heldWork(key);
    const failing = errorOf(
      store.transaction(key, async (tx) => {
        await first.work(tx);
        throw new Error('out of order');
      }),
    );
    await first.begun;
    const waiting = errorOf(createIdempotency({ name: 'run', store: other }).run(key, () => 'ran'));
    await bench.untilWaiting(1);
    first.letGo();
    expect((await failing).message).toBe('out of order');
    expect((await waiting).message).toBe('out of order');
  });

  test('a failure that is to be released leaves nothing at all', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const work = async (tx: Transaction): Promise<void> => {
      await order(tx, key);
      throw new Error('invalid input');
    };
    await expect(store.transaction(key, work, { remember: () => 'release' })).rejects.toThrow(
      'invalid input',
    );
    expect(await bench.record(key)).toBeUndefined();
    expect(await bench.orders(key)).toBe(0);
  });

  test('an error of a query that the work swallowed is told, and nothing is kept', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const work = async (tx: Transaction): Promise<string> => {
      await order(tx, key);
      await tx.query('SELECT nonsense').catch(() => undefined);
      return 'as if nothing had happened';
    };
    const error = await errorOf(store.transaction(key, work));
    expect(error).toMatchObject({ name: 'StoreError', code: 'STORE_UNAVAILABLE', transient: false });
    expect(error.message).toMatch(/a query of the work failed.*SAVEPOINT/s);
    expect(error.cause).toMatchObject({ code: '25P02' });
    expect(await bench.orders(key)).toBe(0);
    expect(await bench.record(key)).toBeUndefined();
  });

  test('a COMMIT that the server refuses, such as for a deferred constraint, keeps nothing and says why', async () => {
    await bench.pool.query('CREATE TABLE known (key text PRIMARY KEY)');
    await bench.pool.query(
      'CREATE TABLE refs (of_key text REFERENCES known (key) DEFERRABLE INITIALLY DEFERRED)',
    );
    const [key, store] = [bench.key(), bench.store()];
    const error = await errorOf(
      store.transaction(key, async (tx) => {
        await order(tx, key);
        await tx.query('INSERT INTO refs VALUES ($1)', [key]);
      }),
    );
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', transient: false });
    expect(error.message).toMatch(/refused to commit: .*refs.*Nothing was kept/);
    expect(error.cause).toMatchObject({ code: '23503' });
    expect(await bench.orders(key)).toBe(0);
    expect(await bench.record(key)).toBeUndefined();
  });
});

describe('who waits', () => {
  test('a concurrent duplicate of another process waits on the row, and then replays', async () => {
    const [key, store, other] = [bench.key(), bench.store(), bench.store()];
    const first = heldWork(key);
    const owner = store.transaction(key, first.work);
    await first.begun;
    const duplicate = other.transaction(key, first.work);
    await bench.untilWaiting(1);
    first.letGo();
    expect(await owner).toEqual({ order: key, attempt: 1 });
    expect(await duplicate).toEqual({ order: key, attempt: 1 });
    expect(first.runs).toBe(1);
    expect(await bench.orders(key)).toBe(1);
  });

  test('a duplicate waits beyond one lock_timeout, and so does a run() of the same key', async () => {
    const [key, store, other, third] = [bench.key(), bench.store(), bench.store(), bench.store()];
    const first = heldWork(key);
    const owner = store.transaction(key, first.work);
    await first.begun;
    const duplicates = [
      other.transaction(key, first.work),
      createIdempotency({ name: 'run', store: third }).run(key, () => 'ran outside'),
    ];
    const waits = new Set<string>();
    while (waits.size < 6) {
      const { rows } = await bench.pool.query<{ wait: string }>(
        `SELECT pid || ' ' || query_start AS wait FROM pg_stat_activity WHERE wait_event_type = 'Lock'`,
      );
      for (const { wait } of rows) waits.add(wait);
    }
    first.letGo();
    await owner;
    for (const duplicate of duplicates) expect(await duplicate).toEqual({ order: key, attempt: 1 });
    expect(first.runs).toBe(1);
  });

  test('duplicates in one process wait without a connection, on a pool of one too', async () => {
    const [key, store] = [bench.key(), bench.store({ max: 1 })];
    const first = heldWork(key);
    const calls = Array.from({ length: 20 }, () => store.transaction(key, first.work));
    await first.begun;
    expect(store.pool.waitingCount).toBe(0);
    first.letGo();
    const answers = await Promise.all(calls);
    expect(answers).toEqual(Array.from({ length: 20 }, () => ({ order: key, attempt: 1 })));
    expect(first.runs).toBe(1);
  });

  test('waiters hold half of the pool at most: the owner, and others, still get connections', async () => {
    const owners = bench.store({ max: 20 });
    const held = Array.from({ length: 12 }, () => heldWork(bench.key()));
    const keys = await Promise.all(
      held.map(async (each, index) => {
        const key = `share-${index}`;
        const owner = owners.transaction(key, each.work);
        await each.begun;
        return { key, owner };
      }),
    );
    const waiters = bench.store({ max: 6, listen: false });
    const duplicates = keys.map(({ key }, index) => waiters.transaction(key, held[index]!.work));
    await bench.untilWaiting(3);
    // Each looks for a moment first; from then on they take turns, three at a time.
    const inTurns = `(SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock') <= 3`;
    for (let looks = 0, inARow = 0; inARow < 40; looks++) {
      const { rows } = await waiters.pool.query<{ yes: boolean }>(`SELECT ${inTurns} AS yes`);
      inARow = rows[0]?.yes ? inARow + 1 : 0;
      expect(looks).toBeLessThan(400);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const fresh = await waiters.transaction(bench.key(), () => 'a fresh key gets a connection');
    expect(fresh).toBe('a fresh key gets a connection');
    for (const each of held) each.letGo();
    await Promise.all([...keys.map(({ owner }) => owner), ...duplicates]);
    expect(held.map((each) => each.runs)).toEqual(held.map(() => 1));
  }, 40_000);

  test('waitTimeout ends the waiting with IDEMPOTENCY_TIMEOUT, and reject with CONCURRENT_REQUEST', async () => {
    const [key, store, other] = [bench.key(), bench.store(), bench.store()];
    const first = heldWork(key);
    const owner = store.transaction(key, first.work);
    await first.begun;
    const late = errorOf(other.transaction(key, first.work, { waitTimeout: 50 }));
    expect(await late).toMatchObject({ code: 'IDEMPOTENCY_TIMEOUT' });
    const rejected = errorOf(other.transaction(key, first.work, { concurrent: 'reject' }));
    expect(await rejected).toMatchObject({ code: 'CONCURRENT_REQUEST' });
    first.letGo();
    await owner;
    expect(first.runs).toBe(1);
  });

  test('the same key inside of its own work is an error, not a deadlock', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const idempotency = createIdempotency({ name: 'run', store });
    const inner = await store.transaction(key, async () => [
      (await errorOf(store.transaction(key, () => 1))).code,
      (await errorOf(idempotency.run(key, () => 1))).code,
    ]);
    expect(inner).toEqual(['INVALID_KEY', 'INVALID_KEY']);
    const outer = bench.key();
    const code = await idempotency.run(
      outer,
      async () => (await errorOf(store.transaction(outer, () => 1))).code,
    );
    expect(code).toBe('INVALID_KEY');
  });

  test('a record in doubt stays in doubt, and another payload is refused', async () => {
    const [doubted, paid, store] = [bench.key(), bench.key(), bench.store()];
    const idempotency = createIdempotency({ name: 'run', store });
    const timeout = () => Promise.reject(new Error('timeout'));
    await errorOf(idempotency.run(doubted, timeout, { onAbandoned: 'block' }));
    expect(await errorOf(store.transaction(doubted, () => 1))).toMatchObject({ code: 'IN_DOUBT' });
    await store.transaction(paid, () => 1, { payload: { amount: 1 } });
    const error = await errorOf(store.transaction(paid, () => 1, { payload: { amount: 2 } }));
    expect(error).toMatchObject({ code: 'KEY_REUSED' });
  });
});

describe('what the work may not do', () => {
  test.each([
    'COMMIT',
    ' rollback',
    'BEGIN',
    'end;',
    'ABORT',
    'START TRANSACTION',
    "PREPARE TRANSACTION 'a'",
  ])('it may not end the transaction: %s', async (sql) => {
    const [key, store] = [bench.key(), bench.store()];
    const error = await errorOf(store.transaction(key, (tx) => tx.query(sql)));
    expect(error).toMatchObject({ name: 'UsageError', code: 'INVALID_OPTIONS' });
  });

  const hiding: [how: string, sql: string][] = [
    ['a comment', '/* x */ COMMIT'],
    ['a line comment', '-- x\nCOMMIT'],
    ['a semicolon', ';COMMIT'],
    ['several statements', "INSERT INTO orders VALUES ('elsewhere'); COMMIT"],
    ['another transaction after it', 'SELECT 1; COMMIT; BEGIN'],
    ['a chain', 'SELECT 1; COMMIT AND CHAIN'],
    ['a rollback', "SELECT 1; ROLLBACK; INSERT INTO orders VALUES ('elsewhere')"],
    ['the savepoint', 'RELEASE SAVEPOINT twiceshy_work'],
  ];

  test.each(hiding)(
    'an end that is hidden is noticed where the work fails, and nothing runs twice: %s',
    async (_, sql) => {
      const [key, store] = [bench.key(), bench.store()];
      let runs = 0;
      const work = async (tx: Transaction): Promise<void> => {
        runs++;
        await order(tx, key);
        await tx.query(sql);
        throw new Error('the work failed');
      };
      const error = await errorOf(store.transaction(key, work));
      expect(error).toMatchObject({ name: 'UsageError', code: 'INVALID_OPTIONS' });
      expect(error.message).toMatch(/ended the transaction itself.*kept.*recorded as failed/);
      expect(await errorOf(bench.store().transaction(key, work))).toMatchObject({
        code: 'RESULT_UNAVAILABLE',
      });
      expect(runs).toBe(1);
      expect(await bench.orders(key)).toBeLessThanOrEqual(1);
      // The pool has its connections back, in no transaction.
      const { rows } = await store.pool.query<{ fresh: boolean }>(
        'SELECT now() = statement_timestamp() AS fresh',
      );
      expect(rows).toEqual([{ fresh: true }]);
      await bench.pool.query("DELETE FROM orders WHERE key = 'elsewhere'");
    },
  );

  test.each(hiding)('nor does it pass where the work succeeds: %s', async (_, sql) => {
    const [key, store] = [bench.key(), bench.store()];
    let runs = 0;
    const work = async (tx: Transaction): Promise<string> => {
      await order(tx, key);
      await tx.query(sql);
      return `run ${++runs}`;
    };
    const error = await errorOf(store.transaction(key, work));
    expect(error).toMatchObject({ name: 'UsageError', code: 'INVALID_OPTIONS' });
    const again = await bench
      .store()
      .transaction(key, work)
      .catch((refused: Error) => refused.message);
    expect(again).toMatch(/recorded too/.test(error.message) ? /^run 1$/ : /./);
    expect(runs).toBe(1);
    await bench.pool.query("DELETE FROM orders WHERE key = 'elsewhere'");
  });

  test('nor where a failure is released', async () => {
    const [key, store] = [bench.key(), bench.store()];
    let runs = 0;
    const work = async (tx: Transaction): Promise<void> => {
      runs++;
      await order(tx, key);
      await tx.query(';COMMIT');
      throw new Error('the work failed');
    };
    const release = { remember: () => 'release' as const };
    expect(await errorOf(store.transaction(key, work, release))).toMatchObject({ code: 'INVALID_OPTIONS' });
    await errorOf(bench.store().transaction(key, work, release));
    expect([runs, await bench.orders(key)]).toEqual([1, 1]);
  });

  test('what a query gave may be returned: a duplicate is given the same', async () => {
    const [key, store] = [bench.key(), bench.store()];
    const work = (tx: Transaction) => tx.query("SELECT 1 AS one, 'two' AS two, now() AS at");
    const first = await store.transaction(key, work);
    expect(first).toEqual({ rows: [{ one: 1, two: 'two', at: expect.any(Date) }], rowCount: 1 });
    expect(await bench.store().transaction(key, work)).toEqual(first);
    const several = bench.key();
    const both = (tx: Transaction) => tx.query('SELECT 1 AS a; SELECT 2 AS b');
    expect(await store.transaction(several, both)).toEqual(await bench.store().transaction(several, both));
  });

  test('it may not query when the transaction has ended', async () => {
    const [key, store] = [bench.key(), bench.store()];
    let kept: Transaction | undefined;
    await store.transaction(key, (tx) => void (kept = tx));
    expect(await errorOf(kept!.query('SELECT 1'))).toMatchObject({ code: 'INVALID_OPTIONS' });
  });

  test('unknown options, and those that make no sense here, are refused before anything runs', async () => {
    const store = bench.store();
    const bad = { onStoreError: 'run' } as object;
    expect(await errorOf(store.transaction(bench.key(), () => 1, bad))).toMatchObject({
      code: 'INVALID_OPTIONS',
    });
    expect(await errorOf(store.transaction('', () => 1))).toMatchObject({ code: 'INVALID_KEY' });
    expect(() => bench.store({ transactions: bad })).toThrow(/onStoreError/);
  });
});
