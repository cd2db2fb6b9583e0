import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { createIdempotency, idempotent, InMemoryStore, makeIdempotent } from '../../src/index.js';
import type { IdempotencyOptions } from '../../src/api.js';
import type { Inheritance } from '../../src/core/check.js';
import type { LeaseStore } from '../../src/core/store.js';
import { RUN_INHERITANCE } from '../../src/idempotency.js';
import { fetchIdempotency, recordOf } from '../../src/http/fetch.js';
import { HTTP_INHERITANCE, httpSettings, readHttpOptions } from '../../src/http/internal/options.js';
import { idempotentConsumer } from '../../src/queue/consumer.js';
import { CONSUMER_INHERITANCE, consumerSettings } from '../../src/queue/internal/options.js';
import { TRANSACTION_INHERITANCE, Transactions } from '../../src/transaction/transactions.js';
import { errorOf } from '../support/deferred.js';
import { optionTables } from './tables.js';

const remember = () => 'final' as const;
/** Two values of each option of an instance that are not the default. A new option without a line does not compile. */
const VALUES = {
  ttl: [70_000_000, 80_000_000],
  lease: [7_000, 8_000],
  maxHold: [70_000, 80_000],
  waitTimeout: [7_000, 8_000],
  concurrent: ['wait', 'reject'],
  maxAttempts: [7, 8],
  onStoreError: ['run', 'throw'],
  storeTimeout: [700, 800],
  maxResultBytes: [7_000, 8_000],
  prefix: ['outer', 'inner'],
  name: ['outer', 'inner'],
  scope: ['outer', 'inner'],
  requireScope: [true, false],
  remember: ['all', remember],
  store: [new InMemoryStore(), new InMemoryStore()],
  codec: [{}, {}],
  pepper: ['the pepper of the instance', 'another pepper of its own'],
  logger: [{}, {}],
  keysInLogs: ['hash', 'plain'],
} satisfies { [Name in keyof Required<IdempotencyOptions>]: [unknown, unknown] };
type Name = keyof typeof VALUES;
const NAMES = Object.keys(optionTables['createIdempotency()']) as Name[];

/** What a face makes of options: of the instance's, and its own. */
type Read = (outer: object, inner: object) => object;
const store = new InMemoryStore();
const instance = (outer: object) => createIdempotency({ store, scope: 's', logger: {}, ...outer });
const FACES: Record<string, { table: Record<string, Inheritance>; read: Read }> = {
  HTTP: {
    table: HTTP_INHERITANCE,
    read: (outer, inner) => {
      const options = { idempotency: instance(outer), scope: 'shared' as const, ...inner };
      const { policy, given } = httpSettings('x()', readHttpOptions('x()', options));
      return { ...given, policy };
    },
  },
  consumers: {
    table: CONSUMER_INHERITANCE,
    read: (outer, inner) => {
      const options = { idempotency: instance(outer), name: 'q', key: () => 'k', handler: () => 1, ...inner };
      const { policy, options: read } = consumerSettings('x()', options, {});
      return { ...read, policy };
    },
  },
};

describe.each(Object.entries(FACES))('an option of the instance, in %s', (_, { table, read }) => {
  test.each(NAMES)('%s is inherited, overridden or refused, never dropped', (name) => {
    const [outer, inner] = VALUES[name];
    const own = name === 'remember' ? remember : inner;
    switch (table[name]) {
      case 'inherited':
        expect(read({ [name]: outer }, {})).toHaveProperty(name, outer);
        expect(read({ [name]: outer }, { [name]: own })).toHaveProperty(name, own);
        break;
      case 'refused':
        expect(() => read({ [name]: outer }, {})).toThrow(
          expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining(name) }),
        );
        expect(read({ [name]: outer }, { [name]: own })).toHaveProperty(name, own);
        break;
      case 'kept':
        // What is kept is shown below, and by the tests of requireScope.
        if (name === 'requireScope') break;
        expect(() => read({ [name]: outer }, { [name]: own })).toThrow(
          expect.objectContaining({ code: 'INVALID_OPTIONS' }),
        );
        break;
      case 'combined':
      case 'replaced':
        // What these mean is shown by what is stored, below.
        expect(['scope', 'name']).toContain(name);
        break;
      default:
        throw new Error(`no rule says what becomes of ${name}`);
    }
  });
});

/** A store that tells where its records are, and by which lease. */
function watched(): { store: LeaseStore; addresses: string[]; leases: number[] } {
  const inner = new InMemoryStore();
  const addresses: string[] = [];
  const leases: number[] = [];
  const claim: LeaseStore['claim'] = (key, request) => {
    addresses.push(key.address);
    leases.push(request.leaseMs);
    return inner.claim(key, request);
  };
  return {
    store: Object.assign(Object.create(inner) as LeaseStore, boundTo(inner), { claim }),
    addresses,
    leases,
  };
}
function boundTo(inner: InMemoryStore) {
  return {
    renew: inner.renew.bind(inner),
    step: inner.step.bind(inner),
    settle: inner.settle.bind(inner),
    release: inner.release.bind(inner),
    read: inner.read.bind(inner),
    override: inner.override.bind(inner),
  };
}

const post = (caller: string, key = 'k') =>
  new Request('http://x/orders', {
    method: 'POST',
    headers: { 'idempotency-key': `"${key}"`, 'x-caller': caller },
  });

describe('what is stored', () => {
  test('G10: HTTP stores the scope of the instance and the caller, and shared means within the instance', async () => {
    const { store, addresses } = watched();
    const [acme, other] = ['acme', 'other'].map((scope) =>
      createIdempotency({ store, scope, prefix: 'p', logger: {} }),
    );
    const serve = (idempotency: typeof acme, scope: 'shared' | ((request: Request) => string)) =>
      fetchIdempotency({ idempotency: idempotency!, scope })(() => new Response('done'))(post('ann'));
    const caller = (request: Request) => request.headers.get('x-caller') ?? '';
    for (const idempotency of [acme, other]) {
      await serve(idempotency, 'shared');
      await serve(idempotency, caller);
    }
    expect(new Set(addresses).size).toBe(4);
    expect(addresses[0]).toBe('p:acme:POST /orders:k');
    const place = recordOf({ method: 'POST', route: '/orders', scope: 'ann', tenant: 'acme' });
    expect(await acme?.get('k', place)).toMatchObject({ status: 'COMPLETED' });
    expect(await acme?.get('k', recordOf({ method: 'POST', route: '/orders' }))).toMatchObject({ key: 'k' });
  });

  test('G10: consumers of two tenants never share an answer, and remember is that of the instance', async () => {
    const { store, addresses } = watched();
    const consume = (scope: string) =>
      idempotentConsumer({
        idempotency: createIdempotency({ store, scope, name: 'elsewhere', remember: 'all', logger: {} }),
        name: 'q',
        key: (message: string) => message,
        handler: () => Promise.reject(new Error(`declined by ${scope}`)),
      })('m');
    expect(await consume('acme')).toMatchObject({ action: 'drop', error: { message: 'declined by acme' } });
    expect(await consume('other')).toMatchObject({ action: 'drop', error: { message: 'declined by other' } });
    expect(addresses).toEqual(['idempotency:acme:q:m', 'idempotency:other:q:m']);
  });

  test('pepper, codec and keysInLogs of the instance hold in run(), HTTP, consumers and transaction()', async () => {
    const key = 'mail:ann@example.com';
    const lines: string[] = [];
    const logger = { warn: (message: string) => void lines.push(message) };
    const codec = { redact: () => Promise.resolve() };
    const [pepper] = VALUES.pepper;
    const { store, addresses } = watched();
    const of = { store, logger, codec, pepper, scope: 'acme', keysInLogs: 'hash' as const };
    const idempotency = createIdempotency(of);
    await idempotency.run(key, () => 1, { name: 'n' });
    await fetchIdempotency({ idempotency, scope: 'shared' })(() => new Response('done'))(post('ann', key));
    await idempotentConsumer({ idempotency, name: 'q', key: () => key, handler: () => 1 })('m');
    const { store: _, ...defaults } = of;
    const open = { failure: undefined, endedByWork: false, query: async () => ({}) };
    const transactions = new Transactions(store, Object.assign(store, { session: () => open }), defaults);
    await transactions.run(key, () => 1, { name: 't' });
    const scope = createHmac('sha256', pepper).update('acme').digest('hex').slice(0, 32);
    expect(addresses).toEqual(['n', 'POST /orders', 'q', 't'].map((n) => `idempotency:${scope}:${n}:${key}`));
    // The redact of the instance is of no help, of which each face warns.
    expect(lines).toEqual(
      addresses.map(() => expect.stringMatching(/without (its value|the value).*redact/)),
    );
    expect(lines.join()).not.toContain(key);
  });

  test("consumers name a message that is given up by the instance's keysInLogs, unless they have their own", async () => {
    const drop = async (own: object) => {
      const lines: string[] = [];
      const logger = { warn: (message: string) => void lines.push(message) };
      const idempotency = createIdempotency({ store, logger, keysInLogs: 'hash', remember: 'all' });
      const handler = () => Promise.reject(new Error('no room for ann'));
      await idempotentConsumer({ idempotency, name: 'drops', key: () => 'ann', handler, ...own })('m');
      return lines.join();
    };
    expect(await drop({})).not.toContain('ann');
    expect(await drop({ keysInLogs: 'plain' })).toContain('ann');
  });

  test.each(Object.keys(RUN_INHERITANCE))('run() has %s from the instance', (name) => {
    expect(['inherited', 'kept']).toContain(RUN_INHERITANCE[name as Name]);
  });

  test('run() has prefix, name, scope and lease from the instance, and its own over them', async () => {
    const { store, addresses, leases } = watched();
    const idempotency = createIdempotency({ store, prefix: 'p', name: 'n', scope: 's', lease: 7_000 });
    await idempotency.run('k', () => 1);
    await idempotency.run('k', () => 1, { prefix: 'p2', name: 'n2', scope: 's2', lease: 8_000 });
    expect(addresses).toEqual(['p:s:n:k', 'p2:s2:n2:k']);
    expect(leases).toEqual([7_000, 8_000]);
  });

  test('transaction() has prefix, name, scope and lease from the store, and its own over them', async () => {
    expect(Object.keys(TRANSACTION_INHERITANCE).sort()).toEqual(
      Object.keys(optionTables.transactions).sort(),
    );
    const { store, addresses, leases } = watched();
    const open = { failure: undefined, endedByWork: false, query: async () => ({}) };
    const defaults = { prefix: 'p', name: 'n', scope: 's', lease: 7_000 };
    const transactions = new Transactions(store, Object.assign(store, { session: () => open }), defaults);
    await transactions.run('k', () => 1, {});
    await transactions.run('k', () => 1, { prefix: 'p2', name: 'n2', scope: 's2', lease: 8_000 });
    expect(addresses).toEqual(['p:s:n:k', 'p2:s2:n2:k']);
    expect(leases).toEqual([7_000, 8_000]);
    const missing = errorOf(transactions.run('k', () => 1, { scope: undefined } as never));
    expect(await missing).toMatchObject({ code: 'INVALID_OPTIONS' });
  });
});

describe('absence never widens', () => {
  const run = (options: object) =>
    createIdempotency({ store: new InMemoryStore(), name: 'n' }).run('k', () => 1, options);
  const call = (options: object) =>
    idempotent({ store: new InMemoryStore(), name: 'n', key: 'k', execute: () => 1, ...options });
  const made = async (options: object) =>
    makeIdempotent((key: string) => key, { store: new InMemoryStore(), name: 'n', ...options })('k');
  const consume = async (options: object) => {
    const all = {
      store: new InMemoryStore(),
      name: 'n',
      key: () => 'k',
      handler: () => 1,
      logger: {},
      ...options,
    };
    const delivery = await idempotentConsumer(all)({});
    if (delivery.action === 'drop') throw delivery.error;
  };
  const nothing = () => undefined;

  class WithGetter {
    get scope() {
      return undefined;
    }
  }
  const thrower = {
    get scope(): string {
      throw new Error('no session');
    },
  };

  test.each<[string, (options: object) => Promise<unknown>, object, string]>([
    ...Object.entries({ run, call, made, consume }).flatMap(([face, ask]) =>
      (['scope', 'prefix', 'payload'] as const).map(
        (name): [string, (options: object) => Promise<unknown>, object, string] => [
          face,
          ask,
          { [name]: undefined },
          'INVALID_OPTIONS',
        ],
      ),
    ),
    ['run, a class', run, new WithGetter(), 'INVALID_OPTIONS'],
    ['run, a getter that throws', run, thrower, 'INVALID_OPTIONS'],
    ['call', call, { key: undefined }, 'INVALID_KEY'],
    ['made', made, { key: undefined }, 'INVALID_KEY'],
    ['consume', consume, { key: undefined }, 'INVALID_KEY'],
    ['made', made, { scope: nothing }, 'INVALID_OPTIONS'],
    ['made', made, { payload: nothing }, 'INVALID_OPTIONS'],
    ['consume', consume, { scope: nothing }, 'INVALID_OPTIONS'],
    ['consume', consume, { payload: nothing }, 'INVALID_OPTIONS'],
    ['run', run, { scope: 7 }, 'INVALID_OPTIONS'],
  ])('%s: what is missing is refused', async (_, ask, options, code) => {
    const asked = (async () => ask(options))();
    expect(await errorOf(asked)).toMatchObject({ code });
  });

  test('requireScope of an instance, a store or a call refuses a run without a scope', async () => {
    const strict = new InMemoryStore({ requireScope: true });
    const asks = [
      () => createIdempotency({ store, requireScope: true, name: 'n' }).run('k', () => 1),
      () => createIdempotency({ store: strict, name: 'n' }).run('k', () => 1),
      () => idempotent({ store: strict, key: 'k', execute: () => 1 }),
      () => idempotent({ store, requireScope: true, key: 'k', execute: () => 1 }),
      async () => makeIdempotent((key: string) => key, { store: strict, name: 'n' }),
      async () => fetchIdempotency({ store: strict, scope: 'shared' }),
      async () => idempotentConsumer({ store: strict, name: 'n', key: () => 'k', handler: () => 1 }),
    ];
    for (const ask of asks)
      expect(await errorOf(ask())).toMatchObject({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/scope/),
      });
    expect(await createIdempotency({ store: strict, name: 'n' }).run('k', () => 1, { scope: 's' })).toBe(1);
  });

  test('run(), get(), resolve() and forget() need a name, and say what it used to be', async () => {
    const idempotency = createIdempotency({ store });
    const asks = [
      idempotency.run('k', () => 1),
      idempotency.get('k'),
      idempotency.resolve('k', { result: 1 }),
      idempotency.forget('k'),
    ];
    for (const ask of asks)
      expect(await errorOf(ask)).toMatchObject({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/'run'/),
      });
  });

  test('users find only what is theirs', () => {
    const idempotency = createIdempotency({ store });
    expect(Reflect.ownKeys(Object.getPrototypeOf(idempotency) as object).sort()).toEqual(
      ['close', 'constructor', 'forget', 'get', 'on', 'resolve', 'run', 'stats'].sort(),
    );
    expect(Object.keys(idempotency)).toEqual([]);
  });

  test.each([3_600, 86_400, 604_800])('a ttl of %d is warned of, once an instance', async (ttl) => {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => warnings.push(message) };
    const idempotency = createIdempotency({ store: new InMemoryStore(), name: 'n', logger });
    for (const key of ['a', 'b']) await idempotency.run(key, () => 1, { ttl });
    expect(warnings).toEqual([expect.stringMatching(/seconds were probably meant/)]);
  });
});
