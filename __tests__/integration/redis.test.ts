import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { createIdempotency, IdempotencyMiddleware, type IdempotencyOptions } from '../../src/index.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { deferred, errorOf } from '../support/deferred.js';
import { nextEvent } from '../support/instances.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { chargeTask } from '../support/tasks.js';

let server: PrivateRedis;
let redis: Redis;
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
});
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  await redis.flushall();
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

function instance(options: Partial<IdempotencyOptions> = {}) {
  const store = new RedisStore(server.url);
  const idempotency = createIdempotency({ store, name: 'charge', logger: {}, ...options });
  opened.push(idempotency, store);
  return idempotency;
}

async function scriptCalls(): Promise<number> {
  const stats = await redis.info('commandstats');
  return [...stats.matchAll(/cmdstat_(?:evalsha|eval):calls=(\d+)/g)].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
}

/** The script calls that something costs. */
async function costOf(something: () => Promise<unknown>): Promise<number> {
  const before = await scriptCalls();
  await something();
  return (await scriptCalls()) - before;
}

describe('round trips', () => {
  test('a first run costs 2, a duplicate 1, a joiner in the same process 0', async () => {
    const one = instance();
    // The scripts are loaded by their first use.
    await one.run('warm', () => 1);
    await one.run('warm', () => 1);
    expect(await costOf(() => one.run('k', () => 1))).toBe(2);
    expect(await costOf(() => one.run('k', () => 1))).toBe(1);
    const joined = () => Promise.all(Array.from({ length: 50 }, () => one.run('k2', async () => 1)));
    expect(await costOf(joined)).toBe(2);
  });

  test('1,000 duplicates in one process of a key that runs in another: at most 3 script calls in all', async () => {
    const [owner, other] = [instance(), instance()];
    // Loads the scripts: a first use is two calls, EVALSHA and EVAL.
    await other.run('warm', () => 1);
    await other.get('warm');
    const gate = deferred<string>();
    const started = nextEvent(owner, 'miss');
    const first = owner.run('k', () => gate.promise);
    await started;
    let settled: Promise<unknown> = Promise.resolve();
    const cost = await costOf(async () => {
      const duplicates = Array.from({ length: 1_000 }, () => other.run('k', () => 'twice'));
      await subscribed();
      gate.resolve('paid');
      settled = first;
      expect(new Set(await Promise.all(duplicates))).toEqual(new Set(['paid']));
    });
    await settled;
    // The owner's own settling is one of them.
    expect(cost - 1).toBeLessThanOrEqual(3);
  });
});

describe('faults of a real server', () => {
  test('G4, G6: a server that came back without its data finds the key again, by the renewal', async () => {
    const own = await startRedis();
    const store = new RedisStore(own.url);
    const owner = createIdempotency({ store, name: 'charge', lease: '3s', logger: {} });
    const gate = deferred<string>();
    const started = nextEvent(owner, 'miss');
    const first = owner.run('k', () => gate.promise);
    await started;
    await own.restart();
    while (!(await owner.get('k').catch(() => undefined)))
      await new Promise((resolve) => setTimeout(resolve, 5));
    const other = createIdempotency({ store: new RedisStore(own.url), name: 'charge', logger: {} });
    const waiting = nextEvent(other, 'wait');
    const duplicate = other.run('k', () => 'twice');
    await waiting;
    gate.resolve('once');
    expect(await Promise.all([first, duplicate])).toEqual(['once', 'once']);
    await own.stop();
  });

  test('G7: a result that a frozen server could not take is answered, and recorded when it thaws', async () => {
    const own = await startRedis();
    const store = new RedisStore({ url: own.url, timeoutMs: 200 });
    const owner = createIdempotency({ store, name: 'charge', storeTimeout: 300, logger: {} });
    const told = nextEvent(owner, 'unrecorded');
    const answer = await owner.run('k', () => (own.freeze(), 'paid'));
    expect(answer).toBe('paid');
    await told;
    const recorded = nextEvent(owner, 'recorded-late');
    await expect(owner.run('k', () => 'twice')).resolves.toBe('paid');
    own.thaw();
    await recorded;
    const other = createIdempotency({ store: new RedisStore(own.url), name: 'charge' });
    await expect(other.run('k', () => 'twice')).resolves.toBe('paid');
    await own.stop();
  });

  test('G8: a server that is not there ends in STORE_UNAVAILABLE within the deadline', async () => {
    const nowhere = createIdempotency({
      name: 'run',
      store: new RedisStore('redis://127.0.0.1:1'),
      storeTimeout: 200,
    });
    expect(await errorOf(nowhere.run('k', () => 'ran'))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  test('a restart shorter than the deadline is not noticed', async () => {
    const own = await startRedis();
    const one = createIdempotency({ store: new RedisStore(own.url), name: 'charge', storeTimeout: '5s' });
    await one.run('warm', () => 1);
    const restarted = own.restart();
    expect(await one.run('k', () => 'ran')).toBe('ran');
    await restarted;
    await own.stop();
  });

  test('SCRIPT FLUSH is not noticed', async () => {
    const one = instance();
    await one.run('warm', () => 1);
    await redis.script('FLUSH');
    expect(await one.run('k', () => 'ran')).toBe('ran');
    expect(await one.run('k', () => 'twice')).toBe('ran');
  });
});

describe('switching over from the plain recipe', () => {
  const recipe = {
    status: 'success',
    reason: null,
    metadata: { by: 'recipe' },
    context: { orderId: 'old', chargeId: 'ch_9' },
  };
  const address = 'idempotency:ChargeCard:o-1';

  function task(onDuplicate: 'skip' | 'fail' | 'return-cached') {
    const idempotency = new IdempotencyMiddleware({ redis: server.url, logger: {} });
    opened.push(idempotency);
    return chargeTask(idempotency, { key: 'o-1', onDuplicate });
  }

  test('its records are completed results: nothing is charged twice, and they are not modified', async () => {
    await redis.setex(address, 60, JSON.stringify(recipe));
    const before = await redis.get(address);
    const skipping = task('skip');
    expect(await skipping.execute({})).toMatchObject({
      status: 'skipped',
      metadata: { originalStatus: 'success' },
    });
    const failing = task('fail');
    expect((await failing.execute({})).metadata).toMatchObject({ code: 'DUPLICATE_EXECUTION' });
    expect(skipping.runs() + failing.runs()).toBe(0);
    expect(await redis.get(address)).toBe(before);
    expect(await redis.ttl(address)).toBeGreaterThan(50);
  });

  test("a record's context sets only keys that the context lacks", async () => {
    await redis.setex(address, 60, JSON.stringify(recipe));
    const result = await task('return-cached').execute({ orderId: 'new' });
    expect(result).toMatchObject({ status: 'success', metadata: { by: 'recipe' } });
    expect(result.context.toObject()).toEqual({ orderId: 'new', chargeId: 'ch_9' });
  });

  test('whoever is no task is told what stands there: JSON that twiceshy did not write, and what to do', async () => {
    await redis.setex('idempotency:charge:o-1', 60, '{"who knows":1}');
    const charge = instance();
    const refused = charge.run('o-1', () => 'charged');
    await expect(refused).rejects.toMatchObject({
      code: 'CORRUPT_RECORD',
      message: expect.stringMatching(/JSON that twiceshy did not write.*another name, or forget\(\) the key/),
    });
    expect(await charge.forget('o-1')).toBe(true);
    expect(await charge.run('o-1', () => 'charged')).toBe('charged');
  });

  test('our own records stand at the same address, byte for byte', async () => {
    await task('skip').execute({});
    expect(await redis.exists(address)).toBe(1);
  });
});

test('a task writes a record that an operator can read', async () => {
  const idempotency = new IdempotencyMiddleware(server.url);
  opened.push(idempotency);
  await chargeTask(idempotency, { key: 'o-1' }).execute({ card: '4242424242424242' });
  const raw = await redis.get('idempotency:ChargeCard:o-1');
  expect(raw).toContain('"chargeId":"ch_1"');
  expect(raw).not.toContain('4242');
});

async function subscribed(): Promise<void> {
  while (((await redis.pubsub('CHANNELS')) as string[]).length === 0)
    await new Promise((r) => setImmediate(r));
}
