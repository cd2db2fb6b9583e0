import { afterAll, beforeAll } from '@jest/globals';
import RedisMock from 'ioredis-mock';
import { RedisStore } from '../../src/stores/redis.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { describeStoreContract } from '../../src/testing/index.js';

let server: PrivateRedis;
beforeAll(async () => (server = await startRedis()));
afterAll(() => server.stop());

describeStoreContract('RedisStore over a real server', () =>
  Promise.resolve({ store: new RedisStore(server.url), another: () => new RedisStore(server.url) }),
);

describeStoreContract('RedisStore over ioredis-mock', async () => {
  const client = new RedisMock();
  await client.flushall();
  const second = new RedisMock();
  const close = async () => [client, second].forEach((each) => each.disconnect());
  return { store: new RedisStore(client), another: () => new RedisStore(second), close };
});
