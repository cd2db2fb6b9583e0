import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import type { StoreKey } from '../../src/core/record.js';
import type { ClaimRequest, Settlement } from '../../src/core/store.js';
import { newToken } from '../../src/core/token.js';
import { InMemoryStore, type InMemoryStoreOptions } from '../../src/stores/memory/store.js';
import { errorOf } from '../support/deferred.js';
import { keyAt } from '../support/keys.js';

const keyOf = (name: string): StoreKey => keyAt(`charge:${name}`, 'abcdef');
const DONE: Settlement = {
  ...{ status: 'COMPLETED', final: true, failures: 0, payload: '"done"', retentionMs: 60_000 },
};
const FAILED: Settlement = { ...DONE, status: 'FAILED', final: false, failures: 1 };
const UNKNOWN: Settlement = { ...DONE, status: 'IN_PROGRESS', final: false, payload: undefined };
const FULL = { code: 'STORE_UNAVAILABLE', transient: false };

/** A store, and what the tests do with it. */
class Desk {
  readonly store: InMemoryStore;
  readonly evicted: string[] = [];

  constructor(options: InMemoryStoreOptions = {}) {
    const onEvict = (address: string): void => void this.evicted.push(address.replace('charge:', ''));
    this.store = new InMemoryStore(options.evict ? { onEvict, ...options } : options);
  }

  async claim(name: string, overrides: Partial<ClaimRequest> = {}) {
    const request: ClaimRequest = {
      ...{ token: newToken(), replacing: undefined, leaseMs: 60_000, unsettledRetentionMs: 60_000 },
      ...{ onAbandoned: 'retry', fingerprint: undefined },
      ...overrides,
    };
    const answer = await this.store.claim(keyOf(name), request);
    if (answer.kind === 'existing') return undefined;
    return { ...request, ...answer.grant };
  }

  /** Runs one: claimed and ended. */
  async run(name: string, settlement = DONE, steps: readonly string[] = []) {
    const lease = await this.claim(name);
    if (!lease) throw new Error('not claimed');
    for (const step of steps) await this.store.step(keyOf(name), lease, { name: step, payload: undefined });
    await this.store.settle(keyOf(name), lease, settlement);
    return lease;
  }

  async has(name: string): Promise<boolean> {
    return (await this.store.read(keyOf(name))) !== undefined;
  }
}

async function waited(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => void setTimeout(resolve, 1));
}

afterEach(() => void jest.useRealTimers());

describe('expired records', () => {
  test('go as fast as others are written, whatever the time since', async () => {
    let nowMs = 1_000_000;
    const desk = new Desk({ clock: () => nowMs });
    for (let n = 0; n < 1_000; n++) await desk.run(`old-${n}`);
    expect(desk.store.size).toBe(1_000);
    nowMs += 60_001;
    for (let n = 0; n < 1_000; n++) await desk.run(`new-${n}`);
    expect(desk.store.size).toBeLessThanOrEqual(1_010);
    for (let n = 0; n < 1_000; n++) expect(await desk.has(`new-${n}`)).toBe(true);
  });
});

describe('without maxEntries', () => {
  test('a store keeps whatever is in its retention', async () => {
    const desk = new Desk();
    for (let i = 0; i < 2_000; i++) await desk.run(`order-${i}`);
    expect(desk.store.size).toBe(2_000);
    expect(desk.store.evictions).toBe(0);
  });
});

describe('with maxEntries', () => {
  test('full means that a new claim is refused, for good and with advice', async () => {
    const desk = new Desk({ maxEntries: 2 });
    await desk.run('order-1');
    await desk.claim('order-2');
    const refusal = await errorOf(desk.claim('order-3'));
    expect(refusal).toMatchObject(FULL);
    expect(refusal.message).toMatch(
      /holds 2 records.*raise maxEntries, shorten the ttl, or pass evict: true/,
    );
    expect(await desk.has('order-3')).toBe(false);
  });

  test('a run of a new key rejects at once, and its work is not run', async () => {
    const idempotency = createIdempotency({
      name: 'run',
      store: new InMemoryStore({ maxEntries: 1 }),
      logger: {},
    });
    let charges = 0;
    await idempotency.run('order-1', () => ++charges);
    expect(await errorOf(idempotency.run('order-2', () => ++charges))).toMatchObject(FULL);
    expect(await idempotency.run('order-1', () => ++charges)).toBe(1);
    expect(charges).toBe(1);
  });

  test('a full store still answers, renews, settles and runs again what it holds', async () => {
    const desk = new Desk({ maxEntries: 2 });
    const failed = await desk.run('order-1', FAILED);
    const running = await desk.claim('order-2');
    expect(await desk.claim('order-1')).toBeUndefined();
    expect(await desk.claim('order-1', { replacing: failed.token })).toMatchObject({ attempt: 2 });
    expect(await desk.store.renew(keyOf('order-2'), running!)).toEqual(expect.any(Number));
    expect(await desk.store.settle(keyOf('order-2'), running!, DONE)).toBe(true);
    await expect(desk.claim('order-3')).rejects.toMatchObject(FULL);
  });

  test('what has expired makes room', async () => {
    const desk = new Desk({ maxEntries: 1 });
    await desk.run('order-1', { ...DONE, retentionMs: 1 });
    await waited(async () => !(await desk.has('order-1')));
    const { createdAtMs } = await desk.run('order-2', { ...DONE, retentionMs: 1 });
    await waited(() => Date.now() > createdAtMs + 10);
    // Nobody looked for it since: the claim does.
    expect(await desk.claim('order-3')).toMatchObject({ attempt: 1 });
    expect(desk.store.evictions).toBe(0);
  });

  test('what expires later makes room later', async () => {
    const desk = new Desk({ maxEntries: 2 });
    await desk.run('soon', { ...DONE, retentionMs: 1 });
    const later = await desk.claim('later', { leaseMs: 30, unsettledRetentionMs: 1 });
    await waited(() => Date.now() > later!.createdAtMs + 5);
    await desk.claim('third');
    await waited(() => Date.now() > later!.leaseEndsAtMs + 5);
    expect(await desk.claim('fourth')).toMatchObject({ attempt: 1 });
  });

  test('the marks of released claims make room, since they hold nothing; those of forgotten records do not', async () => {
    const desk = new Desk({ maxEntries: 1 });
    const released = await desk.claim('order-1');
    await desk.store.release(keyOf('order-1'), released!.token);
    expect(desk.store.size).toBe(1);
    await desk.run('order-2');
    await desk.store.override(keyOf('order-2'), { kind: 'forget', force: false });
    await expect(desk.claim('order-3')).rejects.toMatchObject(FULL);
    expect(desk.store.evictions).toBe(0);
  });

  test('clear() makes room', async () => {
    const desk = new Desk({ maxEntries: 1 });
    await desk.claim('order-1');
    desk.store.clear();
    expect(desk.store.size).toBe(0);
    expect(await desk.claim('order-2')).toMatchObject({ attempt: 1 });
  });
});

describe('with evict', () => {
  test('the least recently used settled record goes, is told and counted', async () => {
    const desk = new Desk({ maxEntries: 3, evict: true });
    for (const name of ['a', 'b', 'c', 'd', 'e']) await desk.run(name);
    expect(desk.evicted).toEqual(['a', 'b']);
    expect(desk.store.evictions).toBe(2);
    expect(desk.store.size).toBe(3);
    expect(await desk.claim('a')).toMatchObject({ attempt: 1 });
  });

  test('a claim that is answered with a record uses it, a read does not', async () => {
    const desk = new Desk({ maxEntries: 3, evict: true });
    for (const name of ['a', 'b', 'c']) await desk.run(name);
    await desk.claim('a');
    await desk.store.read(keyOf('b'));
    await desk.run('d');
    await desk.run('e');
    expect(desk.evicted).toEqual(['b', 'c']);
  });

  test('a record was last used when it was settled, not when it was claimed', async () => {
    const desk = new Desk({ maxEntries: 2, evict: true });
    const slow = await desk.claim('slow');
    await desk.run('quick');
    await desk.store.settle(keyOf('slow'), slow!, DONE);
    await desk.run('next');
    expect(desk.evicted).toEqual(['quick']);
  });

  test('what runs, is abandoned, or failed with recorded steps never goes: then claims are refused', async () => {
    const desk = new Desk({ maxEntries: 4, evict: true });
    const running = await desk.claim('running');
    await desk.run('abandoned', UNKNOWN);
    const halfDone = await desk.run('half-done', FAILED, ['charge']);
    await desk.run('settled');
    await desk.claim('one-more');
    expect(desk.evicted).toEqual(['settled']);
    const refusal = await errorOf(desk.claim('too-many'));
    expect(refusal).toMatchObject(FULL);
    expect(refusal.message).toMatch(/none of them is settled, so none may be evicted.*raise maxEntries/);
    expect(await desk.claim('half-done', { replacing: halfDone.token })).toMatchObject({
      steps: [{ name: 'charge' }],
    });
    expect(await desk.store.settle(keyOf('running'), running!, DONE)).toBe(true);
    expect(await desk.has('abandoned')).toBe(true);
    expect(await desk.claim('too-many')).toMatchObject({ attempt: 1 });
    expect(desk.evicted).toEqual(['settled', 'running']);
  });

  test('what clear() took away is not dropped again', async () => {
    const desk = new Desk({ maxEntries: 1, evict: true });
    await desk.run('a');
    desk.store.clear();
    await desk.run('b');
    await desk.run('c');
    expect(desk.evicted).toEqual(['b']);
  });

  test('a failure without steps may go', async () => {
    const desk = new Desk({ maxEntries: 1, evict: true });
    await desk.run('a', FAILED);
    await desk.run('b', { ...FAILED, final: true });
    await desk.run('c');
    expect(desk.evicted).toEqual(['a', 'b']);
  });

  test('a record that is taken up again is no longer a candidate', async () => {
    const desk = new Desk({ maxEntries: 2, evict: true });
    const failed = await desk.run('a', FAILED);
    await desk.claim('a', { replacing: failed.token });
    await desk.run('b');
    await desk.run('c');
    expect(desk.evicted).toEqual(['b']);
  });

  test('an onEvict that throws harms no claim', async () => {
    const onEvict = (): never => {
      throw new Error('observer');
    };
    const desk = new Desk({ maxEntries: 1, evict: true, onEvict });
    await desk.run('a');
    expect(await desk.claim('b')).toMatchObject({ attempt: 1 });
    expect(desk.store.evictions).toBe(1);
  });

  test('G5: fences grow also over an eviction', async () => {
    const desk = new Desk({ maxEntries: 1, evict: true });
    const first = await desk.run('a');
    await desk.run('b');
    const again = await desk.claim('a');
    expect(again!.fence).toBeGreaterThan(first.fence);
  });
});

describe('cleanup', () => {
  const FAKED = { doNotFake: ['performance', 'queueMicrotask', 'nextTick'] } as const;

  test('startCleanup() drops what has expired, by the clock, until stopCleanup()', async () => {
    const desk = new Desk();
    await desk.run('kept');
    const { createdAtMs } = await desk.run('expired', { ...DONE, retentionMs: 1 });
    await waited(() => Date.now() > createdAtMs + 10);
    expect(desk.store.size).toBe(2);
    jest.useFakeTimers({ doNotFake: [...FAKED.doNotFake] });
    desk.store.startCleanup(1_000);
    jest.advanceTimersByTime(999);
    expect(desk.store.size).toBe(2);
    jest.advanceTimersByTime(1);
    expect(desk.store.size).toBe(1);
    expect(await desk.has('kept')).toBe(true);
    desk.store.stopCleanup();
    expect(jest.getTimerCount()).toBe(0);
  });

  test('a second startCleanup() replaces the interval; stopCleanup() may be called at any time', () => {
    jest.useFakeTimers();
    const { store } = new Desk();
    store.stopCleanup();
    store.startCleanup(1_000);
    store.startCleanup(5_000);
    expect(jest.getTimerCount()).toBe(1);
    store.stopCleanup();
    store.stopCleanup();
    expect(jest.getTimerCount()).toBe(0);
  });

  test('G8: its timer keeps no process alive', () => {
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const { store } = new Desk();
    store.startCleanup(1_000);
    const after = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    store.stopCleanup();
    expect(after).toBe(before);
  });
});

describe('bad input', () => {
  test.each([
    [{ maxEntry: 5 }, /no option "maxEntry"; it has maxEntries, maxEntriesPerScope, evict, onEvict/],
    [{ maxEntries: 0 }, /maxEntries is 0.*at least 1/],
    [{ maxEntries: 1.5 }, /maxEntries is 1.5/],
    [{ maxEntries: NaN }, /maxEntries is NaN/],
    [{ maxEntries: '5' }, /maxEntries is "5"/],
    [{ maxEntries: 5, evict: 'yes' }, /evict is "yes".*true or false/],
    [{ evict: true }, /needs maxEntries or maxEntriesPerScope/],
    [{ maxEntries: 5, onEvict: () => undefined }, /onEvict.*give both/],
    [{ maxEntries: 5, evict: true, onEvict: 'log' }, /onEvict is "log".*a function/],
    [null, /takes an options object/],
    ['redis://', /takes an options object/],
  ])('%j is refused', (options, message) => {
    const create = () => new InMemoryStore(options as InMemoryStoreOptions);
    expect(create).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    expect(create).toThrow(message);
  });

  test.each([0, -1, NaN, Infinity, 2 ** 31, '1m', undefined])('startCleanup(%p) is refused', (interval) => {
    const { store } = new Desk();
    const call = () => store.startCleanup(interval as number);
    expect(call).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    expect(call).toThrow(/milliseconds as a number/);
  });
});

describe('a scope is held to its share', () => {
  const request = (): ClaimRequest => ({
    ...{ token: newToken(), replacing: undefined, leaseMs: 60_000, unsettledRetentionMs: 60_000 },
    ...{ onAbandoned: 'retry', fingerprint: undefined },
  });
  const of = (scope: string, name: string): StoreKey => ({ ...keyAt(`${scope}:${name}`, 'abcdef'), scope });
  const run = async (store: InMemoryStore, key: StoreKey) => {
    const terms = request();
    const answer = await store.claim(key, terms);
    if (answer.kind === 'acquired') await store.settle(key, { ...terms, ...answer.grant }, DONE);
  };
  const holds = async (store: InMemoryStore, key: StoreKey) => (await store.read(key)) !== undefined;

  test('who fills the store with made-up keys drops records of its own, and nobody else', async () => {
    const evicted: string[] = [];
    const store = new InMemoryStore({ maxEntries: 10, evict: true, onEvict: (at) => void evicted.push(at) });
    await run(store, of('victim', 'order-1'));
    for (let n = 0; n < 50; n++) await run(store, of('mallory', `${n}`));
    expect(await holds(store, of('victim', 'order-1'))).toBe(true);
    expect(evicted.slice(0, 2)).toEqual(['mallory:0', 'mallory:1']);
    await run(store, of('victim', 'order-2'));
    expect(await holds(store, of('victim', 'order-1'))).toBe(true);
    expect(evicted.every((address) => address.startsWith('mallory:'))).toBe(true);
    expect(store.size).toBe(10);
  });

  test('maxEntriesPerScope: LIMITED for the scope that has used up its share, and for no other', async () => {
    const store = new InMemoryStore({ maxEntriesPerScope: 2 });
    for (const name of ['a', 'b']) await run(store, of('mallory', name));
    expect(await errorOf(store.claim(of('mallory', 'c'), request()))).toMatchObject({ code: 'LIMITED' });
    expect(await store.claim(of('mallory', 'a'), request())).toMatchObject({ kind: 'existing' });
    expect(await store.claim(of('victim', 'c'), request())).toMatchObject({ kind: 'acquired' });
  });

  test('maxEntriesPerScope with evict: the least recently used of the scope goes', async () => {
    const store = new InMemoryStore({ maxEntriesPerScope: 2, evict: true });
    await run(store, of('victim', 'a'));
    for (const name of ['a', 'b']) await run(store, of('mallory', name));
    await store.claim(of('mallory', 'a'), request());
    await run(store, of('mallory', 'c'));
    expect(await holds(store, of('mallory', 'a'))).toBe(true);
    expect(await holds(store, of('mallory', 'b'))).toBe(false);
    expect(await holds(store, of('victim', 'a'))).toBe(true);
  });

  test('a released claim gives its place back', async () => {
    const store = new InMemoryStore({ maxEntriesPerScope: 1 });
    const terms = request();
    await store.claim(of('a', 'x'), terms);
    await store.release(of('a', 'x'), terms.token);
    expect(await store.claim(of('a', 'y'), request())).toMatchObject({ kind: 'acquired' });
  });

  test.each([0, -1, 1.5, NaN, Infinity, '5', null, {}])('maxEntriesPerScope: %p is refused', (bad) => {
    const create = () => new InMemoryStore({ maxEntriesPerScope: bad as number });
    expect(create).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
  });

  test('a call that is refused for want of room leaves nothing to withdraw', async () => {
    const store = new InMemoryStore({ maxEntries: 1 });
    const one = createIdempotency({ store, name: 'charge', logger: {} });
    await one.run('a', () => 1);
    expect(await errorOf(one.run('b', () => 1))).toMatchObject(FULL);
    await one.close();
    expect(store.size).toBe(1);
  });
});
