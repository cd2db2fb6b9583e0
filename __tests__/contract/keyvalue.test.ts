import { afterAll, beforeAll } from '@jest/globals';
import { Redis } from 'ioredis';
import { KeyValueStore } from '../../src/stores/keyvalue.js';
import { describeStoreContract } from '../../src/testing/index.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { SetexStore } from '../support/simple-stores.js';

const onWarning = (): void => undefined;
const skip = {
  'wake-ups': 'a get/set object has none: waiters poll, and callers of one process join without it',
};

describeStoreContract(
  'KeyValueStore over a Map',
  () => ({ store: new KeyValueStore(new Map(), { onWarning }) }),
  { skip },
);

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
  () => ({ store: new KeyValueStore(new SetexStore(redis), { onWarning }) }),
  { skip },
);
