/** A function in the options that never answers ends its call within a deadline, with a code, and nothing is run. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { LONGEST_ASKING_MS } from '../../src/core/ask.js';
import { fetchIdempotency } from '../../src/http/fetch.js';
import { createIdempotency, idempotent, InMemoryStore, makeIdempotent } from '../../src/index.js';
import { idempotentConsumer } from '../../src/queue/consumer.js';
import { Transactions } from '../../src/transaction/transactions.js';
import { deferred, errorOf } from '../support/deferred.js';
import { chargeTask, middleware } from '../support/tasks.js';

beforeEach(() => void jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'performance'] }));
afterEach(() => void jest.useRealTimers());

const never = (): Promise<never> => new Promise(() => undefined);
const silent = { logger: {} };

/** What a call comes to when the longest asking is over. */
async function afterTheDeadline<T>(call: Promise<T>, times = 1): Promise<T> {
  // Heard at once: it may reject while the time goes by.
  call.catch(() => undefined);
  for (let time = 0; time < times; time++) await jest.advanceTimersByTimeAsync(LONGEST_ASKING_MS);
  const isOver = await Promise.race([
    call.then(
      () => true,
      () => true,
    ),
    turn().then(() => false),
  ]);
  expect(isOver).toBe(true);
  return call;
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

const post = (body: string | ReadableStream<Uint8Array> = 'b') =>
  new Request('http://h/o', {
    method: 'POST',
    headers: { 'idempotency-key': 'k' },
    body,
    duplex: 'half',
  });

describe('HTTP', () => {
  const open = (options: object) => {
    const store = new InMemoryStore();
    let runs = 0;
    const serve = fetchIdempotency({ store, scope: 'shared', ...silent, ...options })(
      async () => new Response(`run ${++runs}`),
    );
    return { serve, store, runs: () => runs };
  };

  test.each(['key', 'scope', 'host', 'skip', 'route', 'fingerprint'])('%s', async (option) => {
    const { serve, store, runs } = open({ [option]: never });
    const error = await errorOf(afterTheDeadline(serve(post())));
    expect(error).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: `${option}() did not answer within 10000 ms`,
    });
    expect({ runs: runs(), records: store.size }).toEqual({ runs: 0, records: 0 });
  });

  test('headers: the answer goes without them', async () => {
    const { serve, runs } = open({ headers: never });
    await serve(post());
    const replay = await afterTheDeadline(serve(post()));
    expect(await replay.text()).toBe('run 1');
    expect(runs()).toBe(1);
  });

  test('remember: the answer is recorded by the default, since the handler has run', async () => {
    const { serve, runs } = open({ remember: never });
    expect(await (await afterTheDeadline(serve(post()))).text()).toBe('run 1');
    expect(await (await serve(post())).text()).toBe('run 1');
    expect(runs()).toBe(1);
  });

  test('the time in which the client sends what an option reads does not count', async () => {
    const { readable, writable } = new TransformStream<Uint8Array>();
    const writer = writable.getWriter();
    const { serve, runs } = open({ key: async (request: Request) => `key ${await request.text()}` });
    const call = serve(post(readable));
    await jest.advanceTimersByTimeAsync(3 * LONGEST_ASKING_MS);
    expect(await Promise.race([call, turn().then(() => 'open')])).toBe('open');
    void writer.write(new TextEncoder().encode('7')).then(() => writer.close());
    expect(await (await call).text()).toBe('run 1');
    expect(runs()).toBe(1);
  });

  test('one that rejects after the deadline ends no process', async () => {
    const answer = deferred<string>();
    const { serve } = open({ scope: () => answer.promise });
    await errorOf(afterTheDeadline(serve(post())));
    answer.reject(new Error('too late'));
    await turn();
  });
});

describe('consumers', () => {
  test('key: the message comes again, since the function may answer next time', async () => {
    let runs = 0;
    const consume = idempotentConsumer({
      ...{ ...silent, store: new InMemoryStore(), name: 'q', key: never, handler: () => ++runs },
    });
    expect(await afterTheDeadline(consume({}))).toMatchObject({
      action: 'retry',
      error: { code: 'INVALID_OPTIONS', message: 'key() did not answer within 10000 ms' },
    });
    expect(runs).toBe(0);
  });

  test('onDrop: the message is not lost', async () => {
    const handler = () => Promise.reject(new Error('declined'));
    const consume = idempotentConsumer({
      ...{ ...silent, store: new InMemoryStore(), name: 'q', key: () => 'k' },
      ...{ handler, remember: 'all' as const, onDrop: never },
    });
    expect(await afterTheDeadline(consume({}))).toMatchObject({
      action: 'retry',
      error: { code: 'INVALID_OPTIONS' },
    });
  });
});

test('functions: key and keyGenerator', async () => {
  const store = new InMemoryStore();
  let runs = 0;
  const execute = () => ++runs;
  const made = makeIdempotent((_: string) => execute(), { ...silent, store, name: 'charge', key: never });
  const calls = [made('a'), idempotent({ ...silent, store, name: 'charge', keyGenerator: never, execute })];
  for (const call of calls.map(errorOf))
    expect(await afterTheDeadline(call)).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining('did not answer within 10000 ms'),
    });
  expect({ runs, records: store.size }).toEqual({ runs: 0, records: 0 });
});

test('tasks: key', async () => {
  const Task = chargeTask(middleware({ ...silent, store: new InMemoryStore() }), { key: never });
  const result = await afterTheDeadline(Task.execute({ orderId: 'o-1' }));
  expect(result).toMatchObject({ status: 'failed', metadata: { code: 'INVALID_OPTIONS' } });
  expect(Task.runs()).toBe(0);
});

describe('admit', () => {
  const admit = never;
  const refused = { code: 'LIMITED', message: expect.stringContaining('admit did not answer within') };

  test('run()', async () => {
    const store = new InMemoryStore();
    let runs = 0;
    const one = createIdempotency({ ...silent, store, name: 'charge', storeTimeout: '1h', admit });
    expect(await errorOf(afterTheDeadline(one.run('k', () => ++runs)))).toMatchObject(refused);
    expect({ runs, records: store.size }).toEqual({ runs: 0, records: 0 });
  });

  test('transaction(), whose store calls have no deadline of their own', async () => {
    const store = Object.assign(new InMemoryStore(), { session: () => undefined });
    let runs = 0;
    const transactions = new Transactions(store, store, { ...silent, name: 'charge', admit });
    const error = await errorOf(afterTheDeadline(transactions.run('k', () => ++runs, {})));
    expect(error).toMatchObject(refused);
    expect({ runs, records: store.size }).toEqual({ runs: 0, records: 0 });
  });
});
