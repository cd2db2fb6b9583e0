import { describe, expect, jest, test } from '@jest/globals';
import { StoreError } from '../../src/core/errors.js';
import type { LeaseStore } from '../../src/core/store.js';
import { deferred, errorOf } from '../support/deferred.js';
import { storeDown } from '../support/faulty-store.js';
import { nextEvent, placeOf, world } from '../support/instances.js';

const never = () => new Promise<void>(() => undefined);
const down = () => {
  throw storeDown();
};

describe('G7: a finished effect is never forgotten by its owner', () => {
  async function unrecorded() {
    const { store, process } = world();
    const owner = process({ storeTimeout: 50 });
    owner.faulty.faults.settle = down;
    const told = nextEvent(owner, 'unrecorded');
    let runs = 0;
    const answer = await owner.run('k', () => `paid ${++runs}`);
    return { store, process, owner, told, answer };
  }

  test('work that succeeded and cannot be recorded is returned after one store deadline, with an event', async () => {
    const { answer, told, owner } = await unrecorded();
    expect(answer).toBe('paid 1');
    expect((await told).error).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    owner.faulty.heal();
    await owner.close();
  });

  test('meanwhile this process answers duplicates itself, and settling goes on until it is recorded', async () => {
    const { answer, owner, process, store } = await unrecorded();
    await expect(owner.run('k', () => 'twice')).resolves.toBe(answer);
    expect(owner.faulty.calls.claim).toBe(1);
    const recorded = nextEvent(owner, 'recorded-late');
    owner.faulty.heal();
    await recorded;
    expect((await store.read(placeOf('k')))?.status).toBe('COMPLETED');
    await expect(process().run('k', () => 'twice')).resolves.toBe(answer);
    await expect(owner.run('k', () => 'twice')).resolves.toBe(answer);
    expect(owner.stats()).toMatchObject({ unrecorded: 1, recordedLate: 1, misses: 1 });
  });

  test('also those who would not wait for a running one', async () => {
    const { answer, owner } = await unrecorded();
    await expect(owner.run('k', () => 'twice', { concurrent: 'reject' })).resolves.toBe(answer);
    owner.faulty.heal();
    await owner.close();
  });

  test('close() waits for it', async () => {
    const { owner, store } = await unrecorded();
    const closed = owner.close();
    owner.faulty.heal();
    await closed;
    expect((await store.read(placeOf('k')))?.status).toBe('COMPLETED');
  });

  test.each([
    ['cannot be encoded', () => ({ socket: new (class Socket {})() }), 'value.socket'],
    ['is too large', () => 'x'.repeat(2_000), 'value'],
  ])('a result that %s is recorded as completed without a value', async (_, work, path) => {
    const { process } = world();
    const owner = process({ maxResultBytes: 1_000 });
    const told = nextEvent(owner, 'no-value');
    const first = await owner.run<unknown>('k', work);
    expect(first).toEqual(work());
    expect(await told).toMatchObject({ path });
    expect(await errorOf(process().run('k', () => 'twice'))).toMatchObject({ code: 'RESULT_UNAVAILABLE' });
    expect(await process().get('k')).toMatchObject({ status: 'COMPLETED' });
  });
});

describe('G8: nothing hangs, nothing is left behind', () => {
  test('a claim that is never answered ends in STORE_UNAVAILABLE at the deadline', async () => {
    const { process } = world();
    const one = process({ storeTimeout: 30 });
    one.faulty.faults.claim = never;
    expect(await errorOf(one.run('k', () => 'ran'))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    one.faulty.heal();
    await one.close();
  });

  test('the error of a deadline says what the store complained of last', async () => {
    const { process } = world();
    const one = process({ storeTimeout: 50 });
    one.faulty.faults.claim = () => {
      throw new StoreError('STORE_UNAVAILABLE', 'getaddrinfo ENOTFOUND redis.internal', { transient: true });
    };
    const error = await errorOf(one.run('k', () => 'ran'));
    expect(error.message).toMatch(/did not claim a key within 50 ms: .*ENOTFOUND redis\.internal/);
    one.faulty.heal();
    await one.close();
  });

  test('close() takes one store deadline where a claim is left to withdraw and nothing is left to save', async () => {
    jest.useFakeTimers();
    try {
      const { process } = world();
      const one = process({ storeTimeout: 1_000 });
      one.faulty.faults.claim = one.faulty.faults.release = never;
      const ended = errorOf(one.run('k', () => 'ran'));
      await jest.advanceTimersByTimeAsync(1_000);
      await ended;
      let isClosed = false;
      const closed = one.close().then(() => (isClosed = true));
      await jest.advanceTimersByTimeAsync(999);
      expect(isClosed).toBe(false);
      await jest.advanceTimersByTimeAsync(1);
      expect(isClosed).toBe(true);
      await closed;
      one.faulty.heal();
      await jest.advanceTimersByTimeAsync(60_000);
    } finally {
      jest.useRealTimers();
    }
  });

  test('a command that was executed after all leaves no ghost lease', async () => {
    const { store, process } = world();
    const one = process({ storeTimeout: 30 });
    one.faulty.faults.claim = (moment) => (moment === 'answered' ? never() : undefined);
    expect(await errorOf(one.run('k', () => 'ran'))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    one.faulty.heal();
    await one.close();
    expect(await store.read(placeOf('k'))).toBeUndefined();
    await expect(process().run('k', (a) => a.attempt)).resolves.toBe(1);
  });

  test('a claim that is executed only after it was withdrawn is not granted', async () => {
    const { store, process } = world();
    const one = process({ storeTimeout: 30 });
    const later = deferred();
    one.faulty.faults.claim = (moment) => (moment === 'sent' ? later.promise : undefined);
    expect(await errorOf(one.run('k', () => 'ran'))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await one.close();
    later.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect(await store.read(placeOf('k'))).toBeUndefined();
    await expect(process().run('k', () => 'fresh')).resolves.toBe('fresh');
  });

  test('nor one that is executed after its withdrawal met another attempt: a withdrawal is said twice', async () => {
    const { store, process } = world();
    const other = process();
    const gate = deferred();
    const started = nextEvent(other, 'miss');
    const running = other.run('k', () => gate.promise, { remember: () => 'release' });
    await started;

    const one = process({ storeTimeout: 30 });
    const [late, met, arrived] = [deferred(), deferred(), deferred()];
    let withdrawals = 0;
    one.faulty.faults.claim = (moment) => (moment === 'sent' ? late.promise : void arrived.resolve());
    one.faulty.faults.release = (moment) => {
      if (moment === 'answered') return void met.resolve();
      return ++withdrawals === 2 ? arrived.promise : undefined;
    };
    expect(await errorOf(one.run('k', () => 'ran'))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await met.promise;
    gate.reject(new Error('invalid'));
    await errorOf(running);
    late.resolve();
    await arrived.promise;
    await one.close();
    expect(await store.read(placeOf('k'))).toBeUndefined();
    await expect(process().run('k', () => 'fresh')).resolves.toBe('fresh');
  });

  test('a wait ends in IDEMPOTENCY_TIMEOUT, and the timeout never bounds the work', async () => {
    const { process } = world();
    const gate = deferred<string>();
    const owner = process({ waitTimeout: 20 });
    const answer = owner.run('k', () => gate.promise);
    expect(await errorOf(process({ waitTimeout: 20 }).run('k', () => 'no'))).toMatchObject({
      code: 'IDEMPOTENCY_TIMEOUT',
    });
    gate.resolve('ok');
    expect(await answer).toBe('ok');
  });

  test('a wait that ran out while the store could not be read does not say that it still runs', async () => {
    const { process } = world();
    const gate = deferred<string>();
    const answer = process().run('k', () => gate.promise);
    const blind = process({ waitTimeout: 200, storeTimeout: 30 });
    blind.faulty.faults.read = down;
    const waiter = errorOf(blind.run('k', () => 'no'));
    expect(await waiter).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    blind.faulty.heal();
    const seeing = process({ waitTimeout: 60 });
    expect(await errorOf(seeing.run('k', () => 'no'))).toMatchObject({ code: 'IDEMPOTENCY_TIMEOUT' });
    gate.resolve('ok');
    expect(await answer).toBe('ok');
  });

  test('waiters are woken where wake-ups are lost, by polling', async () => {
    const { process } = world();
    const gate = deferred<string>();
    const answer = process().run('k', () => gate.promise);
    const deaf = process();
    deaf.faulty.pushes = false;
    const waiting = nextEvent(deaf, 'wait');
    const waiter = deaf.run('k', () => 'no');
    await waiting;
    gate.resolve('ok');
    expect(await Promise.all([answer, waiter])).toEqual(['ok', 'ok']);
  });

  test('close() refuses new runs, waits for running work, and releases nothing', async () => {
    const { store, process } = world();
    const one = process();
    const gate = deferred<string>();
    const started = nextEvent(one, 'miss');
    const answer = one.run('k', () => gate.promise);
    await started;
    const closed = one.close();
    expect(await errorOf(one.run('other', () => 'no'))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect((await store.read(placeOf('k')))?.status).toBe('IN_PROGRESS');
    gate.resolve('ok');
    await closed;
    expect(await answer).toBe('ok');
    expect((await store.read(placeOf('k')))?.status).toBe('COMPLETED');
  });
});

describe('what an outage leaves to do is bounded', () => {
  const unavailable = (more: object) => new StoreError('STORE_UNAVAILABLE', 'refused', more);

  test('a claim that was certainly never sent is not withdrawn', async () => {
    const { process } = world();
    const one = process({ storeTimeout: 50 });
    one.faulty.faults.claim = () => {
      throw unavailable({ transient: true, neverSent: true });
    };
    expect(await errorOf(one.run('k', () => 1))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await one.close();
    expect(one.faulty.calls).toMatchObject({ release: 0 });
    expect(one.faulty.calls.claim).toBeGreaterThan(1);
  });

  test('but one of which any sending may have arrived is', async () => {
    const { process } = world();
    const one = process({ storeTimeout: 50 });
    let sent = 0;
    one.faulty.faults.claim = () => {
      throw unavailable({ transient: true, neverSent: sent++ > 0 });
    };
    await errorOf(one.run('k', () => 1));
    await one.close();
    expect(one.faulty.calls.release).toBeGreaterThan(0);
  });

  test('one errand is tried for all, and nothing is lost when the store is back', async () => {
    const { process, store } = world();
    const one = process({ storeTimeout: 40 });
    one.faulty.faults.claim = (moment) => (moment === 'answered' ? never() : undefined);
    let atOnce = 0;
    let most = 0;
    one.faulty.faults.release = async () => {
      most = Math.max(most, ++atOnce);
      await new Promise((resolve) => setTimeout(resolve, 20));
      atOnce--;
      throw storeDown();
    };
    const calls = Array.from({ length: 300 }, (_, n) => errorOf(one.run(`k${n}`, () => 1)));
    await Promise.all(calls);
    await nextTries(one, 4);
    // Those that were sent before the first failure was known are many at a time.
    while (atOnce > 1) await new Promise((resolve) => setTimeout(resolve, 5));
    most = atOnce;
    const before = one.faulty.calls.release;
    await nextTries(one, 4);
    expect(one.faulty.calls.release - before).toBeLessThan(20);
    expect(most).toBeLessThanOrEqual(1);
    one.faulty.heal();
    for (let n = 0; n < 300; n++)
      while (await store.read(placeOf(`k${n}`))) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  async function nextTries(one: ReturnType<ReturnType<typeof world>['process']>, more: number) {
    const until = one.faulty.calls.release + more;
    while (one.faulty.calls.release < until) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  test('when the store is back, what waits goes in batches where it can take them', async () => {
    const { process, store } = world();
    const one = process({ storeTimeout: 40 });
    const batches: number[] = [];
    const releaseMany: LeaseStore['releaseMany'] = (items) => {
      batches.push(items.length);
      return Promise.allSettled(items.map(({ key, token }) => store.release(key, token)));
    };
    Object.assign(one.faulty, { releaseMany });
    one.faulty.faults.claim = (moment) => (moment === 'answered' ? never() : undefined);
    one.faulty.faults.release = down;
    await Promise.all(Array.from({ length: 300 }, (_, n) => errorOf(one.run(`k${n}`, () => 1))));
    await nextTries(one, 2);
    const before = one.faulty.calls.release;
    one.faulty.heal();
    for (let n = 0; n < 300; n++)
      while (await store.read(placeOf(`k${n}`))) await new Promise((resolve) => setTimeout(resolve, 5));
    // The one that finds out that the store is back goes alone, and so does what is left over.
    expect(one.faulty.calls.release - before).toBeLessThanOrEqual(20);
    expect(Math.max(...batches)).toBeGreaterThan(50);
    expect(Math.max(...batches)).toBeLessThanOrEqual(100);
    await one.close();
  });

  test('10,000 withdrawals are kept, and each one more is an event', async () => {
    const { process } = world();
    const one = process({ storeTimeout: 40 });
    one.faulty.faults.release = down;
    one.faulty.faults.claim = () => {
      throw unavailable({ transient: false });
    };
    const told = nextEvent(one, 'given-up');
    for (let n = 0; n < 10_010; n++) await errorOf(one.run(`k${n}`, () => 1));
    expect(await told).toMatchObject({ name: 'charge', key: 'k10000', what: 'withdrawal' });
    expect(one.stats().givenUp).toBe(10);
    one.faulty.heal();
    await one.close();
  });

  test('64 MB of outcomes are kept; then they are kept without their value (G7 holds: none runs again)', async () => {
    const { process } = world();
    const one = process({ storeTimeout: 20, maxResultBytes: 8 * 2 ** 20 });
    one.faulty.faults.settle = () => {
      throw unavailable({ transient: false });
    };
    const told = nextEvent(one, 'given-up');
    const large = 'x'.repeat(7 * 2 ** 20);
    for (let n = 0; n < 10; n++)
      await expect(one.run(`k${n}`, () => large)).resolves.toHaveLength(large.length);
    expect(await told).toMatchObject({ key: 'k9', what: 'value' });
    await expect(one.run('k8', () => 'twice')).resolves.toHaveLength(large.length);
    expect(await errorOf(one.run('k9', () => 'twice'))).toMatchObject({ code: 'RESULT_UNAVAILABLE' });
    one.faulty.heal();
    await one.close();
    expect(one.stats()).toMatchObject({ recordedLate: 10, givenUp: 1 });
    expect(await errorOf(process().run('k9', () => 'twice'))).toMatchObject({ code: 'RESULT_UNAVAILABLE' });
  });

  test.each(['a', 'b', 'c'])(
    'an outcome that the store refuses does not hold up the others: %s',
    async (refused) => {
      const { process, store } = world();
      const one = process({ storeTimeout: 50 });
      one.faulty.faults.settle = down;
      await Promise.all(['a', 'b', 'c'].map((key) => one.run(key, () => key)));
      // Until the first tries, which go at the same time, are over.
      const tries = one.faulty.calls.settle + 25;
      while (one.faulty.calls.settle < tries) await new Promise((resolve) => setTimeout(resolve, 5));
      const settle = one.faulty.settle.bind(one.faulty);
      one.faulty.settle = (key, ...rest) => {
        if (key.key === refused) throw unavailable({ transient: false });
        return settle(key, ...rest);
      };
      one.faulty.heal();
      while (one.stats().recordedLate < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      const statusOf = async (key: string) => (await store.read(placeOf(key)))?.status;
      for (const key of ['a', 'b', 'c'].filter((each) => each !== refused))
        expect(await statusOf(key)).toBe('COMPLETED');
      one.faulty.settle = settle;
      await one.close();
      expect(await statusOf(refused)).toBe('COMPLETED');
    },
  );
});

describe('store failure policy', () => {
  test('throw (the default): the work does not run', async () => {
    const { process } = world();
    const one = process({ storeTimeout: 30 });
    one.faulty.faults.claim = down;
    let ran = false;
    expect(await errorOf(one.run('k', () => void (ran = true)))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(ran).toBe(false);
    one.faulty.heal();
    await one.close();
  });

  test('run: unprotected, with an event and without a fence; it still settles when the store returns', async () => {
    const { process } = world();
    const one = process({ storeTimeout: 30, onStoreError: 'run' });
    one.faulty.cut();
    const told = nextEvent(one, 'unprotected');
    const gate = deferred();
    const running = one.run('k', async (a) => (await gate.promise, { fence: a.fence }));
    await told;
    const joined = one.run('k', () => ({ fence: 1 }));
    gate.resolve();
    expect(await Promise.all([running, joined])).toEqual([{ fence: undefined }, { fence: undefined }]);
    const recorded = nextEvent(one, 'recorded-late');
    one.faulty.heal();
    await recorded;
    await expect(process().run('k', () => 'twice')).resolves.toEqual({ fence: undefined });
  });

  test('an answer that is certain is no outage: a corrupt record is never run over', async () => {
    const { process } = world();
    const one = process({ onStoreError: 'run' });
    one.faulty.faults.claim = () => {
      throw Object.assign(storeDown(), { code: 'CORRUPT_RECORD', transient: false });
    };
    expect(await errorOf(one.run('k', () => 'ran'))).toMatchObject({ code: 'CORRUPT_RECORD' });
  });
});
