import { afterAll, beforeAll } from '@jest/globals';
import { Redis } from 'ioredis';
import { KeyValueStore, type IdempotencyStore } from '../../src/stores/keyvalue/store.js';
import { describeStoreContract } from '../../src/testing/index.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { SetexStore } from '../support/simple-stores.js';

const onWarning = (): void => undefined;
const skip = {
  'wake-ups': 'a get/set object has none: waiters poll, and callers of one process join without it',
};

/** Two wrappers of one object take turns. Two processes do not, which no store over get and set can promise. */
const subjectOf = (object: IdempotencyStore) => ({
  store: new KeyValueStore(object, { onWarning }),
  another: () => new KeyValueStore(object, { onWarning }),
});

describeStoreContract('KeyValueStore over a Map', () => subjectOf(new Map()), { skip });

let server: PrivateRedis;
let redis: Redis;
beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

describeStoreContract(
  'KeyValueStore over a hand-written class with setex and JSON, on a real Redis',
  () => subjectOf(new SetexStore(redis)),
  { skip },
);
