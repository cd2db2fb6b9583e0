/** Real clients are assignable to the subset that RedisStore calls: compiled, never run, against ioredis 5 and 6. */
import { Cluster, Redis } from 'ioredis';
import { RedisStore, type RedisClient } from '../../src/stores/redis/store.js';

export const redis: RedisClient = new Redis({ lazyConnect: true });
export const cluster: RedisClient = new Cluster([], { lazyConnect: true });
export const stores = [
  new RedisStore(),
  new RedisStore('redis://localhost'),
  new RedisStore(new Redis({ lazyConnect: true })),
  new RedisStore(new Cluster([], { lazyConnect: true })),
  new RedisStore({ client: new Redis({ lazyConnect: true }), onWarning: (message: string) => void message }),
  new RedisStore({ redis: { host: 'localhost', tls: {} }, timeoutMs: 500 }),
];
// @ts-expect-error A hand-made mock is no client.
new RedisStore({ client: { get: () => null } });
// @ts-expect-error A misspelled option.
new RedisStore({ ulr: 'redis://localhost' });
