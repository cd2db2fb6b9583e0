import { afterAll, beforeAll } from '@jest/globals';
import RedisMock from 'ioredis-mock';
import { RedisStore } from '../../src/stores/redis.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { describeStoreContract } from '../../src/testing/index.js';

let server: PrivateRedis;
beforeAll(async () => (server = await startRedis()));
afterAll(() => server.stop());

describeStoreContract('RedisStore over a real server', () =>
  Promise.resolve({ store: new RedisStore(server.url) }),
);

describeStoreContract('RedisStore over ioredis-mock', async () => {
  const client = new RedisMock();
  await client.flushall();
  return { store: new RedisStore(client), close: async () => void client.disconnect() };
});
