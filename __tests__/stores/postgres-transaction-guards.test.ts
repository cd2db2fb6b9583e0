/** What holds for every adapter holds in transactions: who is let in, what logs are told, what of a scope and an error is stored. */
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createIdempotency, inFlightPerScope, waitersPerKey, type AdmitFacts } from '../../src/index.js';
import type { PostgresStoreOptions } from '../../src/stores/postgres/store.js';
import { errorOf } from '../support/deferred.js';
import { Bench, heldWork, order } from './postgres-bench.js';

type Defaults = NonNullable<PostgresStoreOptions['transactions']>;

let bench: Bench;
beforeAll(async () => void (bench = await Bench.start()));
afterEach(() => bench.reset());
afterAll(() => bench.stop());

/** The address and all else that is stored of the records whose key ends so. */
async function storedOf(key: string): Promise<{ address: string; row: string }[]> {
  const { rows } = await bench.pool.query<{ address: string; row: string }>(
    'SELECT key AS address, to_jsonb(r)::text AS row FROM idempotency_records r WHERE key LIKE $1',
    [`%${key}`],
  );
  return rows;
}

describe('admit', () => {
  const open = (admit: NonNullable<Defaults['admit']>) => bench.store({ transactions: { admit } });

  test.each<[string, NonNullable<Defaults['admit']>, object]>([
    ['false', () => false, { code: 'LIMITED', retryAfterMs: 1_000 }],
    ['in how many milliseconds to come again', () => 7_500, { code: 'LIMITED', retryAfterMs: 7_500 }],
    ['a rejection', () => Promise.reject(new Error('down')), { code: 'LIMITED', cause: new Error('down') }],
    ['nonsense', () => 'no' as never, { code: 'INVALID_OPTIONS' }],
  ])('%s refuses before a connection is taken, and nothing is run', async (_, admit, refusal) => {
    const [key, store] = [bench.key(), open(admit)];
    let runs = 0;
    expect(await errorOf(store.transaction(key, () => ++runs))).toMatchObject(refusal);
    expect({ runs, connections: store.pool.totalCount }).toEqual({ runs: 0, connections: 0 });
    expect(await bench.record(key)).toBeUndefined();
  });

  test('is told what runs and waits, by the scope as it was given, also under a pepper', async () => {
    const facts: AdmitFacts[] = [];
    const admit = (each: AdmitFacts) => void facts.push(each);
    const store = bench.store({
      transactions: { admit, scope: 'acme', pepper: 'a secret of enough characters' },
    });
    const [key, other] = [bench.key(), bench.key()];
    const { work, begun, letGo } = heldWork(key);
    const first = store.transaction(key, work);
    await begun;
    const second = store.transaction(key, work);
    await store.transaction(other, () => 1);
    letGo();
    await Promise.all([first, second]);
    expect(facts).toMatchObject([
      {
        operation: 'run',
        scope: 'acme',
        keyLength: key.length,
        running: 0,
        waiting: 0,
        known: 0,
        sameKey: 0,
      },
      { running: 1, waiting: 0, known: 1, sameKey: 1 },
      { running: 1, waiting: 1, known: 1, sameKey: 0 },
    ]);
  });

  test('inFlightPerScope() and waitersPerKey(), and the place is free again after a COMMIT and a ROLLBACK', async () => {
    for (const admit of [inFlightPerScope(1), waitersPerKey(0)]) {
      const [key, store] = [bench.key(), open(admit)];
      const { work, begun, letGo } = heldWork(key);
      const first = store.transaction(key, work);
      await begun;
      expect(await errorOf(store.transaction(key, work))).toMatchObject({ code: 'LIMITED' });
      letGo();
      await first;
      const failing = () => Promise.reject(new Error('declined'));
      await expect(store.transaction(bench.key(), failing)).rejects.toThrow('declined');
      await expect(store.transaction(key, () => 'again')).resolves.not.toBe('again');
    }
  });
});

describe('keysInLogs', () => {
  const KINDS: [string, () => unknown, Partial<Defaults>][] = [
    ['a result that can not be kept', () => ({ f: () => 1 }), {}],
    [
      'an error whose objects are left out',
      () => {
        throw Object.assign(new Error('declined'), { request: { authorization: 'secret' } });
      },
      { remember: 'all' },
    ],
  ];
  async function linesOf(work: () => unknown, more: Partial<Defaults>) {
    const key = bench.key();
    const lines: string[] = [];
    const logger = {
      warn: (text: string, detail: unknown) => void lines.push(text + JSON.stringify(detail)),
    };
    const store = bench.store({ transactions: { logger, ...more } });
    await store.transaction(key, work).catch(() => undefined);
    return { key, lines };
  }

  test.each(KINDS)('plain by default: %s', async (_, work, more) => {
    const { key, lines } = await linesOf(work, more);
    expect(lines).toEqual([expect.stringContaining(`"${key}"`)]);
  });

  test.each(KINDS)('hash, in the text and the detail: %s', async (_, work, more) => {
    const { key, lines } = await linesOf(work, { ...more, keysInLogs: 'hash' });
    const hashed = createHash('sha256').update(key).digest('hex').slice(0, 16);
    expect(lines).toEqual([expect.stringContaining(`"${hashed}"`)]);
    expect(lines.join()).not.toContain(key);
  });
});

describe('pepper', () => {
  const pepper = 'a secret of enough characters';
  const scoped = { scope: 'acme' };

  test('the scope is stored as an HMAC: neither the address nor the row tells it', async () => {
    const [key, store] = [bench.key(), bench.store({ transactions: { pepper } })];
    expect(await store.transaction(key, () => 'first', scoped)).toBe('first');
    expect(await store.transaction(key, () => 'second', scoped)).toBe('first');
    const [stored, ...others] = await storedOf(key);
    expect(others).toEqual([]);
    expect(stored?.address).toMatch(/^idempotency:[0-9a-f]{32}:run:/);
    expect(stored?.row).not.toContain('acme');
  });

  test('scopes, peppers and no pepper are kept apart, and a run() of the same pepper shares the record', async () => {
    const key = bench.key();
    const store = bench.store({ transactions: { pepper } });
    const others = [bench.store({ transactions: { pepper: `${pepper}!` } }), bench.store()];
    await store.transaction(key, () => 'acme', scoped);
    expect(await store.transaction(key, () => 'other', { scope: 'other' })).toBe('other');
    for (const other of others) expect(await other.transaction(key, () => 'apart', scoped)).toBe('apart');
    expect(await storedOf(key)).toHaveLength(4);
    const idempotency = createIdempotency({ store, name: 'run', pepper, ...scoped });
    expect(await idempotency.run(key, () => 'ran')).toBe('acme');
    expect(await idempotency.get(key)).toMatchObject({ result: 'acme' });
  });
});

describe('what is stored of values', () => {
  test('redact is asked before they are recorded, and the rows of the work stay as they are', async () => {
    const codec = { redact: () => ({ card: 'redacted' }) };
    const [key, store] = [bench.key(), bench.store({ transactions: { codec } })];
    const work = async (tx: Parameters<typeof order>[0]) => (await order(tx, key), { card: '4111' });
    expect(await store.transaction(key, work)).toEqual({ card: '4111' });
    expect(await store.transaction(key, work)).toEqual({ card: 'redacted' });
    expect((await storedOf(key)).map(({ row }) => row).join()).not.toContain('4111');
    expect(await bench.orders(key)).toBe(1);
  });

  test('objects on an error are not recorded; what is a string, a number or a boolean is', async () => {
    const logger = { warn: () => undefined };
    const [key, store] = [bench.key(), bench.store({ transactions: { logger, remember: 'all' } })];
    const declined = Object.assign(new Error('declined'), {
      ...{ decline_code: 'insufficient_funds', status: 402, request: { authorization: 'sk_live' } },
      cause: Object.assign(new Error('inner'), { config: { password: 'sk_live' }, retryable: false }),
    });
    const work = () => Promise.reject(declined);
    expect(await errorOf(store.transaction(key, work))).toBe(declined);
    const replay = await errorOf(store.transaction(key, work));
    expect(replay).toMatchObject({
      ...{ message: 'declined', decline_code: 'insufficient_funds', status: 402 },
      cause: { message: 'inner', retryable: false },
    });
    expect((await storedOf(key)).map(({ row }) => row).join()).not.toContain('sk_live');
  });
});
