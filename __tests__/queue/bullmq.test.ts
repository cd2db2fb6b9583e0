import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { DelayedError, Queue, QueueEvents, UnrecoverableError, Worker, Job, type JobsOptions } from 'bullmq';
import { jobKey, idempotentProcessor, type ProcessorOptions } from '../../src/queue/bullmq.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { deferred, errorOf } from '../support/deferred.js';
import { FaultyStore, storeDown } from '../support/faulty-store.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { EffectsFile, killConsumers, startConsumer, until } from './consumers.js';
import type { KillPoint } from './kill-points.js';

const WORKER = new URL('./bullmq-worker.ts', import.meta.url);

interface Order {
  orderId: string;
}
type OrderJob = Job<Order, string>;

let server: PrivateRedis;
let queues = 0;
let queue: Queue<Order, string>;
let events: QueueEvents;
let store: RedisStore;
const workers: Worker[] = [];

beforeAll(async () => {
  server = await startRedis();
  store = new RedisStore(server.url);
});
beforeEach(async () => {
  queue = new Queue(`orders-${++queues}`, { connection: { url: server.url } });
  events = new QueueEvents(queue.name, { connection: { url: server.url } });
  await events.waitUntilReady();
});
afterEach(async () => {
  await killConsumers();
  await Promise.all(workers.splice(0).map((worker) => worker.close(true)));
  await events.close();
  await queue.close();
});
afterAll(async () => {
  await store.close();
  await server.stop();
});

function startWorker(options: Partial<ProcessorOptions<OrderJob, string>>): Worker<Order, string> {
  const processor = idempotentProcessor<OrderJob, string>({
    store,
    logger: {},
    retryDelay: 50,
    handler: () => 'unused',
    ...options,
  });
  const worker = new Worker<Order, string>(queue.name, processor, {
    connection: { url: server.url },
    concurrency: 4,
  });
  workers.push(worker);
  return worker;
}

const add = (options: JobsOptions = {}) => queue.add('charge', { orderId: 'o-1' }, options);
const finished = (job: Job<Order, string>) => job.waitUntilFinished(events, 15_000);
const failureOf = async (job: Job<Order, string>) => (await errorOf(finished(job))).message;
const now = async (job: Job<Order, string>) => (await Job.fromId<Order, string>(queue, job.id!))!;
/** What is not done yet. */
const openJobs = async () => (await queue.getJobs(['active', 'wait', 'delayed'])).length;

describe('a BullMQ processor, on a real worker and a real Redis', () => {
  test('a job runs once, with its attempt, and completes with what the handler returned', async () => {
    startWorker({
      handler: (job, { attempt, key }) => `${job.data.orderId} ${attempt} ${String(key === jobKey(job))}`,
    });
    expect(await finished(await add())).toBe('o-1 1 true');
    expect(await openJobs()).toBe(0);
  });

  test('what the handler throws is retried by the attempts and the backoff of the job', async () => {
    startWorker({
      handler: (_, { attempt }) => {
        if (attempt < 3) throw new Error(`declined ${attempt}`);
        return `charged by attempt ${attempt}`;
      },
    });
    const job = await add({ attempts: 3, backoff: { type: 'fixed', delay: 10 } });
    expect(await finished(job)).toBe('charged by attempt 3');
    expect(await now(job)).toMatchObject({ attemptsMade: 3, attemptsStarted: 3 });
  });

  test('a job whose attempts are used up fails with its own error, and runs again when a person retries it', async () => {
    let declined = true;
    startWorker({
      handler: () => {
        if (declined) throw new Error('declined');
        return 'charged';
      },
    });
    const job = await add({ attempts: 2 });
    expect(await failureOf(job)).toBe('declined');
    declined = false;
    await (await now(job)).retry();
    await until('it is completed', async () => (await now(job)).isCompleted());
    expect((await now(job)).returnvalue).toBe('charged');
  });

  test('another job of the same key completes with the recorded result, and runs nothing', async () => {
    let runs = 0;
    startWorker({ key: (job) => job.data.orderId, handler: () => `charge ${++runs}` });
    expect(await finished(await add())).toBe('charge 1');
    expect(await finished(await add())).toBe('charge 1');
    expect(runs).toBe(1);
  });

  test.each<[string, JobsOptions, number]>([
    ['by default: jobs without an id of their own are different ones', {}, 2],
    ['a deduplication id is the key, also after its job has finished', { deduplication: { id: 'o-1' } }, 1],
    ['a deduplication id that throttles is no key', { deduplication: { id: 'o-1', ttl: 1 } }, 2],
    ['an id of its own is the key, also after the job was removed', { jobId: 'o-1' }, 1],
  ])('%s', async (_, options, expected) => {
    let runs = 0;
    startWorker({ handler: () => `charge ${++runs}` });
    const first = await add(options);
    await finished(first);
    await first.remove();
    // A throttle of 1 ms is over when its key is.
    await until('its throttle is over', async () => {
      const { ttl } = options.deduplication ?? {};
      return !ttl || (await queue.getDeduplicationJobId('o-1')) === null;
    });
    expect(await finished(await add(options))).toBe(`charge ${expected}`);
  });

  test('an id that BullMQ counts is another job when the count starts anew', async () => {
    let runs = 0;
    startWorker({ handler: () => `charge ${++runs}` });
    const first = await add();
    expect(await finished(first)).toBe('charge 1');
    await queue.obliterate({ force: true });
    const second = await add();
    expect(second.id).toBe(first.id);
    await until('it has run', async () => (await now(second)).isCompleted());
    expect((await now(second)).returnvalue).toBe('charge 2');
  });

  test('a job of the same key that is running elsewhere is delayed: not lost, not run, and no attempt used up', async () => {
    const [started, gate] = [deferred(), deferred()];
    let runs = 0;
    startWorker({
      lease: 300,
      key: (job) => job.data.orderId,
      handler: async () => {
        started.resolve();
        await gate.promise;
        return `charge ${++runs}`;
      },
    });
    const first = await add({ attempts: 1 });
    await started.promise;
    const second = await add({ attempts: 1 });
    await until('the second is delayed', async () => (await now(second)).isDelayed());
    gate.resolve();
    expect(await Promise.all([first, second].map(finished))).toEqual(['charge 1', 'charge 1']);
    expect(await now(second)).toMatchObject({ attemptsMade: 1 });
    expect(runs).toBe(1);
  });

  test('with concurrent: "wait" it waits in the worker, and completes with the same result', async () => {
    const [started, gate] = [deferred(), deferred()];
    startWorker({
      concurrent: 'wait',
      key: (job) => job.data.orderId,
      handler: async () => {
        started.resolve();
        await gate.promise;
        return 'charged';
      },
    });
    const first = await add();
    await started.promise;
    const second = await add();
    await until('the second is in the worker', async () => (await now(second)).isActive());
    gate.resolve();
    expect(await Promise.all([first, second].map(finished))).toEqual(['charged', 'charged']);
    expect((await now(second)).attemptsStarted).toBe(1);
  });

  test('KEY_REUSED: another payload under the key fails for good, whatever attempts are left, and onDrop is told', async () => {
    const dropped: unknown[] = [];
    startWorker({
      key: () => 'k',
      payload: (job) => job.data,
      onDrop: (job, error) => dropped.push([job.data.orderId, error]),
    });
    await finished(await add());
    const other = await queue.add('charge', { orderId: 'o-2' }, { attempts: 5 });
    expect(await failureOf(other)).toMatch(/used before with another payload/);
    expect((await now(other)).attemptsMade).toBe(1);
    expect(dropped).toEqual([['o-2', expect.objectContaining({ code: 'KEY_REUSED' })]]);
  });

  test.each([
    ['that remember calls final', { remember: () => true }, () => new Error('no such card')],
    ['that is an UnrecoverableError', {}, () => new UnrecoverableError('no such card')],
  ])('a failure %s fails the job for good, and every duplicate', async (_, options, error) => {
    let runs = 0;
    startWorker({
      ...options,
      key: (job) => job.data.orderId,
      handler: () => {
        runs++;
        throw error();
      },
    });
    expect(await failureOf(await add({ attempts: 5 }))).toBe('no such card');
    expect(await failureOf(await add({ attempts: 5 }))).toBe('no such card');
    expect(runs).toBe(1);
  });

  test('a store that is down delays the job, and uses up none of its attempts', async () => {
    const faulty = new FaultyStore(store);
    let refusals = 0;
    faulty.faults.claim = () => {
      refusals++;
      throw storeDown();
    };
    startWorker({ store: faulty, storeTimeout: 50, handler: () => 'charged' });
    const job = await add({ attempts: 1 });
    await until('it was refused twice', () => refusals > 1);
    faulty.heal();
    expect(await finished(job)).toBe('charged');
    expect((await now(job)).attemptsMade).toBe(1);
  });

  test('a handler that moves its job and says so by a DelayedError has not failed', async () => {
    const attempts: number[] = [];
    startWorker({
      // The job may come again before the handler has ended, and then waits for the lease.
      lease: 200,
      maxAttempts: 1,
      handler: async (job, { attempt }) => {
        if (attempts.push(attempt) > 1) return 'charged';
        await job.moveToDelayed(Date.now() + 1, job.token);
        throw new DelayedError();
      },
    });
    expect(await finished(await add())).toBe('charged');
    expect(attempts).toEqual([1, 1]);
  });

  test('a rate limit that the handler meets is no failure either', async () => {
    const attempts: number[] = [];
    const worker = startWorker({
      lease: 200,
      maxAttempts: 1,
      handler: async (_, { attempt }) => {
        if (attempts.push(attempt) > 1) return 'charged';
        await worker.rateLimit(10);
        throw Worker.RateLimitError();
      },
    });
    expect(await finished(await add())).toBe('charged');
    expect(attempts).toEqual([1, 1]);
  });

  test('maxAttempts fails a job for good, before BullMQ would', async () => {
    let runs = 0;
    startWorker({
      maxAttempts: 2,
      handler: () => {
        runs++;
        throw new Error('declined');
      },
    });
    const job = await add({ attempts: 10 });
    expect(await failureOf(job)).toBe('declined');
    expect(runs).toBe(2);
  });
});

describe('a BullMQ worker that is killed', () => {
  let effects: EffectsFile;
  beforeEach(() => void (effects = new EffectsFile()));
  afterEach(() => effects.remove());

  /** Kills a worker at the point, and lets another one finish. */
  async function killAt(point: KillPoint, env: Record<string, string> = {}): Promise<Job<Order, string>> {
    const settings = { REDIS_URL: server.url, QUEUE: queue.name, EFFECTS: effects.path, ...env };
    const doomed = startConsumer(WORKER, { ...settings, KILL_AT: point });
    await doomed.said('ready');
    const job = await add();
    await doomed.said(point);
    await doomed.kill();
    await startConsumer(WORKER, settings).said('ready');
    return job;
  }

  test('before the effect: the next one runs it', async () => {
    expect(await finished(await killAt('before-effect'))).toBe('charged by attempt 2');
    expect(effects.lines).toHaveLength(1);
    expect(await openJobs()).toBe(0);
  });

  test('between effect and record, with onAbandoned "retry": it runs again, under the same key for the provider', async () => {
    expect(await finished(await killAt('before-record'))).toBe('charged by attempt 2');
    expect(effects.lines).toHaveLength(2);
    expect(new Set(effects.lines).size).toBe(1);
    expect(await openJobs()).toBe(0);
  });

  test('between effect and record, with "block": it fails as in doubt, with one effect', async () => {
    const job = await killAt('before-record', { RULE: 'block' });
    expect(await failureOf(job)).toMatch(/nobody can say/);
    expect(effects.lines).toHaveLength(1);
    expect(await (await now(job)).isFailed()).toBe(true);
  });

  test('between effect and record, with a function that asks the provider: its answer, with one effect', async () => {
    const job = await killAt('before-record', { FOUND: 'found at the provider' });
    expect(await finished(job)).toBe('found at the provider');
    expect(effects.lines).toHaveLength(1);
  });

  test('between record and acknowledgement: the job completes with the recorded result, with one effect', async () => {
    expect(await finished(await killAt('before-ack'))).toBe('charged by attempt 1');
    expect(effects.lines).toHaveLength(1);
    expect(await openJobs()).toBe(0);
  });
});
