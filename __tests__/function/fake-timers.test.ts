import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { defaultStore, idempotent, InMemoryStore, makeIdempotent } from '../../src/index.js';
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

describe("a store with the clock of Date, under fakes that leave 'performance' alone", () => {
  beforeEach(() => void jest.useFakeTimers({ doNotFake: ['performance'] }));
  afterEach(() => void jest.useRealTimers());

  test.each<[string, () => unknown]>([
    ['timers that are advanced', () => jest.advanceTimersByTime(7_200_000)],
    ['setSystemTime()', () => jest.setSystemTime(Date.now() + 7_200_000)],
  ])('a result is forgotten after its ttl: %s', async (_, move) => {
    const store = new InMemoryStore({ clock: () => Date.now() });
    let runs = 0;
    const call = () => idempotent({ key: 'k', store, ttl: '1h', execute: () => ++runs });
    expect([await call(), await call()]).toEqual([1, 1]);
    move();
    expect(await call()).toBe(2);
  });

  test('a clock that gives no number ends the call, and nothing runs', async () => {
    const store = new InMemoryStore({ clock: () => NaN });
    const error = await errorOf(idempotent({ key: 'k', store, execute: () => 1 }));
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
    expect(() => new InMemoryStore({ clock: 5 as never })).toThrow(/clock/);
  });
});

test('and under those of node:test', async () => {
  const file = join(process.cwd(), '__tests__/function/node-test-timers.ts');
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', '--test', '--test-reporter=tap', file],
    {
      env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined },
    },
  );
  expect(stdout).toMatch(/pass 1/);
}, 60_000);

test('defaultStore() is the one that is used where none is given: it can be cleared, and closed', async () => {
  let runs = 0;
  const call = () => idempotent({ key: 'default', execute: () => ++runs });
  expect([await call(), await call()]).toEqual([1, 1]);
  expect(defaultStore().size).toBeGreaterThan(0);
  defaultStore().startCleanup(60_000);
  defaultStore().clear();
  expect(await call()).toBe(2);
  await defaultStore().close();
  expect(await call()).toBe(2);
});
