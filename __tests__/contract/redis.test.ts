import { afterAll, beforeAll } from '@jest/globals';
import RedisMock from 'ioredis-mock';
import { Redis } from 'ioredis';
import { RedisStore } from '../../src/stores/redis/store.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { describeStoreContract } from '../../src/testing/index.js';

let server: PrivateRedis;
beforeAll(async () => (server = await startRedis()));
afterAll(() => server.stop());

describeStoreContract('RedisStore over a real server', () =>
  Promise.resolve({ store: new RedisStore(server.url), another: () => new RedisStore(server.url) }),
);

describeStoreContract('RedisStore whose client speaks RESP3 and gives numbers as text', () =>
  Promise.resolve({
    store: new RedisStore({ url: server.url, redis: { protocol: 3, stringNumbers: true } }),
    another: () => new RedisStore(server.url),
  }),
);

describeStoreContract('RedisStore whose client gives bytes and bigints', () => {
  const client = new Redis(server.url);
  const changed = (answer: unknown) =>
    typeof answer === 'number' ? BigInt(answer) : typeof answer === 'string' ? Buffer.from(answer) : answer;
  const wrapper = new Proxy(client, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      const call = (...args: unknown[]): unknown => Reflect.apply(member, target, args);
      const isScript = name === 'evalsha' || name === 'eval';
      return isScript ? async (...args: unknown[]) => changed(await call(...args)) : call;
    },
  });
  return Promise.resolve({
    store: new RedisStore(wrapper),
    another: () => new RedisStore(server.url),
    close: () => Promise.resolve(client.disconnect()),
  });
});

describeStoreContract('RedisStore over ioredis-mock', async () => {
  const client = new RedisMock();
  await client.flushall();
  const second = new RedisMock();
  const close = async () => [client, second].forEach((each) => each.disconnect());
  return { store: new RedisStore(client), another: () => new RedisStore(second), close };
});
