/**
 * The ways in which the pattern that `idempotent()` comes from is documented to be used, compiled under strict and run: a typed
 * payment whose hook reads `record.result`, waiting and rejecting duplicates, a store class written by hand, a message.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import {
  ConcurrentBehavior,
  hashKey,
  idempotent,
  IdempotencyStatus,
  isIdempotencyError,
  makeIdempotent,
  type IdempotencyRecord,
  type IdempotencyStore,
} from '../../src/index.js';
import { deferred } from '../support/deferred.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';

interface Payment {
  transactionId: string;
  status: 'success' | 'failed';
  amount: number;
}

let redis: PrivateRedis;
let client: Redis;
beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
});
afterAll(async () => {
  client.disconnect();
  await redis.stop();
});

/** As people write it: JSON, and an expiry that the server keeps. */
class HandWrittenStore<T> implements IdempotencyStore<T> {
  constructor(private readonly connection: Redis) {}

  async get(key: string): Promise<IdempotencyRecord<T> | null> {
    const text = await this.connection.get(key);
    return text === null ? null : (JSON.parse(text) as IdempotencyRecord<T>);
  }

  async set(key: string, record: IdempotencyRecord<T>): Promise<void> {
    const seconds = Math.max(1, Math.floor((record.expiresAt - Date.now()) / 1_000));
    await this.connection.setex(key, seconds, JSON.stringify(record));
  }

  async delete(key: string): Promise<void> {
    await this.connection.del(key);
  }

  async clear(): Promise<void> {
    await this.connection.flushdb();
  }
}

describe.each(['in memory', 'a store class written by hand'])('%s', (where) => {
  // One object: two of them over one Redis would be two processes, which such a store can't keep apart.
  let store: HandWrittenStore<unknown> | undefined;
  const settings = () =>
    where === 'in memory' ? { logger: {} } : { store: (store ??= new HandWrittenStore(client)), logger: {} };
  let charges = 0;
  const told: unknown[] = [];

  const pay = (orderId: string, amount: number): Promise<Payment> =>
    idempotent<Payment>({
      ...settings(),
      key: `payment-${where}-${orderId}`,
      ttl: 7_200_000,
      execute: async () => ({ transactionId: `ch_${++charges}`, status: 'success', amount }),
      onCacheHit: (_key, record) =>
        told.push([
          record.result.transactionId,
          record.status === IdempotencyStatus.COMPLETED,
          record.hitCount,
        ]),
      onCacheMiss: () => told.push('miss'),
    });

  test('a payment: the second call gets the first one’s result, and its hook the typed record', async () => {
    const first = await pay('order-123', 99.99);
    const second = await pay('order-123', 99.99);
    expect(second).toEqual(first);
    expect(charges).toBe(1);
    expect(told).toEqual(['miss', [first.transactionId, true, 1]]);
  });

  test('WAIT gives both the same result; REJECT refuses the second at once', async () => {
    const gate = deferred<Payment>();
    const call = (concurrentBehavior: ConcurrentBehavior) =>
      idempotent({
        ...settings(),
        key: `data-${where}`,
        concurrentBehavior,
        waitTimeout: 10_000,
        execute: () => gate.promise,
      });
    const both = [call(ConcurrentBehavior.WAIT), call(ConcurrentBehavior.WAIT)];
    const refused = await call(ConcurrentBehavior.REJECT).catch((error: unknown) => error);
    expect(isIdempotencyError(refused, 'CONCURRENT_REQUEST')).toBe(true);
    gate.resolve({ transactionId: 'ch_9', status: 'success', amount: 1 });
    const [one, other] = await Promise.all(both);
    expect(other).toEqual(one);
  });

  test('a message: a redelivery is recognised, and the hook knows when it was first processed', async () => {
    const times: Date[] = [];
    let runs = 0;
    const process = (id: string) =>
      idempotent({
        ...settings(),
        key: `message-${where}-${id}`,
        execute: async () => ({ messageId: id, processed: ++runs > 0 }),
        onCacheHit: (_key, { createdAt }) => times.push(new Date(createdAt)),
      });
    expect(await process('m-1')).toEqual(await process('m-1'));
    expect(runs).toBe(1);
    expect(Math.abs(times[0]!.getTime() - Date.now())).toBeLessThan(60_000);
  });
});

test('a wrapped function keeps its types, and hashKey makes a key of several values', async () => {
  let runs = 0;
  const greet = makeIdempotent(async function greetOnce(name: string, times: number) {
    return `${name} ${times} ${++runs}`;
  });
  const [one, other]: string[] = await Promise.all([greet('ann', 2), greet('ann', 2)]);
  expect(other).toBe(one);
  expect(hashKey('ann', 2)).toHaveLength(32);
});
