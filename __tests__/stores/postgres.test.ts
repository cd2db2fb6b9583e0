import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createIdempotency } from '../../src/index.js';
import { PostgresStore, sqlFor } from '../../src/stores/postgres/store.js';
import { errorOf } from '../support/deferred.js';
import { startPostgres } from '../support/postgres-server.js';
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

describe('the table', () => {
  test('is made by many instances at once, and again', async () => {
    const stores = Array.from({ length: 8 }, () => bench.store({ schema: 'at once', table: 'records' }));
    await Promise.all(stores.map((store) => store.createSchema()));
    await stores[0]!.createSchema();
    expect((await stores[1]!.claim(place(), request())).kind).toBe('acquired');
  });

  test('is made by the printed migration, which may run again', async () => {
    const where = { table: 'printed', schema: 'by_hand' };
    await bench.pool.query(sqlFor(where));
    await bench.pool.query(sqlFor(where));
    expect((await bench.store(where).claim(place(), request())).kind).toBe('acquired');
    const { rows } = await bench.pool.query("SELECT 1 FROM pg_indexes WHERE schemaname = 'by_hand'");
    expect(rows).toHaveLength(2);
  });

  test.each([
    { table: 'we"ird', schema: 'My Schema' },
    { table: "it's $1 RECORDS LITERAL WAKE", schema: '"' },
    { table: 'select' },
    { table: `${'x'.repeat(61)}é`, schema: 'UPPER' },
  ])('may have any name: %j', async (where) => {
    const store = bench.store(where);
    await store.createSchema();
    const key = place();
    const lease = await claim(store, key);
    let woken = (): void => undefined;
    const waking = new Promise<void>((resolve) => (woken = resolve));
    const leave = await store.subscribe!(key, woken);
    expect(await store.settle(key, lease, DONE)).toBe(true);
    await waking;
    leave();
    expect(await store.read(key)).toMatchObject({ status: 'COMPLETED' });
    expect(await store.cleanup()).toBe(0);
    const found = await bench.pool.query('SELECT 1 FROM pg_indexes WHERE tablename = $1', [where.table]);
    expect(found.rows).toHaveLength(2);
  });

  test('needs no right to create anything where it is there', async () => {
    await bench.pool.query(
      'CREATE ROLE guest LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_records TO guest',
    );
    const url = new URL(bench.server.url);
    url.username = 'guest';
    const store = bench.store({ url: url.href });
    await store.createSchema();
    expect(await createIdempotency({ name: 'run', store }).run(bench.key(), () => 1)).toBe(1);
    const refused = await errorOf(bench.store({ url: url.href, schema: 'new' }).createSchema());
    expect(refused).toMatchObject({ code: 'STORE_UNAVAILABLE', transient: false, cause: { code: '42501' } });
  });

  test('that does not exist: every call says what to run, and nothing is run', async () => {
    const store = bench.store({ table: 'missing' });
    const key = place();
    const lease = await claim(bench.store(), place());
    const calls = [
      () => store.claim(key, request()),
      () => store.renew(key, lease),
      () => store.step(key, lease, { name: 'a', payload: 'a' }),
      () => store.settle(key, lease, DONE),
      () => store.release(key, lease.token),
      () => store.read(key),
      () => store.override(key, { kind: 'forget', force: true }),
      () => store.cleanup(),
      () => store.subscribe!(key, () => undefined),
      () => store.transaction('a', () => 1),
    ];
    for (const call of calls) {
      const error = await errorOf(call());
      expect(error).toMatchObject({ name: 'StoreError', code: 'STORE_UNAVAILABLE', transient: false });
      expect(error.message).toMatch(/"missing".*createSchema\(\).*sqlFor\(\)/);
      expect(error.cause).toMatchObject({ code: '42P01' });
    }
  });

  test('of somebody else: the error says so', async () => {
    await bench.pool.query('CREATE TABLE other (key text PRIMARY KEY)');
    const error = await errorOf(bench.store({ table: 'other' }).claim(place(), request()));
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', transient: false, cause: { code: '42703' } });
    expect(error.message).toMatch(/not one that sqlFor\(\) prints/);
  });
});

describe('rows that are no records', () => {
  const corrupt = { name: 'StoreError', code: 'CORRUPT_RECORD', transient: false };

  test.each([
    ["status = 'GARBAGE'", /column status holds "GARBAGE"/],
    ['fence = -1', /column fence/],
    ["on_abandoned = ''", /column on_abandoned/],
    ["steps = '{}'", /column steps/],
    ["steps = '[1]'", /column steps/],
    ["previous_end = 'somehow'", /column previous_end/],
    ['fence = 9223372036854775807', /column fence/],
    ['attempt = -1', /column attempt/],
    ['failures = -1', /column failures/],
    ['created_us = -1', /column created_us/],
    ['started_us = 9223372036854775807', /column started_us/],
  ])('%s is CORRUPT_RECORD, and no attempt changes it', async (change, message) => {
    const table = `corrupt_${++places}`;
    const store = bench.store({ table });
    await store.createSchema();
    await bench.pool.query(
      `ALTER TABLE ${table} DROP CONSTRAINT ${table}_status_check, DROP CONSTRAINT ${table}_previous_end_check`,
    );
    const key = place();
    const first = await claim(store, key);
    await store.settle(key, first, { ...DONE, status: 'FAILED', final: true, failures: 1 });
    await bench.pool.query(`UPDATE ${table} SET ${change}`);
    const rowsNow = async (): Promise<unknown> => {
      const { rows } = await bench.pool.query<object>(`SELECT *, 0 AS hit_count FROM ${table} ORDER BY key`);
      return rows;
    };
    const before = await rowsNow();
    for (const attempt of [
      () => store.claim(key, request()),
      () => store.claim(key, request({ replacing: first.token })),
      () => store.read(key),
      () =>
        createIdempotency({ name: 'run', store, prefix: 'p' })
          .get('x')
          .then(() => store.read(key)),
    ]) {
      const error = await errorOf(attempt());
      expect(error).toMatchObject(corrupt);
      expect(error.message).toMatch(message);
      expect(error.message).toMatch(/forget\(\) the key, or delete the row/);
    }
    const stranger = { ...first, token: 'x'.repeat(16), fence: 1 };
    expect(await store.settle(key, stranger, DONE)).toBe(false);
    expect(await store.renew(key, stranger)).toBe(false);
    expect(await store.step(key, stranger, { name: 'a', payload: 'a' })).toBe(false);
    expect(await store.release(key, stranger.token)).toBe(false);
    expect(await rowsNow()).toEqual(before);
    const { status, final, payload, retentionMs } = DONE;
    const byHand = {
      kind: 'resolve',
      token: 'by-hand-00000000',
      status,
      final,
      payload,
      retentionMs,
    } as const;
    expect(await store.override(key, byHand)).toBe('done');
    expect(await store.read(key)).toMatchObject({ status: 'COMPLETED', token: byHand.token });
    await bench.pool.query(`UPDATE ${table} SET ${change}`);
    expect(await store.override(key, { kind: 'forget', force: true })).toBe('done');
    expect(await store.read(key)).toBeUndefined();
    await claim(store, key);
  });
});

describe('keys and values', () => {
  test('addresses longer than an index can hold are told apart by their last character', async () => {
    const store = bench.store();
    const noise = Array.from({ length: 3_000 }, (_, index) =>
      String.fromCodePoint(0x4e00 + ((index * 7919) % 20_000)),
    );
    const long = noise.join('');
    const keys = ['a', 'b'].map((end) => keyAt(`p:Task:${long}${end}`, 'abc-_1'));
    const leases = await Promise.all(keys.map((key) => claim(store, key)));
    for (const [index, key] of keys.entries())
      expect(await store.read(key)).toMatchObject({ token: leases[index]?.token });
  });

  test('a database of another encoding keeps what it can, and says what it cannot', async () => {
    await bench.pool.query(
      "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    const url = new URL(bench.server.url);
    url.pathname = '/latin';
    const store = bench.store({ url: url.href });
    await store.createSchema();
    const idempotency = createIdempotency({ name: 'run', store });
    expect(await idempotency.run('é', () => 'é')).toBe('é');
    const error = await errorOf(store.claim(keyAt('漢', 'abc-_1'), request()));
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', cause: { code: '22P05' } });
    expect(error.message).toMatch(/encoding is UTF8/);
  });

  test("type parsers of the user's make no difference", async () => {
    const types = { getTypeParser: () => (text: string) => text };
    const pool = bench.server.pool({ types: types });
    const store = new PostgresStore(pool, { listen: false });
    const key = place();
    const lease = await claim(store, key);
    expect(lease).toMatchObject({ attempt: 1, fence: expect.any(Number), steps: [] });
    expect(await store.release(key, lease.token)).toBe(true);
    const again = await claim(store, key);
    await store.settle(key, again, DONE);
    expect(await store.read(key)).toMatchObject({ final: true, hitCount: 0 });
    await store.createSchema();
  });
});

describe('round trips', () => {
  test('G1: claim, renew, step, settle, release and read are one statement each', async () => {
    const sent: string[] = [];
    const counting = watchedPool(bench.server.pool(), (query, send) => {
      sent.push(query.text);
      return send(query);
    });
    const store = new PostgresStore(counting);
    const key = place();
    const lease = await claim(store, key);
    const steps: [string, () => Promise<unknown>][] = [
      ['a losing claim', () => store.claim(key, request())],
      ['renew', () => store.renew(key, lease)],
      ['step', () => store.step(key, lease, { name: 'a', payload: 'a' })],
      ['settle', () => store.settle(key, lease, DONE)],
      ['a replay', () => store.claim(key, request())],
      ['read', () => store.read(key)],
      ['release', () => store.release(key, lease.token)],
      ['forget', () => store.override(key, { kind: 'forget', force: false })],
    ];
    expect(sent).toHaveLength(1);
    for (const [what, step] of steps) {
      sent.length = 0;
      await step();
      expect([what, sent.length]).toEqual([what, 1]);
    }
  });

  test('a statement is planned once a connection', async () => {
    const named: (string | undefined)[] = [];
    const pool = bench.server.pool({ max: 1 });
    const store = new PostgresStore(
      watchedPool(pool, (query, send) => {
        named.push(query.name);
        return send(query);
      }),
      { listen: false },
    );
    for (const key of [place(), place()]) await store.settle(key, await claim(store, key), DONE);
    const { rows } = await pool.query('SELECT name FROM pg_prepared_statements ORDER BY name');
    expect(rows.map(({ name }: { name: string }) => name)).toEqual(named.slice(0, 2).sort());
    expect(named.slice(2)).toEqual(named.slice(0, 2));
  });

  test('not where connections keep no plans: it finds out, says so once, and goes on', async () => {
    const pool = bench.server.pool({ max: 1 });
    const warnings: string[] = [];
    const store = new PostgresStore(pool, {
      listen: false,
      onWarning: (message) => void warnings.push(message),
    });
    const [key, other] = [place(), place()];
    const lease = await claim(store, key);
    await pool.query('DEALLOCATE ALL');
    expect((await store.claim(key, request())).kind).toBe('existing');
    expect(await store.settle(key, lease, DONE)).toBe(true);
    await claim(store, other);
    expect(warnings).toEqual([expect.stringContaining('prepare: false')]);
    const { rows } = await pool.query('SELECT name FROM pg_prepared_statements');
    expect(rows).toEqual([]);
  });

  test('nor with prepare: false', async () => {
    const pool = bench.server.pool({ max: 1 });
    await claim(new PostgresStore(pool, { listen: false, prepare: false }), place());
    expect((await pool.query('SELECT name FROM pg_prepared_statements')).rows).toEqual([]);
  });

  test('a claim that is refused by a running attempt writes nothing', async () => {
    const [store, key] = [bench.store(), place()];
    await claim(store, key);
    const where = ['SELECT ctid, xmin FROM idempotency_records WHERE key = $1', [key.address]] as const;
    const before = await bench.pool.query(where[0], [...where[1]]);
    await store.claim(key, request());
    const after = await bench.pool.query(where[0], [...where[1]]);
    expect(after.rows).toEqual(before.rows);
  });
});

describe('cleanup', () => {
  const expire = async (table: string, count: number): Promise<void> => {
    await bench.pool.query(
      `INSERT INTO ${table} (key, digest, status, final, token, fence, attempt, failures, on_abandoned, created_us, started_us, lease_ends_us, expires_us)
       SELECT 'old-' || n, 'abc-_1', 'COMPLETED', true, 't', n, 1, 0, 'retry', 1, 1, 0, n FROM generate_series(1, ${count}) n`,
    );
  };

  test('deletes what has expired, batch by batch, and nothing else', async () => {
    const store = bench.store({ table: 'swept' });
    await store.createSchema();
    await expire('swept', 25);
    const key = place();
    const lease = await claim(store, key);
    expect(await store.cleanup({ batch: 10 })).toBe(25);
    expect(await store.cleanup()).toBe(0);
    expect(await store.read(key)).toMatchObject({ token: lease.token });
  });

  test('many instances share the work, and none waits for what another has', async () => {
    const stores = Array.from({ length: 6 }, () => bench.store({ table: 'shared' }));
    await stores[0]!.createSchema();
    await expire('shared', 3_000);
    const other = await bench.pool.connect();
    await other.query("BEGIN; SELECT 1 FROM shared WHERE key = 'old-7' FOR UPDATE");
    const counts = await Promise.all(stores.map((store) => store.cleanup({ batch: 50 })));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2_999);
    await other.query('COMMIT');
    other.release();
    expect(await stores[0]!.cleanup()).toBe(1);
  });

  test('startCleanup() does it until stopCleanup(), and warns when it cannot', async () => {
    const warnings: string[] = [];
    const store = bench.store({ table: 'timed', onWarning: (message) => void warnings.push(message) });
    store.startCleanup(5);
    const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
      while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await until(() => warnings.length > 0);
    expect(warnings[0]).toMatch(/cleanup.*will be tried again.*createSchema/);
    await store.createSchema();
    await expire('timed', 10);
    const left = async () => (await bench.pool.query('SELECT 1 FROM timed')).rows.length;
    await until(async () => (await left()) === 0);
    store.stopCleanup();
    await store.close();
    for (const bad of [0, -1, NaN, Infinity, 2 ** 40])
      expect(() => store.startCleanup(bad)).toThrow(/milliseconds/);
    expect(await errorOf(store.cleanup({ batch: 0.5 }))).toMatchObject({ code: 'INVALID_OPTIONS' });
  });
});

describe('options', () => {
  const pool = {
    query: () => Promise.reject(new Error('unused')),
    connect: () => Promise.reject(new Error('unused')),
  };

  test.each([
    [{ tabel: 'x' }, /no option "tabel"/],
    [{ table: '' }, /table must be a non-empty string/],
    [{ table: 'a.b' }, /give \{ schema, table \}/],
    [{ schema: 'x'.repeat(64) }, /63 bytes/],
    [{ table: 'a\0b' }, /NUL/],
    [{ timeoutMs: 0 }, /timeoutMs/],
    [{ timeoutMs: NaN }, /timeoutMs/],
    [{ listen: 'yes' }, /listen/],
    [{ transactions: { ttl: -1 } }, /ttl/],
  ])('%j is refused', (options, message) => {
    const make = () => new PostgresStore(pool, options as object);
    expect(make).toThrow(message);
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
  });

  test('what is no pool is refused, a single client too, and LISTEN on a pool of one', async () => {
    const { Client } = await import('pg');
    for (const bad of [undefined, {}, 'postgres://localhost', { query: () => 1 }])
      expect(() => new PostgresStore(bad as never)).toThrow(/takes a Pool of pg/);
    expect(() => new PostgresStore(new Client() as never)).toThrow(/not a single Client/);
    expect(() => bench.store({ max: 1, listen: true })).toThrow(/listen: false/);
    expect(bench.store({ max: 2 }).subscribe).toBeUndefined();
    expect(bench.store({ listen: false }).subscribe).toBeUndefined();
  });
});

test('a server of its own is started for the tests, or DATABASE_URL is used', async () => {
  const before = process.env['DATABASE_URL'];
  process.env['DATABASE_URL'] = bench.server.url;
  try {
    const borrowed = await startPostgres();
    await bench.pool.query('SELECT 1');
    expect(new URL(borrowed.url).pathname).toMatch(/^\/twiceshy_/);
    await new PostgresStore(borrowed.pool({ max: 1 })).createSchema();
    await borrowed.restart();
    await borrowed.stop();
  } finally {
    if (before === undefined) delete process.env['DATABASE_URL'];
    else process.env['DATABASE_URL'] = before;
  }
});
