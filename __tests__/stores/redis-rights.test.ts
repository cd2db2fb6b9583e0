import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { deferred } from '../support/deferred.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';

/** As docs/stores/redis.md states them. `+info` only stops ioredis from waiting for nothing. */
const RIGHTS =
  '+evalsha +eval +get +set +setrange +pexpire +pexpiretime +pttl +del +time +publish +subscribe +unsubscribe';

let server: PrivateRedis;
let admin: Redis;
beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.url);
});
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

test('a user with exactly the rights that the docs state runs, waits, takes steps, forgets and resolves', async () => {
  const known = (await admin.call('COMMAND', 'LIST')) as string[];
  // PEXPIRETIME is of Redis 7; before that nobody can have the right to it.
  const rights = RIGHTS.split(' ').filter((right) => known.includes(right.slice(1)));
  await admin.call(
    'ACL',
    'SETUSER',
    'app',
    'reset',
    'on',
    '>secret',
    '~idempotency:*',
    '&idempotency:*',
    ...rights,
  );
  const url = new URL(server.url);
  [url.username, url.password] = ['app', 'secret'];
  const stores = [1, 2].map(() => new RedisStore(url.href)) as [RedisStore, RedisStore];
  const errors: unknown[] = [];
  const [one, two] = stores.map((store) => createIdempotency({ store, name: 'rights', logger: {} }));
  for (const each of [one!, two!]) each.on('store-error', ({ error }) => void errors.push(error));
  const [started, gate] = [deferred(), deferred()];
  const first = one!.run('k', async ({ step }) => {
    await step('a', () => 1);
    started.resolve();
    await gate.promise;
    return 'done';
  });
  await started.promise;
  const second = two!.run('k', () => 'twice');
  gate.resolve();
  expect(await Promise.all([first, second])).toEqual(['done', 'done']);
  expect(await two!.run('k', () => 'twice')).toBe('done');
  await one!
    .run('gone', () => Promise.reject(new Error('no')), { remember: () => 'release' })
    .catch(() => undefined);
  await one!.run('failed', () => Promise.reject(new Error('no'))).catch(() => undefined);
  expect(await one!.run('failed', () => 'again')).toBe('again');
  expect(await one!.forget('k')).toBe(true);
  await one!.resolve('failed', { result: 'by hand' });
  expect(errors).toEqual([]);
  await Promise.all([one!.close(), two!.close()]);
  await Promise.all(stores.map((store) => store.close()));
});
