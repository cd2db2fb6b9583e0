import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { idempotent } from '../../src/index.js';
import { createCodec, encodeFailure } from '../../src/codec/index.js';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { Charge, chargeTask, middleware } from '../support/tasks.js';
import { endOf, expectCoded, forAll, TEST_MS, watchPrototypes } from './cases.js';
import { anyValue, wrongValue } from './values.js';

watchPrototypes('payloads and results');

const codec = createCodec();
const silent = (store = new InMemoryStore()) => createIdempotency({ name: 'run', store, logger: {} });
const textOf = (value: unknown) => endOf(() => codec.encode(value));

test(
  'any result is given to its caller as it is, replayed equal or RESULT_UNAVAILABLE, and made once (G9)',
  () =>
    forAll({ few: 400, many: 12_000 }, anyValue, async ({ make }) => {
      const result = make();
      const idempotency = silent();
      let runs = 0;
      const call = () => idempotency.run('k', () => (runs++, result));
      const own = await endOf(call);
      // Its `then` can't be read, so that no promise carries it: to everybody the work has failed.
      if ('error' in (await endOf(() => result))) return expect(Object.keys(own)).toEqual(['error']);
      expect('value' in own && Object.is(own.value, result)).toBe(true);
      const replayed = await endOf(call);
      expectCoded(replayed);
      if ('value' in replayed) expect(await textOf(replayed.value)).toEqual(await textOf(result));
      else expect(replayed.error).toMatchObject({ code: 'RESULT_UNAVAILABLE' });
      expect(runs).toBe(1);
    }),
  TEST_MS,
);

test(
  'anything that is thrown reaches its caller as it is, and its duplicates as a recorded failure (G9)',
  () =>
    forAll({ few: 400, many: 12_000 }, anyValue, async ({ make }) => {
      const thrown = make();
      const idempotency = silent();
      let runs = 0;
      const work = () => {
        runs++;
        throw thrown;
      };
      const call = () => idempotency.run('k', work, { remember: 'all' });
      const own = await endOf(call);
      expect('error' in own && Object.is(own.error, thrown)).toBe(true);
      const replayed = await endOf(call);
      expect(Object.keys(replayed)).toEqual(['error']);
      expect(runs).toBe(1);
      expect(typeof encodeFailure(codec, thrown)).toBe('string');
    }),
  TEST_MS,
);

test(
  'the same of idempotent()',
  () =>
    forAll({ few: 300, many: 5_000 }, anyValue, async ({ make }) => {
      const thrown = make();
      const store = new InMemoryStore();
      let runs = 0;
      const execute = () => {
        runs++;
        throw thrown;
      };
      const call = () => idempotent({ key: 'k', store, execute, remember: 'all', logger: {} });
      const own = await endOf(call);
      expect('error' in own && Object.is(own.error, thrown)).toBe(true);
      await endOf(call);
      expect(runs).toBe(1);
    }),
  TEST_MS,
);

test(
  'any payload is fingerprinted, or refused with a code before the work runs',
  () =>
    forAll({ few: 400, many: 12_000 }, anyValue, async ({ make }) => {
      const idempotency = silent();
      let runs = 0;
      const call = () => idempotency.run('k', () => ++runs, { payload: make() });
      const [first, second] = [await endOf(call), await endOf(call)];
      expectCoded(first);
      expectCoded(second);
      expect(runs).toBe('error' in first ? 0 : 1);
      if ('value' in first) expect(second).toEqual({ value: 1 });
    }),
  TEST_MS,
);

test(
  'any recorded text is decoded, or CORRUPT_RECORD, and sets no prototype',
  () => {
    const name = fc.constantFrom(
      '$Error',
      '$Class',
      '$Map',
      '$Object',
      '$Bare',
      '$Date',
      '$',
      '$RegExp',
      '$hole',
      '__proto__',
    );
    const inner = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue(),
        fc.tuple(name, tie('node')).map(([key, value]) => ({ [key]: value })),
        fc.array(tie('node'), { maxLength: 5 }),
      ),
    })).node;
    const text = fc.oneof(
      fc.string(),
      inner.map((node) => `~${JSON.stringify(node)}`),
      inner.map((node) => JSON.stringify(node)),
      fc.tuple(name, fc.json()).map(([key, json]) => `~{${JSON.stringify(key)}:${json}}`),
    );
    return forAll({ few: 2_000, many: 20_000 }, text, async (recorded) => {
      const end = await endOf(() => codec.decode(recorded));
      if ('error' in end) expect(end.error).toMatchObject({ code: 'CORRUPT_RECORD' });
    });
  },
  TEST_MS,
);

test(
  'a task that puts any value into its context, or throws it, ends as a Result, and its work runs once',
  () =>
    forAll({ few: 200, many: 3_000 }, fc.tuple(anyValue, fc.boolean()), async ([{ make }, isThrown]) => {
      // A list is joined by a pipeline for its reason, which takes minutes for one of four thousand million holes.
      const throws = isThrown && !Array.isArray(make());
      const Task = chargeTask(middleware(), { onDuplicate: 'return-cached', remember: 'all' }, (task) => {
        const value = make();
        if (throws) throw value;
        task.context.set('charge', value);
      });
      class Bare extends Charge {
        runs = () => 0;
        work() {
          throw make();
        }
      }
      // Our pipeline itself can't say what was thrown: its rejection is not the middleware's to hide.
      if (throws && 'error' in (await endOf(() => Bare.execute()))) return;
      const first = await endOf(() => Task.execute({ orderId: 'o-1' }));
      const second = await endOf(() => Task.execute({ orderId: 'o-1' }));
      expect([Object.keys(first), Object.keys(second)]).toEqual([['value'], ['value']]);
      expect(Task.runs()).toBe(1);
    }),
  TEST_MS,
);

test(
  'whatever a remember function throws or answers, the failure is its caller’s, and is never hidden',
  () =>
    forAll({ few: 500, many: 5_000 }, fc.tuple(wrongValue, fc.boolean()), async ([answer, throws]) => {
      const idempotency = silent();
      const thrown = new Error('no funds');
      const remember = (): never => {
        if (throws) throw answer;
        return answer as never;
      };
      const end = await endOf(() => idempotency.run('k', () => Promise.reject(thrown), { remember }));
      expect(end).toEqual({ error: thrown });
    }),
  TEST_MS,
);
