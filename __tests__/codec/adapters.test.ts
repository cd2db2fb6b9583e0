/** What of a secret is recorded, in every adapter: errors by the rule of the codec, and all values as `redact` has them. */
import { afterEach, describe, expect, test } from '@jest/globals';
import express from 'express';
import type { CodecOptions, Redact, RedactFacts } from '../../src/codec/index.js';
import type { Attempt } from '../../src/core/attempt/attempt.js';
import type { Lease, RecordedStep, StoreKey } from '../../src/core/record.js';
import type { Replacement, Settlement } from '../../src/core/store.js';
import type { Idempotency } from '../../src/idempotency/idempotency.js';
import { createIdempotency, idempotent, makeIdempotent } from '../../src/index.js';
import { idempotentConsumer } from '../../src/queue/consumer.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { startExpress } from '../http/servers/express.js';
import { startFastify } from '../http/servers/fastify.js';
import { startFetch } from '../http/servers/fetch.js';
import type { RunningServer, StartServer } from '../http/site.js';
import { errorOf } from '../support/deferred.js';
import { chargeTask, middleware } from '../support/tasks.js';

/** Keeps all that it was given to keep. */
class WatchedStore extends InMemoryStore {
  readonly texts: (string | undefined)[] = [];

  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    this.texts.push(settlement.payload);
    return super.settle(key, lease, settlement);
  }
  override step(key: StoreKey, lease: Lease, step: RecordedStep) {
    this.texts.push(step.payload);
    return super.step(key, lease, step);
  }
  override override(key: StoreKey, replacement: Replacement) {
    if (replacement.kind === 'resolve') this.texts.push(replacement.payload);
    return super.override(key, replacement);
  }
}

interface Called {
  readonly store: WatchedStore;
  readonly warnings: string[];
  /** What the first caller got, and a duplicate: a value, an error, or an answer. */
  readonly first: unknown;
  readonly duplicate: unknown;
}
type Work = (attempt?: Attempt) => unknown;
type Call = (work: Work, codec?: CodecOptions) => Promise<Called>;

const endOf = (run: Promise<unknown>) => run.catch((error: unknown) => error);

/** Calls twice under one key. All failures are final. */
function twice(of: (setting: Setting) => (work: Work) => Promise<unknown>): Call {
  return async (work, codec) => {
    const store = new WatchedStore();
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const call = of({ store, logger, ...(codec && { codec }) });
    const first = await endOf(call(work));
    const duplicate = await endOf(call(() => 'ran again'));
    return { store, warnings, first, duplicate };
  };
}
interface Setting {
  readonly store: WatchedStore;
  readonly logger: { warn(message: string): void };
  readonly codec?: CodecOptions;
}

const servers: RunningServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

const http =
  (start: StartServer): Call =>
  async (work, codec) => {
    const store = new WatchedStore();
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const handler = async ({ attempt }: { attempt: Attempt | undefined }) => ({
      status: 201,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(await work(attempt)),
    });
    const options = { store, logger, ...(codec && { codec }), concurrent: 'wait' as const };
    const server = await start({ options, routes: [{ method: 'POST', path: '/orders', handler }] });
    servers.push(server);
    const send = async () => {
      const answer = await fetch(`${server.url}/orders`, {
        method: 'POST',
        headers: { 'idempotency-key': 'k', 'content-type': 'application/json' },
        body: '{}',
      });
      return answer.json();
    };
    return { first: await send(), duplicate: await send(), store, warnings };
  };

const IN_PROCESS: [string, Call][] = [
  [
    'run()',
    twice(
      (setting) => (work) =>
        createIdempotency({ ...setting, name: 'charge' }).run('k', (attempt) => work(attempt), {
          remember: 'all',
        }),
    ),
  ],
  [
    'idempotent()',
    twice(
      (setting) => (work) =>
        idempotent({ ...setting, key: 'k', execute: (attempt) => work(attempt), remember: 'all' }),
    ),
  ],
  [
    'makeIdempotent()',
    twice((setting) => {
      let current: Work = () => undefined;
      const charge = makeIdempotent(async (_id: string) => current(), {
        ...setting,
        name: 'charge',
        remember: 'all',
      });
      return (work) => ((current = work), charge('k'));
    }),
  ],
  [
    'idempotentConsumer',
    twice((setting) => {
      let current: Work = () => undefined;
      const consume = idempotentConsumer({
        ...setting,
        ...{ name: 'orders', key: () => 'k', remember: 'all' as const },
        handler: (_: object, attempt) => current(attempt),
        onDrop: () => undefined,
      });
      return async (work) => {
        current = work;
        const delivery = await consume({});
        if (delivery.action === 'ack') return delivery.result;
        throw delivery.error;
      };
    }),
  ],
];
const HTTP: [string, Call][] = [
  ['Express', http(startExpress(express))],
  ['Fastify', http(startFastify)],
  ['fetch', http(startFetch)],
];

const providerError = () =>
  Object.assign(
    new Error('declined', { cause: Object.assign(new Error('inner'), { config: { key: 'SECRET' } }) }),
    {
      decline_code: 'lost_card',
      response: { headers: { authorization: 'SECRET' } },
    },
  );
const throwing = () => {
  throw providerError();
};

describe('errors at rest', () => {
  test.each(IN_PROCESS)(
    '%s: objects of errors are not recorded; a duplicate gets the error with its plain members (G9)',
    async (_, call) => {
      const { store, warnings, first, duplicate } = await call(throwing);
      expect(store.texts.join()).toContain('lost_card');
      expect(store.texts.join()).not.toContain('SECRET');
      // The first caller's error is its own object, with all that hangs on it.
      expect(first).toMatchObject({ decline_code: 'lost_card', response: expect.anything() as unknown });
      expect(duplicate).toMatchObject({
        message: 'declined',
        decline_code: 'lost_card',
        cause: { message: 'inner' },
      });
      expect(duplicate).not.toHaveProperty('response');
      expect(warnings).toEqual([expect.stringContaining('value.cause.config, value.response')]);
    },
  );

  test.each(IN_PROCESS)('%s: errors.keep keeps what it names', async (_, call) => {
    const { duplicate } = await call(throwing, { errors: { keep: ['response'] } });
    expect(duplicate).toMatchObject({ response: { headers: { authorization: 'SECRET' } } });
  });

  test.each(HTTP)('%s: objects of what the handler threw are not recorded', async (adapter, call) => {
    const { store, warnings } = await call(throwing);
    expect(store.texts.join()).toContain('declined');
    expect(store.texts.join()).not.toContain('SECRET');
    // Elsewhere the framework makes an answer of the error, which is recorded in its place.
    if (adapter !== 'fetch') return;
    expect(store.texts.join()).toContain('lost_card');
    // The second request ran, since a thrown error is no outcome.
    expect(store.texts).toHaveLength(2);
    expect(warnings).toEqual([expect.stringContaining('value.response')]);
  });

  test('tasks: objects of the cause are not recorded', async () => {
    const store = new WatchedStore();
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const Charge = chargeTask(
      middleware({ store, logger, remember: () => true, onDuplicate: 'return-cached' }),
      {},
      throwing,
    );
    const first = await Charge.execute({ orderId: 'o' });
    const duplicate = await Charge.execute({ orderId: 'o' });
    expect(first.cause).toMatchObject({ response: expect.anything() as unknown });
    expect(duplicate.cause).toMatchObject({ decline_code: 'lost_card' });
    expect(store.texts.join()).not.toContain('SECRET');
    expect(warnings).toEqual([expect.stringContaining('value.cause.response')]);
  });

  test('a step and an outcome given by hand are recorded by the same rule', async () => {
    const store = new WatchedStore();
    const idempotency = createIdempotency({ store, name: 'charge', logger: {} });
    await idempotency.run('k', ({ step }) => step('ask', () => ({ reason: providerError() })));
    await idempotency.resolve('k', { error: providerError() });
    expect(store.texts).toHaveLength(3);
    expect(store.texts.join()).not.toContain('SECRET');
  });

  test('the event names the paths, once for each operation', async () => {
    const idempotency = createIdempotency({ store: new WatchedStore(), logger: {} });
    const seen: unknown[] = [];
    idempotency.on('dropped-members', ({ name, paths }) => seen.push([name, paths]));
    for (const key of ['a', 'b']) await errorOf(idempotency.run(key, throwing, { name: 'charge' }));
    await errorOf(idempotency.run('a', throwing, { name: 'refund' }));
    const paths = ['value.cause.config', 'value.response'];
    expect(seen).toEqual([
      ['charge', paths],
      ['refund', paths],
    ]);
    expect(idempotency.stats()).toMatchObject({ droppedMembers: 2 });
  });
});

describe('redact: what it returns is recorded, and nothing of the value itself', () => {
  const mask: Redact = (value) =>
    JSON.parse(JSON.stringify(value, (_, inner: unknown) => inner).replaceAll('SECRET', '***')) as unknown;
  const secret = () => ({ token: 'SECRET', id: 7 });

  test.each(IN_PROCESS)(
    '%s: the first caller gets its result, a duplicate what was recorded',
    async (_, call) => {
      const { store, first, duplicate } = await call(secret, { redact: mask });
      expect(first).toEqual({ token: 'SECRET', id: 7 });
      expect(duplicate).toEqual({ token: '***', id: 7 });
      expect(store.texts.join()).not.toContain('SECRET');
    },
  );

  test.each(HTTP)('%s: the answer', async (_, call) => {
    const { store, first, duplicate } = await call(secret, { redact: mask });
    expect(first).toEqual({ token: 'SECRET', id: 7 });
    expect(duplicate).toEqual({ token: '***', id: 7 });
    expect(store.texts.join()).not.toContain('SECRET');
  });

  test('tasks: the Result with the changed context', async () => {
    const store = new WatchedStore();
    const idempotency = middleware({ store, codec: { redact: mask }, onDuplicate: 'return-cached' });
    const Charge = chargeTask(idempotency, {}, (task) => task.context.set('token', 'SECRET'));
    expect((await Charge.execute({ orderId: 'o' })).context.get('token')).toBe('SECRET');
    expect((await Charge.execute({ orderId: 'o' })).context.get('token')).toBe('***');
    expect(store.texts.join()).not.toContain('SECRET');
  });

  test.each(IN_PROCESS)('%s: an error', async (_, call) => {
    const redact: Redact = (error) => new Error((error as Error).message.replace('SECRET', '***'));
    const thrown = new Error('card SECRET');
    const { store, first, duplicate } = await call(() => Promise.reject(thrown), { redact });
    expect(first).toBe(thrown);
    expect(duplicate).toEqual(new Error('card ***'));
    expect(store.texts.join()).not.toContain('SECRET');
  });

  test('it is told the operation, the kind, and the step', async () => {
    const seen: RedactFacts[] = [];
    const redact: Redact = (value, facts) => (seen.push(facts), value);
    const idempotency = createIdempotency({
      ...{ store: new InMemoryStore(), name: 'charge', logger: {}, codec: { redact } },
    });
    await idempotency.run('k', ({ step }) => step('book', () => 1), { name: 'charge' });
    await errorOf(idempotency.run('e', throwing, { name: 'refund' }));
    await idempotency.resolve('k', { result: 5 }, { name: 'charge' });
    expect(seen).toEqual([
      { operation: 'charge', kind: 'step', step: 'book' },
      { operation: 'charge', kind: 'result' },
      { operation: 'refund', kind: 'error' },
      { operation: 'charge', kind: 'result' },
    ]);
  });

  test('a later attempt gets a step as it was recorded, the attempt that ran it as it is', async () => {
    const redact: Redact = (value, { kind }) => (kind === 'step' ? { token: '***' } : value);
    const idempotency = createIdempotency({
      ...{ store: new InMemoryStore(), name: 'charge', logger: {}, codec: { redact } },
    });
    const seen: unknown[] = [];
    const work = async ({ step, attempt }: Attempt) => {
      seen.push(await step('login', () => ({ token: 'SECRET' })));
      if (attempt === 1) throw new Error('later');
    };
    await errorOf(idempotency.run('k', work));
    await idempotency.run('k', work);
    expect(seen).toEqual([{ token: 'SECRET' }, { token: '***' }]);
  });

  const USELESS: [string, Redact][] = [
    [
      'throws',
      (value) => {
        throw new Error(`no idea what ${JSON.stringify(value)} is`);
      },
    ],
    ['returns undefined', () => undefined],
    ['is async', (value) => Promise.resolve(value)],
    ['is async, and rejects', () => Promise.reject(new Error('no'))],
    [
      'returns what throws when it is looked at',
      () =>
        new Proxy(
          {},
          {
            get() {
              throw new Error('no');
            },
          },
        ),
    ],
    ['returns what can not be recorded', () => ({ f: () => 1 })],
  ];
  describe.each(USELESS)('one that %s', (_, redact) => {
    test.each([...IN_PROCESS, ...HTTP])(
      '%s: the run is recorded without its value',
      async (_adapter, call) => {
        const { store, warnings, first, duplicate } = await call(secret, { redact });
        expect(first).toEqual({ token: 'SECRET', id: 7 });
        expect(store.texts).toEqual([undefined]);
        expect(JSON.stringify(duplicate) ?? '').not.toContain('SECRET');
        expect(duplicate).not.toBe('ran again');
        expect(warnings).toEqual([expect.stringContaining('recorded without its value')]);
        expect(warnings.join()).not.toContain('SECRET');
      },
    );
  });

  test('an error that it throws over is final all the same, without its value', async () => {
    const redact = (): never => {
      throw new Error('no');
    };
    const store = new WatchedStore();
    const idempotency: Idempotency = createIdempotency({
      store,
      name: 'charge',
      logger: {},
      codec: { redact },
    });
    const failed = () => idempotency.run('k', throwing, { remember: 'all' });
    expect(await errorOf(failed())).toMatchObject({ message: 'declined' });
    expect(await errorOf(failed())).toMatchObject({ code: 'RESULT_UNAVAILABLE' });
    expect(store.texts).toEqual([undefined]);
  });

  test('an outcome by hand that can not be redacted is refused, and nothing is changed', async () => {
    const redact: Redact = (value) => (value === 'SECRET' ? undefined : value);
    const idempotency = createIdempotency({
      ...{ store: new InMemoryStore(), name: 'charge', logger: {}, codec: { redact } },
    });
    await idempotency.run('k', () => 1);
    expect(await errorOf(idempotency.resolve('k', { result: 'SECRET' }))).toMatchObject({
      name: 'RedactError',
    });
    expect(await idempotency.get('k')).toMatchObject({ result: 1 });
  });
});
