import { describe, expect, test } from '@jest/globals';
import { idempotentConsumer, type ConsumerOptions } from '../../src/queue/consumer.js';
import { currentAttempt } from '../../src/idempotency/current-attempt.js';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { deferred, errorOf } from '../support/deferred.js';
import { FaultyStore, storeDown } from '../support/faulty-store.js';

interface Message {
  id?: string;
  amount?: number;
}
type Options = ConsumerOptions<Message, unknown>;

const consumer = (options: Partial<Options> = {}) =>
  idempotentConsumer<Message, unknown>({
    ...(!options.idempotency && { store: new InMemoryStore() }),
    name: 'orders',
    key: (message) => message.id,
    handler: () => 'charged',
    logger: {},
    ...options,
  });
const boom = () => {
  throw new Error('boom');
};

describe('idempotentConsumer', () => {
  test('runs a message once, with its attempt; a redelivery is acknowledged with the same result', async () => {
    let runs = 0;
    const consume = consumer({
      handler: (message, attempt) => {
        expect(attempt).toBe(currentAttempt());
        return { run: ++runs, key: attempt.key, amount: message.amount };
      },
    });
    const result = { run: 1, key: 'm-1', amount: 7 };
    expect(await consume({ id: 'm-1', amount: 7 })).toEqual({ action: 'ack', replayed: false, result });
    expect(await consume({ id: 'm-1', amount: 7 })).toEqual({ action: 'ack', replayed: true, result });
    expect(await consume({ id: 'm-2' })).toMatchObject({ result: { run: 2 } });
  });

  test('G10: names and scopes that are functions of the message keep their records apart', async () => {
    let runs = 0;
    const consume = consumer({
      name: ({ amount }) => (amount === 1 ? 'one' : 'more'),
      scope: ({ amount }) => `tenant-${amount}`,
      handler: () => ++runs,
    });
    for (const amount of [1, 2, 3, 3]) await consume({ id: 'm', amount });
    expect(runs).toBe(3);
    const { idempotency } = consume;
    expect(await idempotency.get('m', { name: 'more', scope: 'tenant-3' })).toMatchObject({ result: 3 });
  });

  test('one that is running in this process or elsewhere comes again when that lease could be over', async () => {
    const store = new InMemoryStore();
    const [started, gate] = [deferred(), deferred()];
    const options: Partial<Options> = {
      lease: '7s',
      handler: () => (started.resolve(), gate.promise),
    };
    const consume = consumer({ ...options, store });
    const elsewhere = consumer({ ...options, store: new FaultyStore(store) });
    const first = consume({ id: 'm' });
    await started.promise;
    const refused = { action: 'retry', failed: false, delayMs: 7_000 };
    expect(await consume({ id: 'm' })).toMatchObject(refused);
    expect(await elsewhere({ id: 'm' })).toMatchObject(refused);
    gate.resolve();
    expect(await first).toMatchObject({ action: 'ack', replayed: false });
    expect(await elsewhere({ id: 'm' })).toMatchObject({ action: 'ack', replayed: true });
  });

  test('a recovery point: what ran before a failure is not run by the next delivery', async () => {
    const effects: string[] = [];
    const consume = consumer({
      handler: async (_, { step, attempt }) => {
        const charge = await step('charge', () => (effects.push('charge'), 'ch_1'));
        if (attempt === 1) boom();
        return step('email', () => (effects.push('email'), `mailed ${charge}`));
      },
    });
    expect(await consume({ id: 'm' })).toMatchObject({ action: 'retry', failed: true });
    expect(await consume({ id: 'm' })).toMatchObject({ action: 'ack', result: 'mailed ch_1' });
    expect(effects).toEqual(['charge', 'email']);
  });

  test('a failure under onAbandoned "block" is in doubt: dropped, until a person resolves it', async () => {
    const consume = consumer({ onAbandoned: 'block', handler: boom });
    expect(await consume({ id: 'm' })).toMatchObject({ action: 'retry', failed: true });
    expect(await consume({ id: 'm' })).toMatchObject({ action: 'drop', error: { code: 'IN_DOUBT' } });
    await consume.idempotency.resolve('m', { result: 'by hand' }, { name: 'orders' });
    expect(await consume({ id: 'm' })).toEqual({ action: 'ack', replayed: true, result: 'by hand' });
  });

  test('a reconcile function is asked with the message and the attempt that it runs under', async () => {
    const asked: unknown[] = [];
    const consume = consumer({
      handler: boom,
      onAbandoned: (message, { attempt }) => {
        asked.push([message, attempt]);
        return { completed: 'found' };
      },
    });
    await consume({ id: 'm', amount: 1 });
    expect(await consume({ id: 'm', amount: 1 })).toMatchObject({ action: 'ack', result: 'found' });
    expect(asked).toEqual([[{ id: 'm', amount: 1 }, 2]]);
  });

  test('attempts are counted in the record: other consumers continue the count', async () => {
    const store = new InMemoryStore();
    const actions: string[] = [];
    for (let delivery = 0; delivery < 4; delivery++) {
      const consume = consumer({ store: new FaultyStore(store), maxAttempts: 3, handler: boom });
      actions.push((await consume({ id: 'm' })).action);
    }
    expect(actions).toEqual(['retry', 'retry', 'drop', 'drop']);
  });

  test.each<[string, Partial<Options>, Message, RegExp]>([
    ['without a key', {}, {}, /key must be a non-empty string and is undefined/],
    ['whose key lacks a part', { key: (m) => `order:${m.id}` }, {}, /a missing value turned into text/],
    ['whose key function throws', { key: boom }, { id: 'm' }, /boom/],
    ['whose payload can not be told', { payload: () => boom }, { id: 'm' }, /payload/],
    ['whose tenant is missing', { scope: () => undefined as never }, { id: 'm' }, /scope came to undefined/],
    ['whose name may not be one', { name: () => 'a:b' }, { id: 'm' }, /name contains ":"/],
  ])(
    'a message %s is dropped with a warning, and never run unprotected',
    async (_, options, message, why) => {
      const warnings: string[] = [];
      let runs = 0;
      const consume = consumer({
        ...options,
        handler: () => ++runs,
        logger: { warn: (text) => void warnings.push(text) },
      });
      expect(await consume(message)).toMatchObject({ action: 'drop' });
      expect(runs).toBe(0);
      expect(warnings).toEqual([expect.stringMatching(why)]);
    },
  );

  test('the warning names the queue and the message, in its text and in its detail', async () => {
    const warnings: [string, unknown][] = [];
    const consume = consumer({
      name: 'orders',
      maxAttempts: 1,
      handler: boom,
      logger: { warn: (text, detail) => void warnings.push([text, detail]) },
    });
    await consume({ id: 'the-id-I-need' });
    await consume({ id: 'the-id-I-need' });
    const given = warnings.filter(([text]) => text.includes('is dropped'));
    expect(given.length).toBeGreaterThan(0);
    for (const [text, detail] of given) {
      expect(text).toMatch(/the message "the-id-I-need" of "orders" is dropped/);
      expect(detail).toMatchObject({ name: 'orders', key: 'the-id-I-need', error: expect.any(Error) });
    }
  });

  test('onDrop is waited for, gets the message, and takes the place of the warning', async () => {
    const [told, gate] = [deferred(), deferred()];
    const order: unknown[] = [];
    const consume = consumer({
      logger: { warn: (text) => void order.push(text) },
      onDrop: async (message, error) => {
        order.push([message, error]);
        told.resolve();
        await gate.promise;
        order.push('kept elsewhere');
      },
    });
    const delivery = consume({ amount: 1 }).then(({ action }) => order.push(action));
    await told.promise;
    await new Promise((resolve) => setImmediate(resolve));
    gate.resolve();
    await delivery;
    const refused = [{ amount: 1 }, expect.objectContaining({ code: 'INVALID_KEY' })];
    expect(order).toEqual([refused, 'kept elsewhere', 'drop']);
  });

  test('when onDrop throws, the message is not dropped', async () => {
    const consume = consumer({ onDrop: boom });
    expect(await consume({})).toMatchObject({ action: 'retry', failed: false, error: { message: 'boom' } });
  });

  test('a store that is down: it comes again, not run; or runs unprotected where that was chosen', async () => {
    const store = new FaultyStore(new InMemoryStore());
    store.faults.claim = () => {
      throw storeDown();
    };
    let runs = 0;
    const options: Partial<Options> = { store, storeTimeout: 30, handler: () => ++runs };
    expect(await consumer(options)({ id: 'm' })).toMatchObject({
      action: 'retry',
      failed: false,
      error: { code: 'STORE_UNAVAILABLE' },
    });
    expect(runs).toBe(0);
    const open = consumer({ ...options, onStoreError: 'run' });
    expect(await open({ id: 'm' })).toMatchObject({ action: 'ack', replayed: false, result: 1 });
    store.heal();
    await open.close();
  });

  test('G7: a result that could not be recorded in time is acknowledged, and recorded later', async () => {
    const store = new FaultyStore(new InMemoryStore());
    const consume = consumer({ store, storeTimeout: 30 });
    store.faults.settle = () => {
      throw storeDown();
    };
    expect(await consume({ id: 'm' })).toMatchObject({ action: 'ack', replayed: false, result: 'charged' });
    store.heal();
    await consume.close();
    expect(await consume.idempotency.get('m', { name: 'orders' })).toMatchObject({ result: 'charged' });
  });

  test('close() drains, and then messages come again; an instance that was given stays open', async () => {
    const own = consumer();
    await own.close();
    expect(await own({ id: 'm' })).toMatchObject({ action: 'retry', failed: false });
    const given = consumer({ idempotency: createIdempotency({ name: 'run', store: new InMemoryStore() }) });
    await given.close();
    expect(await given({ id: 'm' })).toMatchObject({ action: 'ack' });
  });

  test('the defaults of an instance hold, but a message does not wait unless told to', async () => {
    const idempotency = createIdempotency({
      name: 'run',
      store: new InMemoryStore(),
      lease: '3s',
      maxAttempts: 1,
    });
    const [started, gate] = [deferred(), deferred()];
    const consume = consumer({
      idempotency,
      handler: async () => {
        started.resolve();
        await gate.promise;
        boom();
      },
    });
    const first = consume({ id: 'm' });
    await started.promise;
    expect(await consume({ id: 'm' })).toMatchObject({ action: 'retry', delayMs: 3_000 });
    gate.resolve();
    expect(await first).toMatchObject({ action: 'drop', error: { message: 'boom' } });
  });

  test.each<[object, RegExp]>([
    [{ store: undefined }, /needs store or idempotency/],
    [{ store: {} }, /store is .*claim/],
    [
      {
        idempotency: createIdempotency({ name: 'run', store: new InMemoryStore() }),
        store: new InMemoryStore(),
      },
      /not both/,
    ],
    [{ idempotency: {} }, /give what createIdempotency\(\) returned/],
    [{ key: 'm' }, /key is "m": give a function of the message/],
    [{ handler: undefined }, /handler is undefined/],
    [{ onDrop: 1 }, /onDrop is 1/],
    [{ name: '' }, /name is "": give a text/],
    [{ name: 'a:b' }, /name contains ":"/],
    [{ retryDelay: 0 }, /retryDelay is 0/],
    [{ remember: 'some' }, /remember is "some"/],
    [{ concurrent: 'maybe' }, /concurrent is "maybe"/],
    [{ onAbandoned: 'ignore' }, /onAbandoned is "ignore"/],
    [{ reties: 3 }, /has no option "reties"/],
  ])('INVALID_OPTIONS at once: %p', async (options, why) => {
    const error = await errorOf(Promise.resolve().then(() => consumer(options as Partial<Options>)));
    expect(error.code).toBe('INVALID_OPTIONS');
    expect(error.message).toMatch(why);
  });
});
