import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Lease, StoreKey } from '../../src/core/record.js';
import { createIdempotency } from '../../src/index.js';
import { FORMAT_VERSION, RECORD_FIELDS } from '../../src/stores/shared/record-fields.js';
import type { PostgresStore } from '../../src/stores/postgres/store.js';
import { errorOf } from '../support/deferred.js';
import { Bench } from './postgres-bench.js';
import { claim, DONE, request } from './redis-steps.js';

let bench: Bench;
beforeAll(async () => void (bench = await Bench.start()));
afterEach(() => bench.reset());
afterAll(() => bench.stop());

const FAILED = { ...DONE, status: 'FAILED', final: false, failures: 1, payload: '"why"' } as const;

let tables = 0;
let table: string;
let store: PostgresStore;
beforeEach(async () => {
  table = `format_${++tables}`;
  store = bench.store({ table });
  await store.createSchema();
});

const key: StoreKey = {
  ...{ prefix: 'idempotency', scope: undefined, operation: 'op', key: 'k' },
  ...{ address: 'idempotency:op:k', digest: 'abc-_1' },
};

async function rows(): Promise<Record<string, unknown>[]> {
  const found = await bench.pool.query<Record<string, unknown>>(`SELECT * FROM ${table}`);
  return found.rows;
}
const update = (changes: string): Promise<unknown> => bench.pool.query(`UPDATE ${table} SET ${changes}`);

describe('the columns', () => {
  test('are the key, the fields of the record, and what a release undid', async () => {
    const { rows: columns } = await bench.pool.query<{ column_name: string }>(
      'SELECT column_name FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position',
      [table],
    );
    const fields = Object.values(RECORD_FIELDS).flatMap((field) => ('column' in field ? [field.column] : []));
    expect(columns.map((column) => column.column_name)).toEqual(['key', ...fields, 'undone']);
  });

  test('name the version that wrote the row', async () => {
    await claim(store, key);
    expect(await rows()).toMatchObject([{ version: FORMAT_VERSION }]);
  });
});

describe('a row of version 3, which only a newer version of the library reads', () => {
  const tooNew = { name: 'StoreError', code: 'RECORD_TOO_NEW', transient: false };
  const BY_HAND = { kind: 'resolve', token: 'by-hand-00000000', ...DONE } as const;

  /** Its fields may mean anything. */
  const fromTheFuture = `version = 3, on_abandoned = 'perhaps', attempt = -1, failures = -1, fingerprint = '?', created_us = -1,
    started_us = -1, traceparent = '?', holder = '?', facts = '?', steps = '[1]', previous_end = NULL`;

  test.each(['IN_PROGRESS', 'COMPLETED', 'FAILED'])(
    '%s: is told to upgrade to who claims or reads it, and no attempt changes it, its own neither',
    async (status) => {
      const own = await claim(store, key);
      await update(`${fromTheFuture}, status = '${status}', lease_ends_us = 0`);
      const before = await rows();
      for (const attempt of [
        () => store.claim(key, request()),
        () => store.claim(key, request({ token: own.token })),
        () => store.claim(key, request({ replacing: own.token })),
        () => store.read(key),
      ]) {
        const error = await errorOf(attempt());
        expect(error).toMatchObject(tooNew);
        expect(error.message).toMatch(/"idempotency:op:k".*format 3.*upgrade/);
      }
      for (const lease of [own, { ...own, token: 'x'.repeat(16), fence: Number.MAX_SAFE_INTEGER }]) {
        expect(await store.renew(key, lease)).toBe(false);
        expect(await store.step(key, lease, { name: 'a', payload: 'a' })).toBe(false);
        expect(await store.settle(key, lease, DONE)).toBe(false);
        expect(await store.release(key, lease.token)).toBe(false);
      }
      expect(await rows()).toEqual(before);
    },
  );

  test('is left alone by all but people also when it has expired, by the cleanup too', async () => {
    const own = await claim(store, key);
    await update(`${fromTheFuture}, expires_us = 1`);
    const before = await rows();
    expect(await errorOf(store.claim(key, request()))).toMatchObject(tooNew);
    expect(await errorOf(store.read(key))).toMatchObject(tooNew);
    expect(await store.settle(key, own, DONE)).toBe(false);
    expect(await store.release(key, 'x'.repeat(16))).toBe(false);
    expect(await store.cleanup()).toBe(0);
    expect(await rows()).toEqual(before);
  });

  test('runs nothing: not in run(), nor in a transaction', async () => {
    const idempotency = createIdempotency({ store });
    await idempotency.run('k', () => 1, { name: 'op' });
    await update(fromTheFuture);
    const before = await rows();
    let runs = 0;
    const work = () => ++runs;
    expect(await errorOf(idempotency.run('k', work, { name: 'op' }))).toMatchObject(tooNew);
    expect(await errorOf(store.transaction('k', work, { name: 'op' }))).toMatchObject(tooNew);
    expect([runs, await rows()]).toEqual([0, before]);
  });

  test('a person may forget it', async () => {
    const { fence } = await claim(store, key);
    await update(fromTheFuture);
    expect(await store.override(key, { kind: 'forget', force: false })).toBe('done');
    expect(await store.read(key)).toBeUndefined();
    const next = await claim(store, key);
    expect(next).toMatchObject({ attempt: 1, steps: [] });
    expect(next.fence).toBeGreaterThan(fence);
  });

  test('a person may resolve it: nothing is kept of what nobody here can read', async () => {
    const { fence } = await claim(store, key);
    await update(fromTheFuture);
    expect(await store.override(key, BY_HAND)).toBe('done');
    const record = await store.read(key);
    expect(record).toMatchObject({
      ...{ status: 'COMPLETED', final: true, token: BY_HAND.token, payload: DONE.payload, attempt: 1 },
      ...{ failures: 0, fingerprint: undefined, onAbandoned: 'retry', notes: undefined },
    });
    expect(record?.fence).toBeGreaterThan(fence);
    expect(await store.claim(key, request())).toMatchObject({ kind: 'existing', record: { final: true } });
  });
});

test.each([0, 1])('a row of version %d is CORRUPT_RECORD: the table is to be made again', async (version) => {
  await store.settle(key, await claim(store, key), DONE);
  await update(`version = ${version}`);
  for (const call of [() => store.claim(key, request()), () => store.read(key)]) {
    const error = await errorOf(call());
    expect(error).toMatchObject({ code: 'CORRUPT_RECORD', transient: false });
    expect(error.message).toMatch(/never published.*make it again with createSchema\(\)/);
  }
});

describe('G5: what a release restored has the fence of the attempt that was undone', () => {
  const AHEAD = 8_000_000_000_000_000;

  test.each(['failed', 'abandoned'] as const)(
    'so that fences grow although the clock of the database is behind them: %s',
    async (end) => {
      const first = await claim(store, key);
      await store.settle(key, first, end === 'failed' ? FAILED : { ...FAILED, status: 'IN_PROGRESS' });
      await update(`fence = ${AHEAD}`);
      const replacing = request({ replacing: first.token });
      const second = await store.claim(key, replacing);
      expect(second).toMatchObject({ kind: 'acquired', grant: { attempt: 2, fence: AHEAD + 1 } });
      expect(await store.release(key, replacing.token)).toBe(true);
      expect(await store.read(key)).toMatchObject({
        ...{ token: first.token, attempt: 1, fence: AHEAD + 1, restored: true },
      });
      const third = await store.claim(key, request({ replacing: first.token }));
      expect(third).toMatchObject({ kind: 'acquired', grant: { attempt: 2, fence: AHEAD + 2 } });
    },
  );

  test('a tombstone as well', async () => {
    await claim(store, key);
    await store.override(key, { kind: 'forget', force: true });
    await update(`fence = ${AHEAD}`);
    const undone = await claim(store, key);
    expect(undone.fence).toBe(AHEAD + 1);
    expect(await store.release(key, undone.token)).toBe(true);
    expect(await claim(store, key)).toMatchObject({ fence: AHEAD + 2 });
  });

  test('a claim over the mark of a withdrawn one restores nothing', async () => {
    const gone = await claim(store, key);
    await store.release(key, gone.token);
    await store.release(key, 'x'.repeat(16));
    const lease = await claim(store, key);
    expect(await store.read(key)).toMatchObject({ token: lease.token, restored: false });
    expect((await store.claim(key, request({ token: 'x'.repeat(16) }))).kind).toBe('existing');
  });
});

describe('who ran, and what was asked', () => {
  const notes = { traceparent: '00-0af7-b7ad-01', holder: 'höst\0:1\u0001', facts: '{"a":"é\0\n"}\u0001' };
  const ended = { ...notes, holder: undefined };
  const noted = async (overrides: object = {}): Promise<Lease> => {
    const terms = request({ notes, ...overrides });
    const answer = await store.claim(key, terms);
    if (answer.kind !== 'acquired') throw new Error('expected a lease');
    return { ...terms, ...answer.grant };
  };
  const lose = (): Promise<unknown> => bench.pool.query(`DELETE FROM ${table}`);

  test('stands in the record, as any text; who ran goes when the attempt ends, also without an outcome', async () => {
    const first = await noted();
    expect(await store.read(key)).toMatchObject({ notes, startedAtMs: first.startedAtMs });
    await store.settle(key, first, { ...FAILED, status: 'IN_PROGRESS' });
    expect((await store.read(key))?.notes).toEqual(ended);
    const second = await noted({ replacing: first.token });
    expect((await store.read(key))?.notes).toEqual(notes);
    await store.settle(key, second, DONE);
    expect((await store.read(key))?.notes).toEqual(ended);
  });

  test('nothing was given: nothing stands there', async () => {
    const lease = await noted({ notes: undefined });
    expect((await store.read(key))?.notes).toBeUndefined();
    await store.settle(key, lease, DONE);
    expect((await store.read(key))?.notes).toBeUndefined();
  });

  test('an attempt that takes over has a start and notes of its own, and the creation of the first', async () => {
    const first = await noted();
    await update('lease_ends_us = 1, created_us = 5000000, started_us = 6000000');
    const taken = await noted({ replacing: first.token, notes: { holder: 'other' } });
    expect(taken.createdAtMs).toBe(5_000);
    expect(taken.startedAtMs).toBeGreaterThan(6_000);
    const { createdAtMs, startedAtMs } = taken;
    expect(await store.read(key)).toMatchObject({ createdAtMs, startedAtMs, notes: { holder: 'other' } });
    expect((await store.read(key))?.notes?.traceparent).toBeUndefined();
    // The release brings back those of the first.
    expect(await store.release(key, taken.token)).toBe(true);
    expect(await store.read(key)).toMatchObject({ createdAtMs: 5_000, startedAtMs: 6_000, notes });
  });

  test.each([
    ['renew', (lease: Lease) => store.renew(key, lease), notes],
    ['step', (lease: Lease) => store.step(key, lease, { name: 'a', payload: 'a' }), notes],
    ['settle', (lease: Lease) => store.settle(key, lease, DONE), ended],
  ])('%s writes them anew over absence', async (_, write, left) => {
    const lease = { ...(await noted()), startedAtMs: 7_000 };
    await lose();
    expect(await write(lease)).not.toBe(false);
    const record = await store.read(key);
    expect(record).toMatchObject({ startedAtMs: 7_000, createdAtMs: lease.createdAtMs });
    expect(record?.notes).toEqual(left);
  });

  test("a person's outcome keeps what was asked, and names no holder", async () => {
    await noted();
    await update('lease_ends_us = 1');
    await store.override(key, { kind: 'resolve', token: 'by-hand-00000000', ...DONE });
    expect((await store.read(key))?.notes).toEqual(ended);
  });

  test('a record that was forgotten leaves none of it', async () => {
    await noted();
    await store.override(key, { kind: 'forget', force: true });
    expect(await rows()).toMatchObject([{ traceparent: null, holder: null, facts: null }]);
  });
});
