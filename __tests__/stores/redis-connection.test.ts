import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import RedisMock from 'ioredis-mock';
import { RedisStore, type RedisStoreOptions } from '../../src/stores/redis/store.js';
import { freePort, startRedis, type PrivateRedis } from '../support/redis-server.js';
import { claim, DONE, KEY, request } from './redis-steps.js';

let server: PrivateRedis;
beforeEach(async () => (server = await startRedis()));
afterEach(() => server.stop());

const UNAVAILABLE = { name: 'StoreError', code: 'STORE_UNAVAILABLE', transient: true };

async function expectUnavailable(call: Promise<unknown>, withinMs: number): Promise<void> {
  const startedMs = performance.now();
  await expect(call).rejects.toMatchObject(UNAVAILABLE);
  expect(performance.now() - startedMs).toBeLessThan(withinMs);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let round = 0; round < 500; round++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('waited in vain');
}

describe('a server that is not there (G8)', () => {
  test('a refusing port ends a call at once, and again at the next', async () => {
    const store = new RedisStore(`redis://127.0.0.1:${await freePort()}`);
    await expectUnavailable(store.read(KEY), 1_000);
    await expectUnavailable(store.claim(KEY, request()), 1_000);
    await expectUnavailable(
      store.subscribe(KEY, () => undefined),
      1_000,
    );
    await store.close();
  });

  test('the error says what the connection complained of', async () => {
    const store = new RedisStore(`redis://127.0.0.1:${await freePort()}`);
    await expect(store.read(KEY)).rejects.toThrow(/ECONNREFUSED/);
    await store.close();
  });

  describe('whether a command was certainly never sent, so that nothing need be withdrawn', () => {
    const failureOf = (store: RedisStore) =>
      store.claim(KEY, request()).then(
        () => undefined,
        (error: unknown) => error,
      );

    test('yes, where our own connection does not come about', async () => {
      const store = new RedisStore(`redis://127.0.0.1:${await freePort()}`);
      expect(await failureOf(store)).toMatchObject({ ...UNAVAILABLE, neverSent: true });
      await store.close();
    });

    test('no, where the server had the command and did not answer', async () => {
      const store = new RedisStore({ url: server.url, timeoutMs: 100 });
      await claim(store, { ...KEY, address: `${KEY.address}-other` });
      server.freeze();
      const error = await failureOf(store);
      server.thaw();
      expect(error).toMatchObject({ ...UNAVAILABLE, neverSent: false });
      await store.close();
    });

    test('no, with a client that was given: it may keep commands, and send them later', async () => {
      // ioredis leaves a timer behind for as long where it was not connected.
      const client = new Redis(server.url, { maxRetriesPerRequest: 0, disconnectTimeout: 10 });
      client.on('error', () => undefined);
      const store = new RedisStore({ client, timeoutMs: 300 });
      await claim(store, { ...KEY, address: `${KEY.address}-other` });
      await server.stop();
      const error = await failureOf(store);
      await store.close();
      client.disconnect();
      expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', neverSent: false });
    });
  });

  test('a server that dies ends the calls in flight, and its restart heals', async () => {
    const store = new RedisStore(server.url);
    await claim(store, KEY);
    const healed = server.restart();
    await until(() =>
      store.read(KEY).then(
        () => true,
        () => true,
      ),
    );
    await healed;
    expect(await claim(store, KEY)).toMatchObject({ attempt: 1 });
    await store.close();
  });

  test('a frozen server ends a call within the timeout, and the next call gets a fresh connection', async () => {
    const store = new RedisStore({ url: server.url, timeoutMs: 400 });
    await claim(store, KEY);
    server.freeze();
    await expectUnavailable(store.read(KEY), 1_000);
    await expectUnavailable(store.read(KEY), 1_000);
    server.thaw();
    expect(await store.read(KEY)).toMatchObject({ status: 'IN_PROGRESS' });
    await store.close();
  });

  test('a server that accepts and never answers ends the first call as well', async () => {
    const mute = createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const { port } = mute.address() as { port: number };
    const store = new RedisStore({ url: `redis://127.0.0.1:${port}`, timeoutMs: 300 });
    await expectUnavailable(store.read(KEY), 1_000);
    await expectUnavailable(
      store.subscribe(KEY, () => undefined),
      1_000,
    );
    await store.close();
    mute.close();
  });

  test('closing a store on a frozen server is bounded, and closed is closed', async () => {
    const store = new RedisStore(server.url);
    await claim(store, KEY);
    await store.subscribe(KEY, () => undefined);
    server.freeze();
    const startedMs = performance.now();
    await store.close();
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    server.thaw();
    await expect(store.read(KEY)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', transient: false });
  });

  test('closing a store that was never used opens nothing', async () => {
    await new RedisStore(`redis://127.0.0.1:${await freePort()}`).close();
  });
});

describe('wake-ups', () => {
  test('waiters of one key share a subscription, which ends with the last of them', async () => {
    const store = new RedisStore(server.url);
    const client = new Redis(server.url);
    const subscribers = async (): Promise<unknown> => (await client.pubsub('NUMSUB', KEY.address))[1];
    const leave = await Promise.all([1, 2, 3].map(() => store.subscribe(KEY, () => undefined)));
    expect(await subscribers()).toBe(1);
    leave[0]!();
    leave[0]!();
    leave[1]!();
    expect(await subscribers()).toBe(1);
    leave[2]!();
    await until(async () => (await subscribers()) === 0);
    client.disconnect();
    await store.close();
  });

  test('after a reconnect the waiter is woken, and is subscribed again', async () => {
    const store = new RedisStore(server.url);
    let woken = 0;
    const leave = await store.subscribe(KEY, () => woken++);
    await server.restart();
    await until(() => woken === 1);
    const lease = await store.claim(KEY, request()).catch(() => store.claim(KEY, request()));
    if (lease.kind !== 'acquired') throw new Error('expected a lease');
    await store.settle(KEY, { ...request(), ...lease.grant }, DONE);
    await until(() => woken === 2);
    leave();
    await store.close();
  });

  test("follow ioredis' keyPrefix, as keys do", async () => {
    const store = new RedisStore({ url: server.url, redis: { keyPrefix: 'app:' } });
    const client = new Redis(server.url);
    let woken = 0;
    const leave = await store.subscribe(KEY, () => woken++);
    await store.settle(KEY, await claim(store, KEY), DONE);
    await until(() => woken === 1);
    expect(await client.keys('*')).toEqual([`app:${KEY.address}`]);
    leave();
    client.disconnect();
    await store.close();
  });
});

describe('a database that the server has not', () => {
  test.each<[string, (url: string) => RedisStoreOptions]>([
    ['in the URL', (url) => ({ url: `${url}/99` })],
    ['among the options', (url) => ({ url, redis: { db: 99 } })],
    ['without a ready check', (url) => ({ url, redis: { db: 99, enableReadyCheck: false } })],
  ])("%s: Redis' own message, at once, and nothing is written", async (_, options) => {
    const store = new RedisStore(options(server.url));
    for (let round = 0; round < 2; round++) {
      await expect(store.claim(KEY, request())).rejects.toMatchObject({
        ...{ code: 'STORE_UNAVAILABLE', transient: false },
        message: expect.stringMatching(/DB index is out of range.*database number/),
      });
    }
    await store.close();
    const client = new Redis(server.url);
    expect(await client.keys('*')).toEqual([]);
    client.disconnect();
  });
});

describe('an injected client', () => {
  test('is used and never closed, and only the subscriber made from it is', async () => {
    const client = new Redis(server.url, { keyPrefix: 'mine:' });
    const store = new RedisStore(client);
    let woken = 0;
    await store.subscribe(KEY, () => woken++);
    await store.settle(KEY, await claim(store, KEY), DONE);
    await until(() => woken === 1);
    await store.close();
    expect(await client.exists(KEY.address)).toBe(1);
    await until(
      async () =>
        String(await client.client('LIST'))
          .trim()
          .split('\n').length === 1,
    );
    client.disconnect();
  });

  test('that cannot run scripts is refused, naming what to use instead', () => {
    const handMade = {
      get: async () => null,
      set: async () => 'OK',
      setex: async () => 'OK',
      del: async () => 1,
    };
    expect(() => new RedisStore(handMade as never)).toThrow(/ioredis-mock.*InMemoryStore/);
    expect(() => new RedisStore({ client: handMade as never })).toThrow(/ioredis-mock.*InMemoryStore/);
  });

  test('may be ioredis-mock, with its keyPrefix', async () => {
    const client = new RedisMock({ keyPrefix: 'mock:' });
    const store = new RedisStore(client);
    await store.settle(KEY, await claim(store, KEY), DONE);
    expect(await store.read(KEY)).toMatchObject({ status: 'COMPLETED' });
    await store.close();
    client.disconnect();
  });

  test('and an unknown option are told apart', () => {
    expect(() => new RedisStore({ ulr: 'redis://x' } as never)).toThrow(/no option "ulr"/);
  });
});

describe('the eviction policy', () => {
  async function warnings(...args: string[]): Promise<string[]> {
    const evicting = await startRedis(...args);
    const onWarning = jest.fn<(message: string) => void>();
    const store = new RedisStore({ url: evicting.url, onWarning });
    try {
      await claim(store, KEY);
      await store.read(KEY);
      await until(() => onWarning.mock.calls.length > 0 || args[3] === 'noeviction');
    } finally {
      await store.close();
      await evicting.stop();
    }
    return onWarning.mock.calls.map(([message]) => message);
  }

  test('is warned of once where it may drop records', async () => {
    const told = await warnings('--maxmemory', '64mb', '--maxmemory-policy', 'volatile-lru');
    expect(told).toEqual([expect.stringMatching(/volatile-lru.*noeviction/)]);
  });

  test('is fine when nothing is evicted', async () => {
    expect(await warnings('--maxmemory', '64mb', '--maxmemory-policy', 'noeviction')).toEqual([]);
  });
});

test('G8: a process that is idle exits, with connections open and after a connection was refused', async () => {
  const script = `
    import { RedisStore } from ${JSON.stringify(new URL('../../src/stores/redis/store.ts', import.meta.url).href)};
    const key = { address: 'k', digest: 'abcdef' };
    const store = new RedisStore(${JSON.stringify(server.url)});
    await store.read(key);
    const leave = await store.subscribe(key, () => undefined);
    leave();
    await new RedisStore('redis://127.0.0.1:${await freePort()}').read(key).catch((error) => console.log(error.code));
    console.log('idle');
  `;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  let idleAtMs = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    if (output.includes('idle')) idleAtMs ||= performance.now();
  });
  const [code] = (await once(child, 'exit')) as [number];
  expect({ code, output }).toEqual({ code: 0, output: 'STORE_UNAVAILABLE\nidle\n' });
  expect(performance.now() - idleAtMs).toBeLessThan(1_500);
});
