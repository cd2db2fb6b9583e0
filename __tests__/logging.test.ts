/** What stands in warnings: keys as they are, or hashed with `keysInLogs: 'hash'`; no passwords, and no scopes. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import {
  createIdempotency,
  idempotent,
  InMemoryStore,
  makeIdempotent,
  type IdempotencyOptions,
} from '../src/index.js';
import { recordPlace } from '../src/http/internal/exchange/address.js';
import { checkScope } from '../src/http/internal/exchange/address.js';
import { fetchIdempotency } from '../src/http/fetch.js';
import { idempotentConsumer } from '../src/queue/consumer.js';
import { RedisStore } from '../src/stores/redis/store.js';
import { errorOf } from './support/deferred.js';
import { chargeTask, middleware } from './support/tasks.js';

const KEY = 'mail:ann@example.com';
const HASHED = createHash('sha256').update(KEY).digest('hex').slice(0, 16);
const unencodable = () => ({ f: () => 1 });
const namingTheKey = () => {
  throw new Error(`no room for ${KEY}`);
};

interface Setting {
  readonly store: InMemoryStore;
  readonly logger: { warn(message: string, detail?: unknown): void };
  readonly keysInLogs?: 'plain' | 'hash';
}

const ADAPTERS: [string, (setting: Setting) => Promise<unknown>][] = [
  ['run()', (setting) => createIdempotency({ ...setting, name: 'charge' }).run(KEY, unencodable)],
  [
    'run(), a remember that throws',
    (setting) =>
      errorOf(
        createIdempotency({ ...setting, name: 'charge' }).run(KEY, namingTheKey, { remember: namingTheKey }),
      ),
  ],
  ['idempotent()', (setting) => idempotent({ ...setting, key: KEY, execute: unencodable })],
  [
    'a hook of idempotent()',
    (setting) => idempotent({ ...setting, key: KEY, execute: () => 1, onCacheMiss: namingTheKey }),
  ],
  [
    'makeIdempotent()',
    (setting) =>
      makeIdempotent(async (_id: string) => unencodable(), { ...setting, name: 'charge', key: (id) => id })(
        KEY,
      ),
  ],
  [
    'idempotentConsumer',
    (setting) => idempotentConsumer({ ...setting, name: 'orders', key: () => KEY, handler: unencodable })({}),
  ],
  [
    'fetch',
    (setting) =>
      fetchIdempotency({ ...setting, scope: 'shared', codec: { redact: namingTheKey } })(
        () => new Response('a'),
      )(new Request('http://h/o', { method: 'POST', headers: { 'idempotency-key': `"${KEY}"` } })),
  ],
  [
    'tasks',
    (setting) =>
      chargeTask(middleware(setting), {}, ({ context }) => context.set('f', unencodable())).execute({
        orderId: KEY,
      }),
  ],
];

async function logOf(keysInLogs: 'plain' | 'hash' | undefined, call: (setting: Setting) => Promise<unknown>) {
  const lines: string[] = [];
  const textOf = (detail: unknown): string => {
    const { error } = Object(detail) as { error?: Error & { cause?: Error } };
    return JSON.stringify(detail) + String(error?.stack) + String(error?.cause?.stack);
  };
  const logger = { warn: (message: string, detail?: unknown) => void lines.push(message + textOf(detail)) };
  await call({ store: new InMemoryStore(), logger, ...(keysInLogs && { keysInLogs }) });
  return lines;
}

describe('keysInLogs', () => {
  test.each(ADAPTERS)('%s: plain, as a person must find the message', async (_, call) => {
    for (const mode of ['plain', undefined] as const)
      expect(await logOf(mode, call)).toEqual([expect.stringContaining(KEY)]);
  });

  test.each(ADAPTERS)('%s: hash, in the text, the detail and the error of the detail', async (_, call) => {
    const lines = await logOf('hash', call);
    expect(lines).toEqual([expect.stringContaining(HASHED)]);
    expect(lines.join()).not.toContain(KEY);
  });

  test('a dropped message is named by the code of its error: the text may hold the key', async () => {
    const refused = (setting: Setting) =>
      idempotentConsumer({
        ...setting,
        ...{ name: 'orders', key: () => KEY, handler: namingTheKey, remember: 'all' as const },
      })({});
    expect((await logOf('plain', refused)).join()).toContain(KEY);
    expect((await logOf('hash', refused)).join()).not.toContain(KEY);
  });

  test('events and errors of the caller have the key as it is', async () => {
    const options = { store: new InMemoryStore(), name: 'charge', logger: {}, keysInLogs: 'hash' } as const;
    const idempotency = createIdempotency(options);
    const keys: string[] = [];
    idempotency.on('no-value', ({ key }) => keys.push(key));
    await idempotency.run(KEY, unencodable);
    expect(keys).toEqual([KEY]);
    let nested: unknown;
    await idempotency.run('outer', async () => {
      nested = await errorOf(idempotency.run('outer', () => 1));
    });
    expect((nested as Error).message).toContain('outer');
  });

  test.each<[unknown]>([['plian'], [true], [null], [5], [{}]])('%p is INVALID_OPTIONS', (given) => {
    const keysInLogs = given as 'plain';
    const store = new InMemoryStore();
    const refused = expect.objectContaining({ code: 'INVALID_OPTIONS' }) as unknown as Error;
    expect(() => createIdempotency({ store, keysInLogs })).toThrow(refused);
    expect(() => makeIdempotent(async () => 1, { name: 'charge', keysInLogs })).toThrow(refused);
    expect(() =>
      idempotentConsumer({ store, name: 'o', key: () => 'k', handler: () => 1, keysInLogs }),
    ).toThrow(refused);
  });
});

describe('a password in a URL is never printed', () => {
  const secret = 'PASSWORD';
  const MALFORMED = [
    `redis:/u:${secret}@h`,
    ` redis://u:${secret}@h`,
    `http://u:${secret}@h`,
    `u:${secret}@h:6379`,
    `redis//u:${secret}@h`,
    `redis://u:${secret}/x@h:port`,
    `host?password=${secret}`,
  ];
  test.each(MALFORMED)('RedisStore refuses %s at once, and does not repeat it', (url) => {
    for (const input of [url, { url }]) {
      const error = thrownBy(() => new RedisStore(input)) as Error;
      expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
      expect(everythingOf(error)).not.toContain(secret);
    }
  });

  test('REDIS_URL is checked as well, when it is read', async () => {
    const before = process.env['REDIS_URL'];
    process.env['REDIS_URL'] = `redis:/u:${secret}@h`;
    const store = new RedisStore();
    try {
      const error = await errorOf(createIdempotency({ store, name: 'charge', logger: {} }).run('k', () => 1));
      expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
      expect(everythingOf(error as Error)).not.toContain(secret);
    } finally {
      if (before === undefined) delete process.env['REDIS_URL'];
      else process.env['REDIS_URL'] = before;
      await store.close();
    }
  });

  test.each(['redis://u:p@h:6379/2', 'rediss://h', '/tmp/redis.sock', '127.0.0.1:6379', '6379'])(
    'RedisStore takes %s',
    async (url) => {
      await new RedisStore(url).close();
    },
  );

  test.each([`redis://u:${secret}@h`, `postgres://u:${secret}@h/db`, `postgres:u:${secret}/@x@h`])(
    'a URL %s in the place of a store or of options is shown without it',
    async (url) => {
      const errors = [
        thrownBy(() => createIdempotency({ store: url as never })),
        thrownBy(() => createIdempotency(url as never)),
        thrownBy(() => fetchIdempotency({ store: url as never, scope: 'shared' })),
        await errorOf(idempotent({ store: url as never, key: 'k', execute: () => 1 })),
      ];
      for (const error of errors) {
        expect(error).toBeInstanceOf(Error);
        expect(everythingOf(error as Error)).not.toContain(secret);
      }
    },
  );
});

test.each<[unknown]>([['sk_live_x:undefined'], ['sk_live_x\u0000'], [['sk_live_x']], [{ key: 'sk_live_x' }]])(
  'HTTP: a scope that names nobody is refused and not printed: %p',
  (scope) => {
    const error = thrownBy(() => checkScope(scope)) as Error;
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
    expect(everythingOf(error)).not.toContain('sk_live');
  },
);

describe('pepper: the stored scope is an HMAC', () => {
  class Addresses extends InMemoryStore {
    readonly seen = new Set<string>();
    /** All that a store is told of who asks. */
    readonly told: string[] = [];
    override claim(...args: Parameters<InMemoryStore['claim']>) {
      this.told.push(JSON.stringify(args));
      this.seen.add(args[0].address);
      return super.claim(...args);
    }
  }
  const open = (pepper?: string, store = new Addresses()) => {
    const options: IdempotencyOptions = { store, logger: {}, name: 'charge', ...(pepper && { pepper }) };
    return { store, idempotency: createIdempotency(options) };
  };
  const PEPPER = 'a secret of enough characters';

  test('run(), get(), resolve() and forget() meet at one address, which does not tell the scope', async () => {
    const { store, idempotency } = open(PEPPER);
    const where = { scope: 'tenant-1' };
    expect(await idempotency.run('k', () => 1, where)).toBe(1);
    expect(await idempotency.run('k', () => 2, where)).toBe(1);
    expect(await idempotency.get('k', where)).toMatchObject({ result: 1 });
    expect(await idempotency.resolve('k', { result: 3 }, where)).toBe(true);
    expect(await idempotency.forget('k', where)).toBe(true);
    expect(store.told.join()).not.toContain('tenant-1');
    expect(store.seen.size).toBe(1);
  });

  test('scopes are kept apart, and so are peppers; without a scope nothing changes', async () => {
    const { store, idempotency } = open(PEPPER);
    for (const scope of ['a', 'b']) await idempotency.run('k', () => scope, { scope });
    await open(`${PEPPER}!`, store).idempotency.run('k', () => 'other', { scope: 'a' });
    expect(store.seen.size).toBe(3);
    await idempotency.run('k', () => 1);
    await open(undefined, store).idempotency.run('k', () => 1);
    expect([...store.seen].filter((address) => address === 'idempotency:charge:k')).toHaveLength(1);
    expect(store.seen.size).toBe(4);
  });

  test('HTTP and consumers store their scopes so too; recordPlace() finds what HTTP stored', async () => {
    const { store, idempotency } = open(PEPPER);
    const handler = fetchIdempotency({ idempotency, scope: () => 'caller-1' })(() => new Response('a'));
    await handler(new Request('http://h/o', { method: 'POST', headers: { 'idempotency-key': 'k' } }));
    const place = recordPlace({ method: 'POST', route: '/o', scope: 'caller-1' });
    expect(await idempotency.get('k', place)).toMatchObject({ status: 'COMPLETED' });
    // The plain hash, which a guess can be tested by, does not stand there.
    expect(store.told.join()).not.toContain(place.scope);
    const consume = idempotentConsumer({
      ...{ idempotency, name: 'orders', key: () => 'k', scope: () => 'tenant-1', handler: () => 1 },
    });
    await consume({});
    expect(store.seen.size).toBe(2);
    expect(store.told.join()).not.toContain('tenant-1');
  });

  test.each<[unknown]>([[''], ['short secret'], [5], [null], [true], [Buffer.alloc(32)]])(
    '%p is INVALID_OPTIONS, and not printed',
    (pepper) => {
      const error = thrownBy(() =>
        createIdempotency({ store: new InMemoryStore(), pepper: pepper as string }),
      );
      expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
      expect((error as Error).message).not.toContain('short secret');
    },
  );
});

test('resolve and forget are events, for an audit: only where they changed something', async () => {
  const idempotency = createIdempotency({ store: new InMemoryStore(), name: 'other', logger: {} });
  const seen: unknown[] = [];
  for (const event of ['resolved', 'forgotten'] as const)
    idempotency.on(event, ({ name, key }) => seen.push([event, name, key]));
  await idempotency.run('k', () => 1, { name: 'charge' });
  await idempotency.resolve('k', { result: 2 }, { name: 'charge' });
  await idempotency.forget('k', { name: 'charge' });
  expect(await idempotency.resolve('absent', { result: 2 })).toBe(false);
  expect(await idempotency.forget('absent')).toBe(false);
  expect(seen).toEqual([
    ['resolved', 'charge', 'k'],
    ['forgotten', 'charge', 'k'],
  ]);
  expect(idempotency.stats('charge')).toMatchObject({ resolved: 1, forgotten: 1 });
});

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** All that a log may print of an error. */
function everythingOf(error: Error): string {
  let text = '';
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    text += `${at.stack} ${JSON.stringify(at)}`;
  return text;
}
