import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { startWorker } from '../support/processes.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';

let server: PrivateRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
});
beforeEach(async () => void (await redis.flushall()));
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
const effects = () => redis.llen('effects');

describe('a payment task across processes, on a real Redis', () => {
  test('two processes at once charge once, and both get the charge', async () => {
    const workers = [startWorker(server.url, ['o-1']), startWorker(server.url, ['o-1'])];
    const results = await Promise.all(workers.map((each) => each.result()));
    expect(results).toEqual([
      { status: 'success', charge: 1 },
      { status: 'success', charge: 1 },
    ]);
    expect(await effects()).toBe(1);
  });

  test('a duplicate in another process waits for the one that runs', async () => {
    const owner = startWorker(server.url, ['o-1'], { HOLD: '1' });
    expect(await owner.line()).toBe('started');
    const other = startWorker(server.url, ['o-1']);
    const [{ channel }] = await waitForSubscriber();
    expect(channel).toBe('idempotency:ChargeCard:o-1');
    owner.go();
    expect(await owner.result()).toMatchObject({ charge: 1 });
    expect(await other.result()).toMatchObject({ charge: 1 });
    expect(await effects()).toBe(1);
  });

  test('after SIGKILL of the owner a retry waits for the lease to end, takes over, and succeeds at its first attempt', async () => {
    const owner = startWorker(server.url, ['o-1', '1s'], { HOLD: '1' });
    expect(await owner.line()).toBe('started');
    await owner.kill();
    expect(await effects()).toBe(0);
    const retry = startWorker(server.url, ['o-1', '1s']);
    expect(await retry.result()).toEqual({ status: 'success', charge: 1 });
    expect(await effects()).toBe(1);
  });

  test('G8: an idle process exits by itself, with its connections open', async () => {
    const worker = startWorker(server.url, ['o-1']);
    expect(await worker.result()).toMatchObject({ status: 'success' });
    expect(worker.child.exitCode).toBe(0);
  });
});

async function waitForSubscriber(): Promise<[{ channel: string }]> {
  for (;;) {
    const [channel] = (await redis.pubsub('CHANNELS')) as string[];
    if (channel) return [{ channel }];
    await new Promise((resolve) => setImmediate(resolve));
  }
}
