import { describe, expect, test } from '@jest/globals';
import type { OnAbandoned, RunOptions } from '../../src/idempotency/api.js';
import { errorOf } from '../support/deferred.js';
import { crashedOwner, placeOf, world } from '../support/instances.js';

describe('onAbandoned: after a crash', () => {
  test('retry (the default) runs the work again, under a new fence', async () => {
    const { store, process } = world();
    await crashedOwner(store, 'k');
    const one = process();
    await expect(one.run('k', (a) => a.attempt)).resolves.toBe(2);
    expect(one.stats().takeovers).toBe(1);
  });

  test('block refuses with IN_DOUBT until a person resolves it', async () => {
    const { store, process } = world();
    await crashedOwner(store, 'k', { onAbandoned: 'block' });
    const one = process();
    const run = () => one.run('k', () => 'ran', { onAbandoned: 'block' });
    expect(await errorOf(run())).toMatchObject({ code: 'IN_DOUBT' });
    expect(await one.resolve('k', { result: 'it was paid' })).toBe(true);
    expect(await run()).toBe('it was paid');
  });

  test('a person may also settle it as failed, or forget it', async () => {
    const { store, process } = world();
    const one = process();
    await crashedOwner(store, 'k', { onAbandoned: 'block' });
    await one.resolve('k', { error: new RangeError('refunded by hand') });
    expect(await errorOf(one.run('k', () => 'ran'))).toMatchObject({
      name: 'RangeError',
      message: 'refunded by hand',
    });
    expect(await one.forget('k')).toBe(true);
    await expect(one.run('k', () => 'ran')).resolves.toBe('ran');
    expect(await one.forget('nothing')).toBe(false);
    expect(await one.resolve('nothing', { result: 1 })).toBe(false);
  });

  describe('a reconcile function', () => {
    const run =
      (found: OnAbandoned<string>, unsure = 'retry' as const) =>
      async () => {
        const { store, process } = world();
        await crashedOwner(store, 'k', { onAbandoned: unsure });
        const one = process();
        return { one, answer: one.run('k', (a) => `ran as ${a.attempt}`, { onAbandoned: found }) };
      };

    test('gives the result that the provider has, and the work does not run', async () => {
      const { one, answer } = await run(() => ({ completed: 'found at the provider' }))();
      expect(await answer).toBe('found at the provider');
      expect(await one.run('k', () => 'ran')).toBe('found at the provider');
    });

    test('or says "run it"', async () => {
      const { answer } = await run(async (attempt) =>
        attempt.attempt === 2 ? 'run' : { completed: 'wrong' },
      )();
      expect(await answer).toBe('ran as 2');
    });

    test('or a failure, which is final', async () => {
      const { one, answer } = await run(() => ({ failed: new RangeError('declined') }))();
      expect(await errorOf(answer)).toMatchObject({ name: 'RangeError', message: 'declined' });
      expect(await errorOf(one.run('k', () => 'ran'))).toMatchObject({ message: 'declined' });
    });

    test('that throws leaves the outcome unknown: it is asked again', async () => {
      const { one, answer } = await run(() => Promise.reject(new Error('provider down')))();
      expect((await errorOf(answer)).message).toBe('provider down');
      const again = await one.run('k', () => 'ran', { onAbandoned: () => ({ completed: 'found' }) });
      expect(again).toBe('found');
      expect(
        await errorOf(one.run('k2', () => Promise.reject(new Error('x')), { onAbandoned: () => 'run' })),
      ).toMatchObject({
        message: 'x',
      });
      expect(await errorOf(one.run('k2', () => 'ran'))).toMatchObject({ code: 'IN_DOUBT' });
    });
  });

  test('maxAttempts turns crash loops into IN_DOUBT', async () => {
    const { store, process } = world();
    await crashedOwner(store, 'k');
    const one = process({ maxAttempts: 2 });
    const unknown: RunOptions<never> = { remember: () => 'unknown' };
    await errorOf(one.run('k', () => Promise.reject(new Error('crash')), unknown));
    expect(await errorOf(one.run('k', () => 'ran'))).toMatchObject({ code: 'IN_DOUBT' });
  });
});

describe('the failure policy', () => {
  const fails = () => Promise.reject(new Error('socket hang up'));

  test('an unexpected exception is retryable under retry, and unknown under block', async () => {
    const { process } = world();
    const one = process();
    await errorOf(one.run('retry', fails));
    await expect(one.run('retry', () => 'ran')).resolves.toBe('ran');
    await errorOf(one.run('block', fails, { onAbandoned: 'block' }));
    expect(await errorOf(one.run('block', () => 'ran', { onAbandoned: 'block' }))).toMatchObject({
      code: 'IN_DOUBT',
    });
  });

  test('remember makes chosen failures final: replayed as the same error', async () => {
    const { process } = world();
    class Declined extends Error {
      override name = 'Declined';
      readonly code = 'card_declined';
    }
    const remember = (error: unknown) => error instanceof Declined;
    await errorOf(process().run('k', () => Promise.reject(new Declined('no funds')), { remember }));
    const replayed = await errorOf(process().run('k', () => 'ran'));
    expect(replayed).toMatchObject({ name: 'Declined', message: 'no funds', code: 'card_declined' });
    expect(replayed.constructor.name).toBe('Declined');
    await errorOf(process().run('k2', fails, { remember }));
    await expect(process().run('k2', () => 'ran')).resolves.toBe('ran');
    await errorOf(process().run('k3', fails, { remember: 'all' }));
    expect((await errorOf(process().run('k3', () => 'ran'))).message).toBe('socket hang up');
  });

  test('a release leaves the record as the claim found it, its attempt count included', async () => {
    const { store, process } = world();
    const one = process();
    await errorOf(one.run('k', fails));
    const before = await store.read(placeOf('k'));
    await errorOf(one.run('k', fails, { remember: () => 'release' }));
    const after = await store.read(placeOf('k'));
    expect(after).toMatchObject({
      status: 'FAILED',
      attempt: 1,
      payload: before?.payload,
    });
    // The next attempt gets a higher fence than the one that was released (G5).
    expect(after!.fence).toBeGreaterThan(before!.fence);
  });
});

test('forget refuses a live lease unless forced, and the fence is kept', async () => {
  const { store, process } = world();
  await store.claim(placeOf('k'), {
    ...{ token: 'B'.repeat(16), replacing: undefined, leaseMs: 60_000, unsettledRetentionMs: 9e5 },
    ...{ onAbandoned: 'retry', fingerprint: undefined },
  });
  const fence = (await store.read(placeOf('k')))!.fence;
  const one = process();
  expect(await errorOf(one.forget('k'))).toMatchObject({ code: 'CONCURRENT_REQUEST' });
  expect(await errorOf(one.resolve('k', { result: 1 }))).toMatchObject({ code: 'CONCURRENT_REQUEST' });
  expect(await one.forget('k', { force: true })).toBe(true);
  expect(await one.run('k', (a) => a.fence! > fence)).toBe(true);
});

describe('get() says who acts next', () => {
  test.each([
    ['retry', 'abandoned'],
    ['block', 'in-doubt'],
  ] as const)('after a crash under "%s": %s, with the end of the lease', async (onAbandoned, state) => {
    const { store, process } = world();
    await crashedOwner(store, 'k', { onAbandoned });
    const record = await process().get('k');
    expect(record).toMatchObject({ status: 'IN_PROGRESS', state });
    expect(record!.leaseEndsAt).toBeLessThanOrEqual(Date.now());
    expect((await process({ maxAttempts: 1 }).get('k'))!.state).toBe('in-doubt');
  });

  test('while it runs, and after each end', async () => {
    const { process } = world();
    const one = process({ lease: '10s' });
    const states: unknown[] = [];
    await one.run('k', async () => {
      const record = await one.get('k');
      states.push(record!.state);
      expect(record!.leaseEndsAt).toBeGreaterThan(Date.now());
    });
    await errorOf(one.run('final', () => Promise.reject(new Error('no')), { remember: 'all' }));
    await errorOf(one.run('again', () => Promise.reject(new Error('no'))));
    for (const key of ['k', 'final', 'again']) states.push((await one.get(key))!.state);
    expect(states).toEqual(['running', 'completed', 'failed', 'retryable']);
    expect(await one.get('k')).not.toHaveProperty('leaseEndsAt');
  });
});
