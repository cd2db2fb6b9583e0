import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { idempotent, InMemoryStore, makeIdempotent } from '../../src/index.js';
import { deferred, errorOf } from '../support/deferred.js';

/** As people test code of theirs: everything faked, the clock of the store included. */
describe("under jest's fake timers", () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  test('calls run, join and replay without a tick', async () => {
    let runs = 0;
    const charge = makeIdempotent(async (id: string) => `${id}, run ${++runs}`, {
      store: new InMemoryStore(),
      name: 'charge',
    });
    expect(await Promise.all([charge('a'), charge('a')])).toEqual(['a, run 1', 'a, run 1']);
    expect(await charge('a')).toBe('a, run 1');
    expect(jest.getTimerCount()).toBe(0);
  });

  test('a result is forgotten after its ttl, and not before', async () => {
    const store = new InMemoryStore();
    let runs = 0;
    const call = () => idempotent({ key: 'k', store, ttl: '1h', execute: () => ++runs });
    await call();
    await jest.advanceTimersByTimeAsync(3_599_000);
    expect(await call()).toBe(1);
    await jest.advanceTimersByTimeAsync(2_000);
    expect(await call()).toBe(2);
  });

  test('also in the store of the process', async () => {
    let runs = 0;
    const call = () => idempotent({ key: 'fake', execute: () => ++runs });
    expect([await call(), await call()]).toEqual([1, 1]);
    await jest.advanceTimersByTimeAsync(3_601_000);
    expect(await call()).toBe(2);
  });

  test('a wait runs out after waitTimeout, and the work ends when its own timer does', async () => {
    const store = new InMemoryStore();
    const slow = () => new Promise<string>((resolve) => setTimeout(() => resolve('slow'), 60_000));
    const call = () => idempotent({ key: 'k', store, execute: slow });
    const owner = call();
    const waiting = errorOf(call());
    await jest.advanceTimersByTimeAsync(30_000);
    expect(await waiting).toMatchObject({ code: 'IDEMPOTENCY_TIMEOUT' });
    await jest.advanceTimersByTimeAsync(30_000);
    expect(await owner).toBe('slow');
    expect(await call()).toBe('slow');
  });

  test('the lease of long work is renewed as the time goes on', async () => {
    const store = new InMemoryStore();
    const gate = deferred<string>();
    const call = () =>
      idempotent({ key: 'k', store, lease: '20s', waitTimeout: '10m', execute: () => gate.promise });
    const answers = [call(), call()];
    await jest.advanceTimersByTimeAsync(300_000);
    gate.resolve('long');
    expect(await Promise.all(answers)).toEqual(['long', 'long']);
    expect(idempotent.stats({ store })).toMatchObject({ leaseLosses: 0, misses: 1 });
  });

  test('a record made before they were installed is still found', async () => {
    jest.useRealTimers();
    const store = new InMemoryStore();
    await idempotent({ key: 'k', store, execute: () => 'real' });
    jest.useFakeTimers();
    expect(await idempotent({ key: 'k', store, execute: () => 'fake' })).toBe('real');
  });
});
