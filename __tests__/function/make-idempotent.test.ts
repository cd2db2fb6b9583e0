import { describe, expect, test } from '@jest/globals';
import {
  currentAttempt,
  idempotent,
  InMemoryStore,
  makeIdempotent,
  type Attempt,
  type LeaseStore,
} from '../../src/index.js';
import { deferred, errorOf } from '../support/deferred.js';
import { FaultyStore } from '../support/faulty-store.js';
import { crashedOwner } from '../support/instances.js';

/** A function that counts its runs, and the options that keep a test to itself. */
function counted() {
  let runs = 0;
  const charge = async (orderId: string, amount = 0) => `${orderId} paid ${amount}, run ${++runs}`;
  return { charge, options: { store: new InMemoryStore(), logger: {} } };
}

describe('makeIdempotent', () => {
  test('runs a function once for the same arguments, whatever the order of their members', async () => {
    const options = counted().options;
    let runs = 0;
    const charge = makeIdempotent(async function charge(order: { id: string; amount: number }) {
      return `${order.id} paid ${order.amount}, run ${++runs}`;
    }, options);
    const first = await charge({ id: 'o-1', amount: 5 });
    expect(await charge({ amount: 5, id: 'o-1' })).toBe(first);
    expect(await charge({ id: 'o-1', amount: 6 })).toBe('o-1 paid 6, run 2');
  });

  test('keeps name, length, `this` and what hangs on the function', async () => {
    const { options } = counted();
    class Account {
      constructor(readonly id: string) {}
      async withdraw(amount: number) {
        return `${this.id} - ${amount}`;
      }
    }
    const plain = Object.assign(Account.prototype.withdraw, { version: 2 });
    const withdraw = makeIdempotent(plain, {
      ...options,
      key: function (this: unknown, amount: number) {
        return `${(this as Account).id}-${amount}`;
      },
    });
    Account.prototype.withdraw = withdraw;
    expect(await new Account('a').withdraw(1)).toBe('a - 1');
    expect(await new Account('b').withdraw(1)).toBe('b - 1');
    expect([withdraw.name, withdraw.length, withdraw.version]).toEqual(['withdraw', 1, 2]);
    expect(withdraw.stats()).toMatchObject({ misses: 2, hits: 0 });
  });

  test('takes key, scope, payload and signal as functions of the arguments', async () => {
    const { charge, options } = counted();
    const left = new AbortController();
    left.abort(new Error('gone'));
    const wrapped = makeIdempotent(charge, {
      ...options,
      key: async (orderId) => orderId.split('/')[1]!,
      scope: (orderId) => orderId.split('/')[0]!,
      payload: (_, amount) => amount,
      signal: (_, amount) => (amount === 99 ? left.signal : undefined),
    });
    expect(await wrapped('acme/o-1', 5)).toBe(await wrapped('acme/o-1', 5));
    expect(await wrapped('other/o-1', 5)).toBe('other/o-1 paid 5, run 2');
    expect(await errorOf(wrapped('acme/o-1', 6))).toMatchObject({ code: 'KEY_REUSED' });
    expect((await errorOf(wrapped('acme/o-2', 99))).message).toBe('gone');
  });

  test('gives a promise of what a plain function returns, and of what it throws', async () => {
    const { options } = counted();
    const parse = makeIdempotent((text: string) => JSON.parse(text) as unknown, {
      ...options,
      name: 'parse',
    });
    expect(await parse('{"a":1}')).toEqual({ a: 1 });
    expect(await errorOf(parse('{'))).toMatchObject({ name: 'SyntaxError' });
  });

  test('lets the work see its attempt', async () => {
    const { options } = counted();
    const seen: (Attempt | undefined)[] = [];
    const charge = makeIdempotent(async (_: string) => void seen.push(currentAttempt()), {
      ...options,
      name: 'charge',
      key: (id) => id,
    });
    await charge('o-1');
    expect(seen).toEqual([expect.objectContaining({ key: 'o-1', attempt: 1 })]);
  });

  test('shares records with idempotent() under the same name and key', async () => {
    const { charge, options } = counted();
    const first = await makeIdempotent(charge, { ...options, key: (id) => id })('o-1', 5);
    const again = await idempotent({ ...options, name: 'charge', key: 'o-1', execute: () => 'twice' });
    expect(again).toBe(first);
  });
});

describe('the key from the arguments (G10)', () => {
  test('does not count undefined arguments at the end, which are the same call', async () => {
    const { charge, options } = counted();
    const wrapped = makeIdempotent(charge, options);
    expect(await wrapped('o-1')).toBe(await wrapped('o-1', undefined));
  });

  test('tells values of distinct types apart', async () => {
    const { options } = counted();
    let runs = 0;
    const count = makeIdempotent(async (_: unknown) => ++runs, { ...options, name: 'count' });
    expect([await count(1), await count('1'), await count(true), await count(null)]).toEqual([1, 2, 3, 4]);
  });

  test.each([
    ['a function', [() => 1]],
    ['a class instance', [new (class Order {})()]],
    ['no arguments', []],
    ['nothing but undefined', [undefined]],
  ])('is refused for %s, and nothing runs', async (_, args) => {
    const { options } = counted();
    let runs = 0;
    const count = makeIdempotent(async (..._: unknown[]) => ++runs, { ...options, name: 'count' });
    expect(await errorOf(count(...args))).toMatchObject({ code: 'INVALID_KEY' });
    expect(runs).toBe(0);
  });

  test('is refused for a method of a class instance, and not for one of a module or a plain object', async () => {
    const { charge, options } = counted();
    const wrapped = makeIdempotent(charge, options);
    class Till {
      charge = wrapped;
    }
    const error = await errorOf(new Till().charge('o-1'));
    expect(error).toMatchObject({
      code: 'INVALID_KEY',
      message: expect.stringContaining('give the option key'),
    });
    const first = await { charge: wrapped }.charge('o-1');
    expect(
      await Object.assign(Object.create(null) as { charge: typeof wrapped }, { charge: wrapped }).charge(
        'o-1',
      ),
    ).toBe(first);
  });

  test('of a key function that throws or gives none is INVALID_KEY', async () => {
    const { charge, options } = counted();
    const broken = { ...options, key: (id: string) => (JSON.parse(id) as { id: string }).id };
    const wrapped = makeIdempotent(charge, broken);
    const error = await errorOf(wrapped('{'));
    expect(error).toMatchObject({
      code: 'INVALID_KEY',
      cause: expect.objectContaining({ name: 'SyntaxError' }),
    });
    expect(await errorOf(wrapped('{}'))).toMatchObject({ code: 'INVALID_KEY' });
  });

  test('never meets that of another function, but a namesake on the same store is warned of', async () => {
    const warnings: string[] = [];
    const options = { store: new InMemoryStore(), logger: { warn: (text: string) => warnings.push(text) } };
    const charge = makeIdempotent(async function charge(id: string) {
      return `charged ${id}`;
    }, options);
    const refund = makeIdempotent(async function refund(id: string) {
      return `refunded ${id}`;
    }, options);
    expect([await charge('o-1'), await refund('o-1')]).toEqual(['charged o-1', 'refunded o-1']);
    for (let i = 0; i < 2; i++) makeIdempotent(async function again(_: string) {}, options);
    makeIdempotent(async function charge(_: number) {}, { ...options, name: 'other' });
    expect(warnings).toEqual([]);
    makeIdempotent(async function charge(_: number) {}, options);
    makeIdempotent(async function charge(_: number) {}, { ...options, store: new InMemoryStore() });
    expect(warnings).toEqual([expect.stringContaining('two different functions named charge')]);
  });
});

describe('stats()', () => {
  test('G8: a scope that rejects beside a payload that throws ends the call, not the process', async () => {
    const options = {
      store: new InMemoryStore(),
      scope: (async () => Promise.reject(new Error('no tenant'))) as unknown as () => string,
      payload: () => {
        throw new Error('no payload');
      },
    };
    const charge = makeIdempotent(async function charge(id: string) {
      return id;
    }, options);
    expect((await errorOf(charge('a'))).message).toBe('no payload');
    // An unhandled rejection would fail this test.
    await new Promise((resolve) => setImmediate(resolve));
  });

  test('tells hits, misses, waits, joins and takeovers, per operation', async () => {
    const memory = new InMemoryStore();
    await crashedOwner(memory, 'crashed');
    const gate = deferred<string>();
    const started = deferred();
    // Each as of a process of its own, on one memory store.
    const [here, there] = [new FaultyStore(memory), new FaultyStore(memory)];
    const operation = (store: LeaseStore, name: string, work: (id: string) => string | Promise<string>) =>
      makeIdempotent(async (id: string) => work(id), { store, logger: {}, name, key: (id) => id });
    const owner = operation(here, 'charge', () => (started.resolve(), gate.promise));
    const other = operation(there, 'charge', () => 'by another');
    const refund = operation(there, 'refund', () => 'refunded');

    const calls = [owner('o-1'), owner('o-1')];
    await started.promise;
    calls.push(other('o-1'), other('crashed'), refund('o-1'));
    while (other.stats().waits === 0) await new Promise((resolve) => setImmediate(resolve));
    gate.resolve('paid');
    expect(await Promise.all(calls)).toEqual(['paid', 'paid', 'paid', 'by another', 'refunded']);
    await refund('o-1');

    expect(owner.stats()).toMatchObject({ misses: 1, joins: 1, hits: 1, waits: 0, takeovers: 0 });
    expect(other.stats()).toMatchObject({ misses: 1, joins: 0, hits: 1, waits: 1, takeovers: 1 });
    expect(refund.stats()).toMatchObject({ misses: 1, joins: 0, hits: 1, waits: 0, takeovers: 0 });
    expect(idempotent.stats({ store: there, name: 'charge' })).toEqual(other.stats());
    expect(idempotent.stats({ store: there })).toMatchObject({ misses: 2, hits: 2, waits: 1, takeovers: 1 });
    expect(idempotent.stats({ store: there, name: 'nobody' })).toMatchObject({ misses: 0, hits: 0 });
  });

  test('counts more operations than one can tell apart as one, and in the total', async () => {
    const store = new InMemoryStore();
    for (let i = 0; i < 1_100; i++) await idempotent({ store, key: 'k', name: `op-${i}`, execute: () => i });
    expect(idempotent.stats({ store })).toMatchObject({ misses: 1_100 });
    expect(idempotent.stats({ store, name: 'op-999' })).toMatchObject({ misses: 1 });
    expect(idempotent.stats({ store, name: 'op-1000' })).toMatchObject({ misses: 0 });
  });
});

describe('is refused at once', () => {
  const fn = async (id: string) => id;
  test.each([
    ['what is no function', 'charge', {}],
    [
      'a function without a name',
      (
        () => async (id: string) =>
          id
      )(),
      {},
    ],
    ['a minified name', Object.defineProperty(async (id: string) => id, 'name', { value: 'ab' }), {}],
    ['a name with a colon', fn, { name: 'a:b' }],
    ['an empty name', fn, { name: '' }],
    ['a prefix of no length', fn, { prefix: '' }],
    ['a scope that is no text', fn, { scope: 5 }],
    ['a key that is no function', fn, { key: 'o-1' }],
    ['a payload that is no function', fn, { payload: { amount: 5 } }],
    ['an unknown option', fn, { keyGenerator: () => 'k' }],
    ['a ttl of nothing', fn, { ttl: 0 }],
    ['a store of no shape', fn, { store: {} }],
  ])('%s: INVALID_OPTIONS', (_, given, options: object) => {
    expect(() => makeIdempotent(given as typeof fn, options)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    );
  });
});
