import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { connect, type Channel, type ChannelModel, type ConsumeMessage, type GetMessage } from 'amqplib';
import { consumeIdempotently, type AmqpConsumer, type AmqpOptions } from '../../src/queue/amqp.js';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { deferred } from '../support/deferred.js';
import { FaultyStore, storeDown } from '../support/faulty-store.js';
import { describeOnRabbitMq, makeVirtualHost, type VirtualHost } from '../support/rabbitmq.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import {
  EffectsFile,
  killConsumers,
  startConsumer,
  until,
  type ConsumerProcess,
} from '../queue/consumers.js';
import type { KillPoint } from '../queue/kill-points.js';

const WORKER = new URL('../queue/amqp-worker.ts', import.meta.url);

type Options = AmqpOptions<ConsumeMessage, string>;

await describeOnRabbitMq('an AMQP consumer on a real RabbitMQ', () => {
  let host: VirtualHost;
  let connection: ChannelModel;
  /** Publishes and looks; consumes nothing. */
  let desk: Channel;
  let queues = 0;
  let queue: string;
  let dead: string;
  const consumers: AmqpConsumer[] = [];

  beforeAll(async () => {
    host = await makeVirtualHost();
    connection = await connect(host.url);
    desk = await connection.createChannel();
  }, 60_000);
  beforeEach(async () => {
    queue = `orders-${++queues}`;
    dead = `${queue}-dead`;
    await desk.assertQueue(dead);
    await desk.assertQueue(queue, { deadLetterExchange: '', deadLetterRoutingKey: dead });
  });
  afterEach(async () => {
    await killConsumers();
    await Promise.all(consumers.splice(0).map((consumer) => consumer.close()));
  });
  afterAll(async () => {
    await connection.close();
    await host.remove();
  }, 60_000);

  const publish = (messageId: string | undefined, body = 'o-1') =>
    void desk.sendToQueue(queue, Buffer.from(body), { persistent: true, ...(messageId && { messageId }) });

  async function consumer(options: Partial<Options>, channel?: Channel): Promise<AmqpConsumer> {
    const started = await consumeIdempotently(channel ?? (await connection.createChannel()), queue, {
      ...(!options.idempotency && { store: new InMemoryStore() }),
      maxAttempts: 10,
      retryDelay: 20,
      logger: {},
      handler: () => 'unused',
      ...options,
    });
    consumers.push(started);
    return started;
  }

  async function deadLetter(): Promise<GetMessage> {
    let letter: GetMessage | false = false;
    await until(
      'a dead letter is there',
      async () => (letter = await desk.get(dead, { noAck: true })) !== false,
    );
    return letter as unknown as GetMessage;
  }

  /** Closes all consumers, so that what they had not acknowledged is in the queue again, and counts. */
  async function leftOver(): Promise<number> {
    await Promise.all(consumers.splice(0).map((each) => each.close()));
    await killConsumers();
    return (await desk.checkQueue(queue)).messageCount;
  }

  test('a message runs once, and is acknowledged', async () => {
    const ran = deferred<string>();
    await consumer({
      handler: (message, { attempt, key }) => {
        ran.resolve(`${message.content.toString()} ${key} ${attempt}`);
        return 'charged';
      },
    });
    publish('m-1');
    expect(await ran.promise).toBe('o-1 m-1 1');
    expect(await leftOver()).toBe(0);
  });

  test('a message that comes twice is acknowledged without running again', async () => {
    const ran: string[] = [];
    const { idempotency } = await consumer({
      lease: 100,
      handler: (message) => String(ran.push(message.properties.messageId as string)),
    });
    publish('m-1');
    publish('m-1');
    publish('m-2');
    await until('the duplicate was answered', () => ran.length === 2 && idempotency.stats().hits === 1);
    expect(await leftOver()).toBe(0);
    expect(ran.sort()).toEqual(['m-1', 'm-2']);
  });

  test('a key of your own makes two messages one', async () => {
    let runs = 0;
    const { idempotency } = await consumer({
      lease: 100,
      key: (message) => message.content.toString(),
      handler: () => String(++runs),
    });
    publish('m-1');
    await until('the first ran', () => runs === 1);
    publish('m-2');
    await until('the second was answered', () => idempotency.stats().hits === 1);
    expect([await leftOver(), runs]).toEqual([0, 1]);
  });

  test.each([
    ['without a message-id is never run: it is', undefined, {}, 'INVALID_KEY'],
    [
      'whose key function throws is',
      'm-1',
      { key: (message: ConsumeMessage) => JSON.parse(message.content.toString()) as string },
      'INVALID_KEY',
    ],
  ])('a message %s dead-lettered, and onDrop is told', async (_, messageId, options, code) => {
    let runs = 0;
    const errors: unknown[] = [];
    await consumer({ ...options, onDrop: (_, error) => errors.push(error), handler: () => String(++runs) });
    publish(messageId);
    const letter = await deadLetter();
    expect(letter.content.toString()).toBe('o-1');
    expect(letter.properties.headers?.['x-death']?.[0]).toMatchObject({ reason: 'rejected', queue });
    expect([runs, errors]).toEqual([0, [expect.objectContaining({ code })]]);
  });

  test.each([
    ['by default, which is the content', {}],
    ['that is given', { payload: (message: ConsumeMessage) => message.content }],
  ])('KEY_REUSED: under the same message-id another payload %s is dead-lettered', async (_, options) => {
    const errors: unknown[] = [];
    const ran: string[] = [];
    await consumer({
      ...options,
      onDrop: (_, error) => errors.push(error),
      handler: (message) => String(ran.push(message.content.toString())),
    });
    publish('m-1', 'pay 1');
    await until('the first ran', () => ran.length === 1);
    publish('m-1', 'pay 1000');
    expect((await deadLetter()).content.toString()).toBe('pay 1000');
    expect([ran, errors]).toEqual([['pay 1'], [expect.objectContaining({ code: 'KEY_REUSED' })]]);
  });

  test('a message that fails comes again, and is dead-lettered after maxAttempts, whichever consumers had it', async () => {
    const attempts: number[] = [];
    const store = new InMemoryStore();
    const failing: Partial<Options> = {
      store,
      maxAttempts: 4,
      handler: (_, { attempt }) => {
        attempts.push(attempt);
        throw new Error('declined');
      },
    };
    const first = await consumer({ ...failing, retryDelay: '1h' });
    publish('m-1');
    await until('it failed here once', () => attempts.length === 1);
    await first.close();
    await consumer(failing);
    expect((await deadLetter()).properties.messageId).toBe('m-1');
    expect(attempts).toEqual([1, 2, 3, 4]);
    expect(await leftOver()).toBe(0);
  });

  test('a failure that remember calls final is dead-lettered at once, and so is its duplicate', async () => {
    let runs = 0;
    await consumer({
      remember: 'all',
      handler: () => {
        runs++;
        throw new Error('no such card');
      },
    });
    publish('m-1');
    await deadLetter();
    publish('m-1');
    await deadLetter();
    expect(runs).toBe(1);
  });

  test('a message that is running elsewhere is held back: neither lost nor run', async () => {
    const store = new InMemoryStore();
    const [started, gate] = [deferred(), deferred()];
    let runs = 0;
    const options: Partial<Options> = {
      lease: 200,
      handler: async () => {
        runs++;
        started.resolve();
        await gate.promise;
        return 'charged';
      },
    };
    const one = new FaultyStore(store);
    const other = new FaultyStore(store);
    await consumer({ ...options, store: one });
    publish('m-1');
    await started.promise;
    await consumer({ ...options, store: other });
    publish('m-1');
    // Twice asked, so that it was held back and came again.
    await until('the duplicate came twice', () => one.calls.claim + other.calls.claim > 2);
    gate.resolve();
    const before = other.calls.claim;
    await until('the duplicate came again', () => one.calls.claim + other.calls.claim > before + 1);
    expect([await leftOver(), runs]).toEqual([0, 1]);
  });

  test('what is held back counts for the prefetch of the channel', async () => {
    const channel = await connection.createChannel();
    await channel.prefetch(1);
    const ran: string[] = [];
    const gate = deferred();
    const failed = deferred();
    await consumer(
      {
        retryDelay: 200,
        handler: (message, { attempt }) => {
          if (attempt > 1) gate.resolve();
          ran.push(`${message.content.toString()} ${attempt}`);
          if (ran.length === 1) {
            failed.resolve();
            throw new Error('declined');
          }
          return 'charged';
        },
      },
      channel,
    );
    publish('m-1', 'a');
    await failed.promise;
    publish('m-2', 'b');
    await until('both ran', () => ran.length === 3);
    // The second had to wait until the first was given back; the broker puts that one first.
    expect(ran).toEqual(['a 1', 'a 2', 'b 1']);
    await gate.promise;
    expect(await leftOver()).toBe(0);
  });

  test('a store that is down holds the message back, and counts no attempt', async () => {
    const faulty = new FaultyStore(new InMemoryStore());
    faulty.faults.claim = () => {
      throw storeDown();
    };
    const ran = deferred<number>();
    await consumer({
      store: faulty,
      storeTimeout: 30,
      maxAttempts: 1,
      handler: (_, { attempt }) => (ran.resolve(attempt), 'charged'),
    });
    publish('m-1');
    await until('it was refused and came again', () => faulty.calls.claim > 20);
    faulty.heal();
    expect(await ran.promise).toBe(1);
    expect(await leftOver()).toBe(0);
  });

  test('when onDrop throws, the message comes again instead', async () => {
    let told = 0;
    await consumer({
      onDrop: () => {
        if (++told === 1) throw new Error('the parking queue is down');
      },
    });
    publish(undefined);
    await deadLetter();
    expect(told).toBe(2);
  });

  test('a channel that closes under a running message harms nobody: it is delivered again, and not run again', async () => {
    const store = new InMemoryStore();
    const [started, gate] = [deferred(), deferred()];
    const warnings: string[] = [];
    let runs = 0;
    const options: Partial<Options> = {
      store,
      lease: 100,
      logger: { warn: (message) => void warnings.push(message) },
      handler: async () => {
        runs++;
        started.resolve();
        await gate.promise;
        return 'charged';
      },
    };
    const channel = await connection.createChannel();
    await consumer(options, channel);
    publish('m-1');
    await started.promise;
    await channel.close();
    const { idempotency } = await consumer(options);
    gate.resolve();
    await until('it was answered', () => idempotency.stats().hits > 0);
    await until('the first one had no one to tell', () => warnings.length > 0);
    expect(warnings[0]).toMatch(/could not be reached: Channel closed/);
    expect([await leftOver(), runs]).toEqual([0, 1]);
  });

  test('close() lets what runs finish, gives back what waits, and takes nothing new', async () => {
    const [started, gate] = [deferred(), deferred()];
    const ran: string[] = [];
    const idempotency = createIdempotency({ name: 'run', store: new InMemoryStore() });
    const options: Partial<Options> = {
      retryDelay: '1h',
      handler: async (message) => {
        const body = message.content.toString();
        ran.push(body);
        if (body === 'fails') throw new Error('declined');
        started.resolve();
        await gate.promise;
        return 'charged';
      },
    };
    const channel = await connection.createChannel();
    const closing = await consumer({ ...options, idempotency }, channel);
    publish('m-1', 'fails');
    publish('m-2', 'runs');
    await started.promise;
    await until('one has failed', async () => {
      return (await idempotency.get('m-1', { name: queue }))?.status === 'FAILED';
    });
    // A message that the broker had sent already when it was told to stop.
    const cancel = channel.cancel.bind(channel);
    channel.cancel = async (tag) => {
      channel.cancel = cancel;
      const delivered = once(channel, 'delivery');
      publish('m-3', 'new');
      await delivered;
      return cancel(tag);
    };
    let isClosed = false;
    const closed = closing.close().then(() => (isClosed = true));
    await until('it takes no more', async () => (await desk.checkQueue(queue)).consumerCount === 0);
    expect(isClosed).toBe(false);
    gate.resolve();
    await closed;
    expect(ran.sort()).toEqual(['fails', 'runs']);
    // The channel is open: what runs was acknowledged, and the others were given back.
    await until('two are left', async () => (await desk.checkQueue(queue)).messageCount === 2);
  });

  test('what close() waited for is acknowledged, also when the connection is closed right after it', async () => {
    const own = await connect(host.url);
    const [started, gate] = [deferred(), deferred()];
    const handler = () => (started.resolve(), gate.promise.then(() => 'charged'));
    const closing = await consumer({ handler }, await own.createChannel());
    publish('m-1');
    await started.promise;
    const closed = closing.close().then(() => own.close());
    await until('it takes no more', async () => (await desk.checkQueue(queue)).consumerCount === 0);
    gate.resolve();
    await closed;
    expect((await desk.checkQueue(queue)).messageCount).toBe(0);
  });

  test('a consumer that the broker cancels says so', async () => {
    const warned = deferred<string>();
    await consumer({ logger: { warn: (message) => warned.resolve(message) } });
    await desk.deleteQueue(queue);
    expect(await warned.promise).toMatch(/cancelled the consumer/);
  });

  describe('that is killed', () => {
    let redis: PrivateRedis;
    let effects: EffectsFile;
    beforeAll(async () => void (redis = await startRedis()));
    beforeEach(() => void (effects = new EffectsFile()));
    afterEach(() => effects.remove());
    afterAll(() => redis.stop());

    const settings = (env: Record<string, string> = {}) => ({
      ...{ AMQP_URL: host.url, REDIS_URL: redis.url, QUEUE: queue, EFFECTS: effects.path },
      ...env,
    });
    /** Kills a consumer at the point, and starts another one. */
    async function killAt(point: KillPoint, messageId: string, env: Record<string, string> = {}) {
      const doomed = startConsumer(WORKER, settings({ KILL_AT: point, ...env }));
      await doomed.said('ready');
      publish(messageId);
      await doomed.said(point);
      await doomed.kill();
      return startConsumer(WORKER, settings(env));
    }

    /** Waits for the acknowledgement, and counts what the queue still holds when nobody consumes it any more. */
    async function leftBy(last: ConsumerProcess): Promise<number> {
      await last.said('acked');
      await last.stop();
      return leftOver();
    }

    test('before the effect: the next one runs it', async () => {
      expect(await leftBy(await killAt('before-effect', 'k-1'))).toBe(0);
      expect(effects.lines).toHaveLength(1);
    });

    test('between effect and record, with "retry": it runs again, under the same key for the provider', async () => {
      expect(await leftBy(await killAt('before-record', 'k-2'))).toBe(0);
      expect(effects.lines).toHaveLength(2);
      expect(new Set(effects.lines).size).toBe(1);
    });

    test('between effect and record, with "block": it is dead-lettered as in doubt, with one effect', async () => {
      await killAt('before-record', 'k-3', { RULE: 'block' });
      expect((await deadLetter()).properties.messageId).toBe('k-3');
      expect(effects.lines).toHaveLength(1);
      expect(await leftOver()).toBe(0);
    });

    test('between effect and record, with a function that asks the provider: it is acknowledged, with one effect', async () => {
      expect(await leftBy(await killAt('before-record', 'k-4', { FOUND: 'found' }))).toBe(0);
      expect(effects.lines).toHaveLength(1);
    });

    test('between record and acknowledgement: it is acknowledged, with one effect', async () => {
      expect(await leftBy(await killAt('before-ack', 'k-5'))).toBe(0);
      expect(effects.lines).toHaveLength(1);
    });

    test('a message that kills its consumers is dead-lettered after maxAttempts', async () => {
      publish('k-6');
      const env = { MAX_ATTEMPTS: '2' };
      for (let crashes = 0; crashes < 2; crashes++) {
        const doomed = startConsumer(WORKER, settings({ KILL_AT: 'before-effect', ...env }));
        await doomed.said('before-effect');
        await doomed.kill();
      }
      startConsumer(WORKER, settings(env));
      expect((await deadLetter()).properties.messageId).toBe('k-6');
      expect(effects.lines).toEqual([]);
    });
  });
});
