import { afterEach, describe, expect, test } from '@jest/globals';
import {
  ConcurrentBehavior,
  idempotent,
  InMemoryStore,
  isIdempotencyError,
  type IdempotentOptions,
  type Remember,
} from '../../src/index.js';
import { deferred, errorOf } from '../support/deferred.js';
import { FaultyStore, storeDown } from '../support/faulty-store.js';

const SILENT = {};
const mustNotRun = () => {
  throw new Error('must not run');
};

/** `idempotent()` on one memory store, as any number of processes would use it. */
function onOneStore() {
  const store = new InMemoryStore();
  const process = () => {
    const faulty = new FaultyStore(store);
    const call = <T>(options: Partial<IdempotentOptions<T>>) =>
      idempotent<T>({ key: 'k', store: faulty, logger: SILENT, execute: mustNotRun, ...options });
    return { faulty, call };
  };
  return { store, process };
}

/** A call that runs until the gate opens, in a process of its own. */
async function running<T>(options: Partial<IdempotentOptions<T>> = {}) {
  const { store, process } = onOneStore();
  const owner = process();
  const gate = deferred<T>();
  const started = deferred();
  const answer = owner.call<T>({
    execute: () => {
      started.resolve();
      return gate.promise;
    },
    ...options,
  });
  answer.catch(() => undefined);
  await started.promise;
  return { store, process, owner, gate, answer };
}

describe('by default', () => {
  test('the process-wide memory store keeps a result for an hour', async () => {
    let runs = 0;
    let expiresAt = 0;
    const call = () =>
      idempotent({
        key: 'defaults',
        execute: async () => ({ chargeId: `ch_${++runs}`, at: new Date(0) }),
        onCacheHit: (_, record) => void (expiresAt = record.expiresAt),
      });
    const before = Date.now();
    const first = await call();
    expect(await call()).toEqual(first);
    expect(runs).toBe(1);
    expect(expiresAt - before).toBeGreaterThan(3_590_000);
    expect(expiresAt - Date.now()).toBeLessThanOrEqual(3_600_000);
  });

  test('a duplicate waits for the first call, and costs no store command in the same process', async () => {
    const { owner, gate, answer } = await running<string>();
    const duplicates = Array.from({ length: 50 }, () => owner.call<string>({}));
    gate.resolve('paid');
    expect(new Set(await Promise.all([answer, ...duplicates]))).toEqual(new Set(['paid']));
    expect(owner.faulty.calls).toMatchObject({ claim: 1, settle: 1, read: 0 });
  });

  test('a duplicate in another process waits too', async () => {
    const { process, gate, answer } = await running<string>();
    const duplicate = process().call<string>({});
    gate.resolve('paid');
    expect(await Promise.all([answer, duplicate])).toEqual(['paid', 'paid']);
  });

  test('the work is given its attempt, and may return a plain value or nothing', async () => {
    const { process } = onOneStore();
    const { call } = process();
    const told = await call({ execute: ({ key, attempt, fence }) => ({ key, attempt, fenced: fence! > 0 }) });
    expect(told).toEqual({ key: 'k', attempt: 1, fenced: true });
    expect(await call({ key: 'nothing', execute: () => undefined })).toBeUndefined();
    expect(await call({ key: 'nothing', execute: mustNotRun })).toBeUndefined();
  });
});

describe('concurrentBehavior', () => {
  test.each([['REJECT'], [ConcurrentBehavior.REJECT]] as const)(
    '%s throws CONCURRENT_REQUEST at once, in this process and another, and replays when it is done',
    async (concurrentBehavior) => {
      const { process, owner, gate, answer } = await running<string>();
      for (const { call } of [owner, process()]) {
        expect(await errorOf(call({ concurrentBehavior }))).toMatchObject({ code: 'CONCURRENT_REQUEST' });
      }
      gate.resolve('paid');
      await answer;
      expect(await owner.call({ concurrentBehavior })).toBe('paid');
    },
  );

  test('WAIT ends in IDEMPOTENCY_TIMEOUT after waitTimeout; the work goes on', async () => {
    const { process, owner, gate, answer } = await running<string>();
    for (const { call } of [owner, process()]) {
      const error = await errorOf(call({ concurrentBehavior: 'WAIT', waitTimeout: 20 }));
      expect(error).toMatchObject({ code: 'IDEMPOTENCY_TIMEOUT' });
    }
    gate.resolve('paid');
    expect(await answer).toBe('paid');
  });

  test('a caller whose signal is aborted stops waiting; the work goes on', async () => {
    const { process, gate, answer } = await running<string>();
    const leaving = new AbortController();
    const waiting = process().call({ signal: leaving.signal });
    leaving.abort(new Error('gone'));
    expect((await errorOf(waiting)).message).toBe('gone');
    gate.resolve('paid');
    expect(await answer).toBe('paid');
  });
});

describe('a failure', () => {
  class CardDeclined extends Error {
    readonly code = 'card_declined';
    constructor(readonly declineCode: string) {
      super('the card was declined', { cause: new RangeError('over the limit') });
      this.name = 'CardDeclined';
    }
  }
  const declined = {
    name: 'CardDeclined',
    message: 'the card was declined',
    code: 'card_declined',
    declineCode: 'insufficient_funds',
    cause: expect.objectContaining({ name: 'RangeError', message: 'over the limit' }),
  };

  test('reaches everybody who waited on the attempt, is kept as FAILED, and the next call runs again', async () => {
    const { store, process, owner, gate, answer } = await running<string>();
    const records: unknown[] = [];
    const onCacheHit = (_: string, record: object) => records.push(record);
    const other = process();
    const joined = [owner, owner, other].map(({ call }) => errorOf(call({ onCacheHit })));
    while (idempotent.stats({ store: other.faulty }).waits === 0) await new Promise((r) => setImmediate(r));
    gate.reject(new CardDeclined('insufficient_funds'));
    for (const error of [await errorOf(answer), ...(await Promise.all(joined))]) {
      expect(error).toBeInstanceOf(Error);
      expect(error).toMatchObject(declined);
      expect(error.constructor.name).toBe('CardDeclined');
    }
    expect(records).toEqual(
      Array(3).fill(expect.objectContaining({ status: 'FAILED', error: expect.objectContaining(declined) })),
    );
    expect(store.size).toBe(1);
    expect(await other.call({ execute: ({ attempt }) => `attempt ${attempt}` })).toBe('attempt 2');
  });

  test.each([
    ['all', 'all'],
    ['a predicate', (error: unknown) => error instanceof CardDeclined],
    ['a verdict', () => 'final'],
  ] as [string, Remember<unknown>][])(
    'that remember (%s) chooses is final, and replayed as the same error',
    async (_, remember) => {
      const { process } = onOneStore();
      const { call } = process();
      const execute = () => {
        throw new CardDeclined('insufficient_funds');
      };
      await errorOf(call({ remember, execute }));
      const replayed = await errorOf(process().call({ remember }));
      expect(replayed).toMatchObject(declined);
      expect(replayed.constructor.name).toBe('CardDeclined');
    },
  );

  test('that remember does not choose is run again', async () => {
    const { process } = onOneStore();
    const { call } = process();
    const remember = (error: unknown) => error instanceof CardDeclined;
    const execute = () => Promise.reject(new TypeError('a bug'));
    await errorOf(call({ remember, execute }));
    expect(await call({ remember, execute: () => 'again' })).toBe('again');
  });

  test('is not hidden by a remember function that throws', async () => {
    const { process } = onOneStore();
    const warnings: string[] = [];
    const error = await errorOf(
      process().call({
        logger: { warn: (message) => warnings.push(message) },
        execute: () => Promise.reject(new CardDeclined('x')),
        remember: () => {
          throw new Error('a bug in the predicate');
        },
      }),
    );
    expect(error).toMatchObject({ name: 'CardDeclined' });
    expect(warnings.join()).toContain('a bug in the predicate');
    expect(await process().call({ execute: ({ attempt }) => attempt })).toBe(2);
  });

  test('to store a success never turns it into a failure, and never runs the work twice (G7)', async () => {
    const { process } = onOneStore();
    const { faulty, call } = process();
    faulty.faults.settle = () => {
      throw storeDown();
    };
    let runs = 0;
    const execute = () => `paid ${++runs}`;
    expect(await call({ execute, storeTimeout: 30 })).toBe('paid 1');
    expect(await call({ execute })).toBe('paid 1');
    const recorded = deferred();
    faulty.faults.settle = (moment) => (moment === 'answered' ? recorded.resolve() : undefined);
    await recorded.promise;
    expect(await process().call({ execute })).toBe('paid 1');
  });

  test('of a success that has no form ends for duplicates in RESULT_UNAVAILABLE, not in a second run', async () => {
    const { process } = onOneStore();
    const socket = new (class Socket {})();
    expect(await process().call({ execute: () => socket })).toBe(socket);
    expect(await errorOf(process().call({}))).toMatchObject({ code: 'RESULT_UNAVAILABLE' });
  });
});

describe('the key', () => {
  test('wins over keyGenerator', async () => {
    const { process } = onOneStore();
    const { call } = process();
    await call({ execute: () => 'by key' });
    expect(await call({ keyGenerator: mustNotRun })).toBe('by key');
  });

  test('comes from keyGenerator where none is given, which may be async', async () => {
    const store = new InMemoryStore();
    const keyGenerator = async () => 'generated';
    await idempotent({ store, keyGenerator, execute: () => 'first' });
    expect(await idempotent({ store, key: 'generated', execute: mustNotRun })).toBe('first');
  });

  test('is made up for each call where there is neither, with one warning that this protects nothing', async () => {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => warnings.push(message) };
    let runs = 0;
    const call = () => idempotent({ store: new InMemoryStore(), logger, execute: () => ++runs });
    expect([await call(), await call()]).toEqual([1, 2]);
    expect(warnings).toEqual([expect.stringMatching(/neither key nor keyGenerator.*protects nothing/)]);
  });

  test.each([
    ['given as undefined', { key: undefined }],
    ['given as null', { key: null }],
    ['empty', { key: '' }],
    ['huge', { key: 'x'.repeat(513) }],
    ['with a control character', { key: 'a\nb' }],
    ['a number', { key: 42 }],
    ['of a missing value', { key: 'user:undefined' }],
    ['of a generator that gives nothing', { keyGenerator: () => undefined }],
    ['of a generator that throws', { keyGenerator: () => Promise.reject(new Error('no order')) }],
  ])('%s is INVALID_KEY, and nothing runs (G10)', async (_, options) => {
    const error = await errorOf(
      idempotent({ logger: SILENT, execute: mustNotRun, ...options } as IdempotentOptions<string>),
    );
    expect(isIdempotencyError(error, 'INVALID_KEY')).toBe(true);
    expect(error.message.length).toBeGreaterThan(20);
  });

  test('that is the same in two stores, prefixes, scopes or names never meets, at once or later (G10)', async () => {
    const store = new InMemoryStore();
    const places = [
      { store },
      { store: new InMemoryStore() },
      {},
      { store, prefix: 'other' },
      { store, scope: 'tenant-a' },
      { store, scope: 'tenant-b' },
      { store, name: 'refund' },
    ];
    const started = deferred();
    let runs = 0;
    const calls = places.map((place, at) =>
      idempotent({
        key: 'same',
        ...place,
        // None ends before all have begun, so that one that joined another would hang.
        execute: async () => (++runs === places.length && started.resolve(), await started.promise, at),
      }),
    );
    const expected = places.map((_, at) => at);
    expect(await Promise.all(calls)).toEqual(expected);
    const again = places.map((place) => idempotent({ key: 'same', ...place, execute: mustNotRun }));
    expect(await Promise.all(again)).toEqual(expected);
  });

  test('is refused with KEY_REUSED when it comes with another payload', async () => {
    const { process } = onOneStore();
    const { call } = process();
    await call({ payload: { amount: 1 }, execute: () => 'paid' });
    expect(await call({ payload: { amount: 1 } })).toBe('paid');
    expect(await errorOf(call({ payload: { amount: 2 } }))).toMatchObject({ code: 'KEY_REUSED' });
  });
});

describe('after a crash', () => {
  /** An owner whose every later command is lost, and whose lease is over. */
  async function crashed(options: Partial<IdempotentOptions<string>> = {}) {
    const terms = { lease: 30, storeTimeout: 30, waitTimeout: 1, ...options };
    const { owner, process, gate, answer } = await running<string>(terms);
    owner.faulty.cut();
    end = async () => {
      owner.faulty.heal();
      gate.resolve('late');
      await answer.catch(() => undefined);
    };
    return process();
  }
  let end: () => Promise<void>;
  afterEach(() => end());

  test('the next call takes over', async () => {
    const { call, faulty } = await crashed();
    expect(await call({ execute: ({ attempt }) => `attempt ${attempt}` })).toBe('attempt 2');
    expect(idempotent.stats({ store: faulty })).toMatchObject({ takeovers: 1, misses: 1 });
  });

  test('block refuses with IN_DOUBT', async () => {
    const { call } = await crashed({ onAbandoned: 'block' });
    expect(await errorOf(call({ onAbandoned: 'block' }))).toMatchObject({ code: 'IN_DOUBT' });
  });

  test('a reconcile function gives the answer, and the work does not run', async () => {
    const { call } = await crashed();
    const onAbandoned = () => ({ completed: 'found at the provider' });
    expect(await call<string>({ onAbandoned })).toBe('found at the provider');
    expect(await call({})).toBe('found at the provider');
  });
});

test('onStoreError: run goes on without protection; throw, the default, refuses', async () => {
  const { process } = onOneStore();
  const { faulty, call } = process();
  faulty.faults.claim = () => {
    throw storeDown();
  };
  expect(await errorOf(call({ storeTimeout: 20 }))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
  const execute = ({ fence }: { fence: number | undefined }) => ({ fence });
  expect(await call({ storeTimeout: 20, onStoreError: 'run', execute })).toEqual({ fence: undefined });
});
