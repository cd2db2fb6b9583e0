import { describe, expect, test } from '@jest/globals';
import { currentAttempt } from '../../src/idempotency/current-attempt.js';
import { deferred, errorOf } from '../support/deferred.js';
import { nextEvent, placeOf, world } from '../support/instances.js';

describe('G4: the lease', () => {
  test('is renewed while the work runs, so that nobody takes over from a living owner', async () => {
    const { store, process } = world();
    const owner = process({ lease: 600 });
    const gate = deferred<string>();
    const renewals = { seen: 0, enough: deferred() };
    owner.faulty.faults.renew = (moment) => {
      if (moment === 'answered' && ++renewals.seen === 4) renewals.enough.resolve();
    };
    const answer = owner.run('k', () => gate.promise);
    const other = process().run('k', () => 'stolen');
    await renewals.enough.promise;
    expect((await store.read(placeOf('k')))?.attempt).toBe(1);
    gate.resolve('mine');
    expect(await Promise.all([answer, other])).toEqual(['mine', 'mine']);
    expect(owner.stats().leaseLosses).toBe(0);
  });

  test('is held lost when a renewal is refused', async () => {
    const { store, process } = world();
    const owner = process({ lease: 60, waitTimeout: 50 });
    const gate = deferred<string>();
    const started = nextEvent(owner, 'miss');
    const lost = nextEvent(owner, 'lease-lost');
    const answer = errorOf(owner.run('k', () => gate.promise));
    await started;
    await store.override(placeOf('k'), { kind: 'forget', force: true });
    expect((await lost).error).toMatchObject({ code: 'LEASE_LOST' });
    gate.resolve('late');
    // The tombstone refuses the late writer (G3), and nobody else ran: there is no recorded success to give.
    expect(await answer).toMatchObject({ code: 'LEASE_LOST', result: 'late' });
    expect(await store.read(placeOf('k'))).toBeUndefined();
  });

  test("is held lost when its length has passed on the owner's own clock, whatever an answer says later", async () => {
    const { process } = world();
    const owner = process({ lease: 40 });
    const late = deferred();
    owner.faulty.faults.renew = (moment) => (moment === 'answered' ? late.promise : undefined);
    const gate = deferred<string>();
    const lost = nextEvent(owner, 'lease-lost');
    const answer = owner.run('k', () => gate.promise);
    await lost;
    late.resolve();
    gate.resolve('ok');
    // Nobody took over, so that its own result was recorded after all.
    expect(await answer).toBe('ok');
  });

  test('is not renewed beyond maxHold', async () => {
    const { process } = world();
    const owner = process({ lease: 300, maxHold: 350 });
    const gate = deferred<string>();
    const lost = nextEvent(owner, 'lease-lost');
    const answer = owner.run('k', () => gate.promise);
    await lost;
    expect(owner.faulty.calls.renew).toBeGreaterThanOrEqual(1);
    gate.resolve('ok');
    await answer;
  });

  test('is checked before the work starts: a claim that is answered after its lease is over is not used', async () => {
    const { process } = world();
    const owner = process({ lease: 30 });
    let delayed = false;
    owner.faulty.faults.claim = async (moment) => {
      if (moment === 'sent' || delayed) return;
      delayed = true;
      await new Promise((resolve) => setTimeout(resolve, 45));
    };
    const fences: (number | undefined)[] = [];
    await owner.run('k', (a) => fences.push(a.fence));
    expect(fences).toHaveLength(1);
    expect(owner.faulty.calls.claim).toBeGreaterThanOrEqual(2);
  });

  test('an answer to a renewal that arrives after settling began means nothing', async () => {
    const { process } = world();
    const owner = process({ lease: 600 });
    const refused = deferred();
    const sent = deferred();
    owner.faulty.faults.renew = async (moment) => {
      if (moment === 'sent') return sent.resolve();
      await refused.promise;
      throw new Error('refused');
    };
    const gate = deferred<string>();
    const answer = owner.run('k', () => gate.promise);
    await sent.promise;
    gate.resolve('ok');
    expect(await answer).toBe('ok');
    refused.resolve();
    expect(owner.stats()).toMatchObject({ leaseLosses: 0, storeErrors: 0 });
  });
});

describe('currentAttempt()', () => {
  test('gives the work its key, fence, number, signal and derived keys, also across awaits', async () => {
    const { process } = world();
    const one = process();
    await one.run('order-1', async (attempt) => {
      await Promise.resolve();
      expect(currentAttempt()).toBe(attempt);
      expect(attempt).toMatchObject({ key: 'order-1', attempt: 1 });
      expect(attempt.fence).toEqual(expect.any(Number));
      expect(attempt.signal.aborted).toBe(false);
    });
    expect(currentAttempt()).toBeUndefined();
  });

  test('deriveKey is stable across unknown outcomes, differs by name and key, and is new after a definite failure', async () => {
    const { process } = world();
    const one = process();
    const keys: string[] = [];
    const note = (name = 'charge') => keys.push(currentAttempt()!.deriveKey(name));
    const fail = () => (note(), Promise.reject(new Error('no')));
    await errorOf(one.run('k', fail, { remember: () => 'unknown' }));
    await errorOf(one.run('k', fail, { remember: () => 'retryable' }));
    await one.run('k', () => (note(), note('email')));
    await one.run('other', () => note());
    const [afterNothing, afterUnknown, afterFailure, email, other] = keys;
    expect(afterUnknown).toBe(afterNothing);
    expect(new Set([afterNothing, afterFailure, email, other]).size).toBe(4);
    expect(keys.every((key) => /^[0-9a-f]{32}$/.test(key))).toBe(true);
  });

  test('deriveKey stays the same after an error that nobody called definite: the effect may have happened', async () => {
    const { process } = world();
    const one = process();
    const keys: string[] = [];
    const lost = () => {
      keys.push(currentAttempt()!.deriveKey('charge'));
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    };
    await errorOf(one.run('k', lost));
    await errorOf(one.run('k', lost, { remember: () => false }));
    await errorOf(one.run('k', lost, { remember: () => 'release' }));
    // A step ran, so that nothing is undone: still nobody said what became of the charge.
    const afterStep = async () => (await currentAttempt()!.step('mail', () => 1), lost());
    await errorOf(one.run('k', afterStep, { remember: () => 'release' }));
    await one.run('k', () => keys.push(currentAttempt()!.deriveKey('charge')));
    expect(keys).toHaveLength(5);
    expect(new Set(keys).size).toBe(1);
  });
});
