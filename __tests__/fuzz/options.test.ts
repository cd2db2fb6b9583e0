import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { IdempotencyMiddleware, idempotent, makeIdempotent } from '../../src/index.js';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { KeyValueStore } from '../../src/stores/keyvalue/store.js';
import { INSTANCE_OPTIONS, RUN_OPTIONS } from '../../src/idempotency/options.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { chargeTask } from '../support/tasks.js';
import { endOf, expectCoded, forAll, TEST_MS, watchPrototypes, type End } from './cases.js';
import { wrongValue } from './values.js';

watchPrototypes('options');

const COMMON = [
  'ttl',
  'lease',
  'maxHold',
  'waitTimeout',
  'concurrent',
  'maxAttempts',
  'onStoreError',
  'storeTimeout',
  'maxResultBytes',
];
const PLACE = ['requireScope', 'prefix', 'name', 'scope'];

/** A call with one or two wrong options, or none at all, among right ones; or something else than options. */
function wrongOptions(names: readonly string[]): fc.Arbitrary<Record<string, unknown>> {
  const some = fc.dictionary(fc.constantFrom(...names, '__proto__', 'constructor', 'tttl'), wrongValue, {
    maxKeys: 2,
    noNullPrototype: true,
  });
  return fc.oneof({ arbitrary: some, weight: 9 }, { arbitrary: wrongValue as typeof some, weight: 1 });
}

const withDefaults = (given: unknown, defaults: object): never =>
  (typeof given === 'object' && given !== null && !Array.isArray(given)
    ? { ...defaults, ...given }
    : given) as never;

/** Nothing ran twice, and every refusal says which of our codes it is. */
function expectSane(ends: readonly End[], runs: number, options: unknown = {}): void {
  for (const end of ends) expectCoded(end, { options });
  expect(runs).toBeLessThanOrEqual(1);
}

test(
  'createIdempotency() and run() take options, or refuse them with a code before anything runs',
  () => {
    const both = fc.tuple(
      wrongOptions(Object.keys(INSTANCE_OPTIONS)),
      wrongOptions(Object.keys(RUN_OPTIONS)),
    );
    return forAll({ few: 2_000, many: 12_000 }, both, async ([instance, options]) => {
      let runs = 0;
      const made = await endOf(() =>
        createIdempotency(withDefaults(instance, { store: new InMemoryStore(), logger: {}, name: 'n' })),
      );
      expectCoded(made);
      if ('error' in made) return;
      const idempotency = made.value as ReturnType<typeof createIdempotency>;
      const call = () => endOf(() => idempotency.run('k', () => ++runs, options));
      expectSane([await call(), await call()], runs, options);
      const failing = () => endOf(() => idempotency.run('f', () => Promise.reject(FAILED), options));
      expectCoded(await failing(), { thrown: FAILED });
      const where = [
        endOf(() => idempotency.get('k', options)),
        endOf(() => idempotency.forget('k', options)),
      ];
      expectSane(
        [...(await Promise.all(where)), await endOf(() => idempotency.resolve('k', options as never))],
        0,
      );
    });
  },
  TEST_MS,
);

const FAILED = new Error('no funds');

test(
  'idempotent() and makeIdempotent() take options, or refuse them with a code before anything runs',
  () => {
    const names = [
      ...COMMON.filter((name) => name !== 'concurrent'),
      ...PLACE,
      ...[
        'store',
        'concurrentBehavior',
        'remember',
        'onAbandoned',
        'codec',
        'logger',
        'onCacheHit',
        'onCacheMiss',
      ],
      ...['key', 'keyGenerator', 'payload', 'signal', 'execute'],
    ];
    return forAll({ few: 1_500, many: 10_000 }, wrongOptions(names), async (given) => {
      let runs = 0;
      const execute = () => ++runs;
      const own = { store: new InMemoryStore(), logger: {}, key: 'k' };
      const call = () => endOf(() => idempotent(withDefaults(given, { ...own, execute })));
      const generated = Object(given) as { key?: unknown };
      // Without a key every call is an operation of its own.
      const ends = [await call(), ...('key' in generated ? [] : [await call()])];
      expectSane(ends, runs, given);

      const made = await endOf(() =>
        makeIdempotent(
          function charge(amount: number) {
            return amount;
          },
          withDefaults(given, { ...own, key: (amount: number) => String(amount) }),
        ),
      );
      expectCoded(made);
      if ('error' in made) return;
      // What its functions throw is theirs.
      expectCoded(await endOf(() => (made.value as (n: number) => unknown)(1)), { options: given });
    });
  },
  TEST_MS,
);

test(
  'IdempotencyMiddleware takes options, or refuses them: at once, or with a Result that has a code',
  () => {
    const names = [...COMMON, 'onDuplicate', 'prefix', 'scope', 'remember', 'onAbandoned'];
    const both = fc.tuple(
      wrongOptions([...names, 'store', 'Result', 'codec', 'logger']),
      wrongOptions([...names, 'key', 'name', 'payload']),
    );
    return forAll({ few: 700, many: 6_000 }, both, async ([instance, entry]) => {
      const made = await endOf(
        () => new IdempotencyMiddleware(withDefaults(instance, { store: new InMemoryStore(), logger: {} })),
      );
      expectCoded(made);
      // A text is the URL of a Redis: another test's business.
      if ('error' in made || typeof instance === 'string' || isFalsyStore(instance)) return;
      const Task = chargeTask(made.value as IdempotencyMiddleware, Object(entry) as object);
      const execute = () => endOf(() => Task.execute({ orderId: 'o-1' }));
      for (const end of [await execute(), await execute()]) {
        const { value } = end as { value: { status: string; metadata: { code?: string }; cause?: unknown } };
        expect(['success', 'skipped', 'failed']).toContain(value.status);
      }
      expect(Task.runs()).toBeLessThanOrEqual(1);
    });
  },
  TEST_MS,
);

/** Then a RedisStore is made. */
const isFalsyStore = (options: Record<string, unknown>): boolean =>
  'store' in Object(options) && !options['store'];

test(
  'the stores take options, or refuse them with a code when they are made',
  () =>
    forAll(
      { few: 1_500, many: 10_000 },
      wrongOptions([
        'url',
        'client',
        'redis',
        'timeoutMs',
        'onWarning',
        'waitForReplicas',
        'maxEntries',
        'evict',
        'requireScope',
      ]),
      async (given) => {
        expectCoded(await endOf(() => new RedisStore(given)));
        expectCoded(await endOf(() => new InMemoryStore(given)));
        expectCoded(await endOf(() => new KeyValueStore(given as never)));
      },
    ),
  TEST_MS,
);

test.each<[unknown, RegExp]>([
  [null, /a URL, options, or an ioredis client/],
  [5, /a URL, options, or an ioredis client/],
  [{ url: '' }, /url/],
  [{ client: null }, /evalsha/],
  [{ client: {} }, /evalsha/],
  [{ redis: 'redis://' }, /redis is "redis/],
  [{ timeoutMs: 0 }, /timeoutMs/],
  [{ timeoutMs: NaN }, /timeoutMs/],
  [{ onWarning: 'log' }, /onWarning/],
  [{ waitForReplicas: 0 }, /waitForReplicas/],
  [{ waitForReplicas: '1' }, /waitForReplicas/],
  [{ waitForReplicas: { timeoutMs: 5 } }, /waitForReplicas/],
  // WAIT with 0 would wait for ever.
  [{ waitForReplicas: { count: 1, timeoutMs: 0 } }, /waitForReplicas.timeoutMs/],
  [{ waitForReplicas: 1, client: { evalsha: () => 1, eval: () => 1 } }, /pipeline/],
])('RedisStore(%p) is INVALID_OPTIONS', (given, words) => {
  const make = () => new RedisStore(given as never);
  expect(make).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
  expect(make).toThrow(words);
});
