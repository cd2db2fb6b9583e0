import { Redis } from 'ioredis';
import { createIdempotency } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

/** Memory of a stored record against a bare SET PX of the same 200 bytes under the same key. */
export async function memory(
  url: string,
  count: number,
): Promise<{ ratio: number; bytes: number; bareBytes: number }> {
  const redis = new Redis(url);
  const store = new RedisStore(url);
  const idempotency = createIdempotency({ store, name: 'bench' });
  const value = { id: 'x'.repeat(191) };
  const text = JSON.stringify(value);
  const usage = async (fill: (i: number) => Promise<unknown>) => {
    await redis.flushall();
    const before = await used(redis);
    for (let i = 0; i < count; i += 100)
      await Promise.all(Array.from({ length: 100 }, (_, j) => fill(i + j)));
    return ((await used(redis)) - before) / count;
  };
  const key = (i: number) => `order-${String(i).padStart(8, '0')}`;
  const bareBytes = await usage((i) => redis.set(`idempotency:bench:${key(i)}`, text, 'PX', 86_400_000));
  const bytes = await usage((i) => idempotency.run(key(i), () => value));
  await idempotency.close();
  await store.close();
  redis.disconnect();
  return { ratio: bytes / bareBytes, bytes, bareBytes };
}

async function used(redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
}
