import { describe, expect, test } from '@jest/globals';
import { deferred, errorOf } from '../support/deferred.js';
import { storeDown } from '../support/faulty-store.js';
import { crashedOwner, nextEvent, placeOf, world } from '../support/instances.js';

describe('G1: one winner', () => {
  test('fifty processes and fifty callers in one of them run the work once', async () => {
    const { process } = world();
    let runs = 0;
    const gate = deferred<string>();
    const work = () => (runs++, gate.promise);
    const processes = Array.from({ length: 50 }, () => process());
    const first = processes[0]!;
    const answers = [
      ...processes.map((each) => each.run('k', work)),
      ...Array.from({ length: 50 }, () => first.run('k', work)),
    ];
    gate.resolve('paid');
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['paid']));
    expect(runs).toBe(1);
  });
});

describe('G6: all callers agree', () => {
  test('fifty waiters on a failing operation get fifty copies of one failure, not fifty executions', async () => {
    const { process } = world();
    let runs = 0;
    const gate = deferred<never>();
    const work = () => (runs++, gate.promise);
    const owner = process();
    const others = Array.from({ length: 50 }, () => process());
    const started = nextEvent(owner, 'miss');
    const first = errorOf(owner.run('k', work));
    await started;
    const waits = others.map((each) => nextEvent(each, 'wait'));
    const waiting = others.map((each) => errorOf(each.run('k', work)));
    await Promise.all(waits);
    gate.reject(new RangeError('card declined'));
    for (const error of await Promise.all([first, ...waiting])) {
      expect(error).toMatchObject({ name: 'RangeError', message: 'card declined' });
    }
    expect(runs).toBe(1);
    await expect(process().run('k', () => 'second try')).resolves.toBe('second try');
  });

  test('when the owner vanishes, exactly one waiter takes over and the others get its answer', async () => {
    const { store, process } = world();
    await store.claim(placeOf('k'), {
      ...{ token: 'A'.repeat(16), replacing: undefined, leaseMs: 60, unsettledRetentionMs: 9e5 },
      ...{ onAbandoned: 'retry', fingerprint: undefined },
    });
    let runs = 0;
    const others = Array.from({ length: 20 }, () => process());
    const answers = await Promise.all(
      others.map((each) => each.run('k', async (a) => `run ${++runs} attempt ${a.attempt}`)),
    );
    expect(new Set(answers)).toEqual(new Set(['run 1 attempt 2']));
    expect(others.reduce((sum, each) => sum + each.stats().takeovers, 0)).toBe(1);
  });

  test('waiters of a released attempt claim again: their input may be valid', async () => {
    const { process } = world();
    const gate = deferred<never>();
    const owner = process();
    const started = nextEvent(owner, 'miss');
    const first = errorOf(owner.run('k', () => gate.promise, { remember: () => 'release' }));
    await started;
    const other = process();
    const waits = nextEvent(other, 'wait');
    const second = other.run('k', (a) => `valid, attempt ${a.attempt}`);
    const joined = owner.run('k', (a) => `valid, attempt ${a.attempt}`);
    await waits;
    gate.reject(new Error('invalid input'));
    expect((await first).message).toBe('invalid input');
    // A release leaves nothing of the attempt behind, its number included.
    expect(await second).toBe('valid, attempt 1');
    expect(await joined).toBe('valid, attempt 1');
  });

  test('a failed record that is waited on by nobody is run again', async () => {
    const { process } = world();
    const one = process();
    await errorOf(one.run('k', () => Promise.reject(new Error('timeout'))));
    await expect(one.run('k', (a) => a.attempt)).resolves.toBe(2);
  });

  describe('a zombie: an owner whose lease was lost', () => {
    async function zombie(outcome: 'completes' | 'fails', more = {}) {
      const { store, process } = world();
      const owner = process({ lease: 60, waitTimeout: 5_000, ...more });
      const gate = deferred<string>();
      let aborted: unknown;
      const lost = nextEvent(owner, 'lease-lost');
      const started = nextEvent(owner, 'miss');
      const answer = owner.run('k', async ({ signal }) => {
        signal.addEventListener('abort', () => void (aborted = signal.reason));
        const value = await gate.promise;
        if (outcome === 'fails') throw new Error(value);
        return value;
      });
      answer.catch(() => undefined);
      await started;
      owner.faulty.faults.renew = () => new Promise(() => undefined);
      await lost;
      return { store, process, owner, answer, gate, aborted: () => aborted };
    }

    test('its signal is aborted, with LEASE_LOST as the reason', async () => {
      const { aborted, gate, answer } = await zombie('completes');
      expect(aborted()).toMatchObject({ code: 'LEASE_LOST' });
      gate.resolve('late');
      await answer;
    });

    test("gets the winner's success, not its own result", async () => {
      const { process, answer, gate, store } = await zombie('completes');
      await expect(process().run('k', () => 'winner')).resolves.toBe('winner');
      gate.resolve('zombie');
      expect(await answer).toBe('winner');
      expect((await store.read(placeOf('k')))?.payload).toContain('winner');
    });

    test("gets the winner's failure", async () => {
      const { process, answer } = await zombie('completes');
      await errorOf(process().run('k', () => Promise.reject(new TypeError('declined'))));
      expect(await errorOf(answer)).toMatchObject({ name: 'TypeError', message: 'declined' });
    });

    test('gets its own result when that was recorded after all', async () => {
      const { process, answer, gate } = await zombie('completes');
      gate.resolve('mine');
      expect(await answer).toBe('mine');
      await expect(process().run('k', () => 'other')).resolves.toBe('mine');
    });

    test('gets LEASE_LOST with its own result attached when no success is to be had', async () => {
      const { process, answer, gate } = await zombie('completes', { waitTimeout: 100 });
      const winner = process();
      const forever = deferred<string>();
      const taken = nextEvent(winner, 'takeover');
      const won = winner.run('k', () => forever.promise);
      await taken;
      gate.resolve('mine');
      expect(await errorOf(answer)).toMatchObject({ code: 'LEASE_LOST', result: 'mine' });
      forever.resolve('done');
      await won;
    });

    test('that fails on its own is unknown: LEASE_LOST, with the error as its cause', async () => {
      const { answer, gate } = await zombie('fails');
      gate.resolve('socket closed');
      expect(await errorOf(answer)).toMatchObject({
        code: 'LEASE_LOST',
        cause: { message: 'socket closed' },
      });
    });

    test('leaves the join table at once: a joiner takes over', async () => {
      const { owner, answer, gate } = await zombie('completes');
      owner.faulty.heal();
      await expect(owner.run('k', (a) => `attempt ${a.attempt}`)).resolves.toBe('attempt 2');
      expect(await answer).toBe('attempt 2');
      gate.resolve('late');
    });
  });

  test('G3: a stale writer changes nothing, and its caller follows the record', async () => {
    const { store, process } = world();
    const owner = process({ lease: 30, maxHold: 1 });
    const gate = deferred<string>();
    const lost = nextEvent(owner, 'lease-lost');
    const answer = owner.run('k', () => gate.promise);
    await lost;
    await expect(process().run('k', () => 'second')).resolves.toBe('second');
    const before = await store.read(placeOf('k'));
    const superseded = nextEvent(owner, 'superseded');
    gate.resolve('first');
    await superseded;
    expect(await answer).toBe('second');
    expect((await store.read(placeOf('k')))?.token).toBe(before?.token);
  });
});

describe('G2: a lost answer is recognised when the command is sent again', () => {
  const dropOnce = () => {
    let dropped = false;
    return (moment: 'sent' | 'answered') => {
      if (moment === 'sent' || dropped) return;
      dropped = true;
      throw new Error('ECONNRESET');
    };
  };

  test('of the claim: the work runs once, under the first fence', async () => {
    const { process } = world();
    const one = process();
    one.faulty.faults.claim = transient(dropOnce());
    await expect(one.run('k', (a) => a.attempt)).resolves.toBe(1);
    expect(one.faulty.calls.claim).toBe(2);
  });

  test('of settling: the result is recorded once', async () => {
    const { process } = world();
    const one = process();
    one.faulty.faults.settle = transient(dropOnce());
    let runs = 0;
    await expect(one.run('k', () => ++runs)).resolves.toBe(1);
    await expect(process().run('k', () => ++runs)).resolves.toBe(1);
    expect(one.stats()).toMatchObject({ unrecorded: 0, superseded: 0 });
  });

  function transient(fault: (moment: 'sent' | 'answered') => void) {
    return (moment: 'sent' | 'answered') => {
      try {
        fault(moment);
      } catch (cause) {
        throw storeDown(cause);
      }
    };
  }
});

test('G5: fences grow with every attempt and reach the work', async () => {
  const { store, process } = world();
  const one = process();
  const fences: number[] = [];
  for (let i = 0; i < 5; i++) {
    await errorOf(one.run('k', (a) => (fences.push(a.fence!), Promise.reject(new Error('no')))));
  }
  await one.run('k', (a) => fences.push(a.fence!));
  await one.forget('k');
  await one.run('k', (a) => fences.push(a.fence!));
  await crashedOwner(store, 'other');
  expect(fences).toEqual([...fences].sort((a, b) => a - b));
  expect(new Set(fences).size).toBe(fences.length);
});
