import { expect, test } from '@jest/globals';
import { idempotent } from '../../src/index.js';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import type { RunOptions } from '../../src/idempotency/api.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { errorOf } from '../support/deferred.js';
import { chargeTask, middleware } from '../support/tasks.js';

const declined = new Error('no funds');
const broken = (): never => {
  throw new RangeError('a bug in the predicate');
};

function listening() {
  const warnings: string[] = [];
  const logger = { warn: (message: string) => void warnings.push(message) };
  return { warnings, logger };
}

const FAULTS: [string, () => unknown, RegExp][] = [
  ['throws', broken, /a bug in the predicate/],
  ['throws nothing at all', () => raise(undefined), /remember threw undefined/],
  ['answers a word that is no verdict', () => 'fatal', /answered "fatal".*"final"/],
  ['answers a number', () => 1, /answered 1/],
  ['is async, and rejects', async () => broken(), /answered \[object Promise\]/],
];

function raise(value: unknown): never {
  throw value;
}

test.each(FAULTS)(
  'a remember function that %s hides no failure, is reported once, and counts as false',
  async (_, remember, words) => {
    const { warnings, logger } = listening();
    const idempotency = createIdempotency({ name: 'run', store: new InMemoryStore(), logger });
    const error = await errorOf(
      idempotency.run('k', () => Promise.reject(declined), { remember: remember as never }),
    );
    expect(error).toBe(declined);
    expect(warnings).toEqual([expect.stringMatching(words)]);
    expect(idempotency.stats()).toMatchObject({ withoutVerdict: 1 });
    // Retryable, as 'none' says under onAbandoned "retry": the next caller runs.
    expect(await idempotency.run('k', ({ attempt }) => attempt)).toBe(2);
  },
);

test('one that answers nothing leaves it to the default, and nobody is warned', async () => {
  const { warnings, logger } = listening();
  const idempotency = createIdempotency({ name: 'run', store: new InMemoryStore(), logger });
  const remember = () => undefined as never;
  expect(await errorOf(idempotency.run('k', () => Promise.reject(declined), { remember }))).toBe(declined);
  expect(warnings).toEqual([]);
});

test('under onAbandoned "block" such a failure is unknown: nobody runs it again', async () => {
  const idempotency = createIdempotency({ name: 'run', store: new InMemoryStore(), logger: {} });
  const options = { remember: broken, onAbandoned: 'block' } as const;
  expect(await errorOf(idempotency.run('k', () => Promise.reject(declined), options))).toBe(declined);
  expect(await errorOf(idempotency.run('k', () => 'again', options))).toMatchObject({ code: 'IN_DOUBT' });
});

test.each(FAULTS)('idempotent(): the same of one that %s', async (_, remember, words) => {
  const { warnings, logger } = listening();
  const call = idempotent({
    ...{ key: 'k', store: new InMemoryStore(), logger, remember: remember as never },
    execute: () => Promise.reject(declined),
  });
  expect(await errorOf(call)).toBe(declined);
  expect(warnings).toEqual([expect.stringMatching(words)]);
});

test.each(FAULTS)(
  "a task: the framework's own Result is returned with one that %s",
  async (_, remember, words) => {
    const { warnings, logger } = listening();
    const Task = chargeTask(middleware({ logger }), { remember: remember as never }, (task) =>
      task.fail('no funds', { cents: 5 }),
    );
    expect(await Task.execute({ orderId: 'o-1' })).toMatchObject({
      ...{ status: 'failed', reason: 'no funds', metadata: { cents: 5 } },
    });
    expect(warnings).toEqual([expect.stringMatching(words)]);
    // As false: a business failure, which the default would have kept, is run again.
    await Task.execute({ orderId: 'o-1' });
    expect(Task.runs()).toBe(2);
  },
);

const refused = (option: string) => ({
  code: 'INVALID_OPTIONS',
  message: expect.stringContaining(option) as unknown,
});

test('remember and signal of other kinds are INVALID_OPTIONS, and nothing runs', async () => {
  const store = new InMemoryStore();
  expect(() => createIdempotency({ name: 'run', store, remember: 'some' as never })).toThrow(
    /remember is "some"/,
  );
  expect(() => middleware({ remember: 'some' as never })).toThrow(/remember is "some"/);
  const idempotency = createIdempotency({ name: 'run', store, logger: {} });
  let runs = 0;
  const run = (options: object) => errorOf(idempotency.run('k', () => ++runs, options));
  expect(await run({ remember: 5 })).toMatchObject(refused('remember'));
  expect(await run({ signal: {} })).toMatchObject(refused('signal'));
  expect(await run({ signal: 'now' })).toMatchObject(refused('signal'));
  expect(await errorOf(idempotency.run('k', 'work' as never))).toMatchObject(refused('the work'));
  expect(runs).toBe(0);
});

test.each([[undefined], [null], [{}], ['completed']])(
  'a reconcile function that answers %p settles nothing: nobody can say what happened',
  async (answer) => {
    const store = new InMemoryStore();
    const idempotency = createIdempotency({ name: 'run', store, logger: {}, storeTimeout: 50 });
    const unknown: RunOptions<never> = { remember: () => 'unknown' };
    await errorOf(idempotency.run('k', () => Promise.reject(declined), unknown));
    const onAbandoned = () => answer as never;
    const error = await errorOf(idempotency.run('k', () => 'again', { onAbandoned }));
    expect(error).toMatchObject(refused('onAbandoned'));
    expect(await idempotency.get('k')).toMatchObject({ status: 'IN_PROGRESS' });
  },
);

test('a promise in the place of a payload or a scope is refused, and its rejection ends no process', async () => {
  const idempotency = createIdempotency({ name: 'run', store: new InMemoryStore(), logger: {} });
  const rejected = () => Promise.reject(new Error('not awaited'));
  for (const option of ['payload', 'scope']) {
    const error = await errorOf(idempotency.run('k', () => 'ran', { [option]: rejected() }));
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
  }
});
