import { describe, expect, test } from '@jest/globals';
import { currentAttempt } from '../../src/idempotency/current-attempt.js';
import { deferred, errorOf } from '../support/deferred.js';
import { storeDown } from '../support/faulty-store.js';
import { crashedOwner, nextEvent, placeOf, world } from '../support/instances.js';

/** Providers that count what they were asked. */
function providers() {
  const effects: string[] = [];
  const effect =
    <T>(name: string, value: T) =>
    () => {
      effects.push(name);
      return value;
    };
  return { effects, effect };
}
const boom = () => {
  throw new Error('boom');
};

describe('recovery points: step(name, fn)', () => {
  test('a later attempt gets the recorded result back instead of running the step', async () => {
    const { process } = world();
    const { effects, effect } = providers();
    const order = async (fail: boolean) => {
      const attempt = currentAttempt()!;
      const charge = await attempt.step('charge', effect('charge', { id: 'ch_1', at: new Date(0) }));
      const reserve = await attempt.step('reserve', effect('reserve', undefined));
      if (fail) boom();
      return { charge, reserve };
    };
    await errorOf(process().run('k', () => order(true)));
    const result = await process().run('k', () => order(false));
    expect(result).toEqual({ charge: { id: 'ch_1', at: new Date(0) }, reserve: undefined });
    expect(effects).toEqual(['charge', 'reserve']);
  });

  test('also after a crash in another process, and through several attempts', async () => {
    const { process } = world();
    const { effects, effect } = providers();
    for (const name of ['one', 'two']) {
      const crashed = process({ lease: 60, storeTimeout: 50 });
      const done = deferred();
      const dead = new AbortController();
      const run = crashed.run(
        'k',
        async ({ step }) => {
          await step('one', effect('one', 1));
          if (name === 'two') await step('two', effect('two', 2));
          crashed.faulty.cut();
          done.resolve();
          await new Promise(() => undefined);
        },
        { signal: dead.signal },
      );
      await done.promise;
      dead.abort();
      await errorOf(run);
    }
    const answer = await process().run('k', async ({ step, attempt }) => [
      await step('one', effect('again', 0)),
      await step('two', effect('again', 0)),
      attempt,
    ]);
    expect(answer).toEqual([1, 2, 3]);
    expect(effects).toEqual(['one', 'two']);
  });

  test('a step that throws records nothing, and may be tried again in the same attempt', async () => {
    const { process } = world();
    const { effects, effect } = providers();
    const answer = await process().run('k', async ({ step }) => {
      await errorOf(step('charge', boom));
      return step('charge', effect('charge', 'paid'));
    });
    expect([answer, effects]).toEqual(['paid', ['charge']]);
  });

  test('two steps of one name in one attempt are an error, also while the first one runs', async () => {
    const { process } = world();
    await process().run('k', async ({ step }) => {
      const gate = deferred();
      const first = step('a', () => gate.promise);
      expect(await errorOf(step('a', () => 1))).toMatchObject({ code: 'INVALID_OPTIONS' });
      gate.resolve();
      await first;
      expect(await errorOf(step('a', () => 1))).toMatchObject({ code: 'INVALID_OPTIONS' });
      for (const name of ['', 'x'.repeat(257), 7 as never])
        expect(await errorOf(step(name, () => 1))).toMatchObject({ code: 'INVALID_OPTIONS' });
    });
  });

  test('parallel steps are all recorded', async () => {
    const { process } = world();
    const names = ['a', 'b', 'c', 'd'];
    await errorOf(
      process().run('k', async ({ step }) => {
        await Promise.all(names.map((name) => step(name, async () => name.toUpperCase())));
        boom();
      }),
    );
    const again = await process().run('k', ({ step }) => Promise.all(names.map((name) => step(name, boom))));
    expect(again).toEqual(['A', 'B', 'C', 'D']);
  });

  test.each([
    ['can not be encoded', () => new (class Socket {})(), 'step "s": value'],
    ['is too large', () => 'x'.repeat(2_000), 'step "s": value'],
  ])('G7: a result that %s is recorded as done without value', async (_, make, path) => {
    const { process } = world();
    const one = process({ maxResultBytes: 1_000 });
    const told = nextEvent(one, 'no-value');
    let live: unknown;
    await errorOf(
      one.run('k', async ({ step }) => {
        live = await step<unknown>('s', make);
        boom();
      }),
    );
    expect(live).toEqual(make());
    expect((await told).path).toBe(path);
    expect(await errorOf(process().run('k', ({ step }) => step('s', boom)))).toMatchObject({
      code: 'RESULT_UNAVAILABLE',
    });
  });

  test('G3, G6: the step of an attempt that lost its lease is refused, and later ones do not run', async () => {
    const { process, store } = world();
    const zombie = process();
    const { effects, effect } = providers();
    const ran = errorOf(
      zombie.run(
        'k',
        async ({ step, signal }) => {
          await store.override(placeOf('k'), { kind: 'forget', force: true });
          const refused = await errorOf(step('charge', effect('charge', 1)));
          expect(refused).toMatchObject({ code: 'LEASE_LOST' });
          expect(signal.aborted).toBe(true);
          expect(await errorOf(step('email', effect('email', 1)))).toMatchObject({ code: 'LEASE_LOST' });
          throw refused;
        },
        { waitTimeout: 50 },
      ),
    );
    expect(await ran).toMatchObject({ code: 'LEASE_LOST' });
    expect(effects).toEqual(['charge']);
  });

  test('a step that is called after the work has ended does not run', async () => {
    const { process } = world();
    let late: (() => Promise<unknown>) | undefined;
    await process().run('k', (attempt) => {
      late = () => attempt.step('late', boom);
    });
    expect(await errorOf(late!())).toMatchObject({ code: 'LEASE_LOST' });
  });

  test('G7: a store that is down does not fail work whose step is done; it is recorded when the store is back', async () => {
    const { process } = world();
    const one = process({ storeTimeout: 30 });
    const told = nextEvent(one, 'store-error');
    await errorOf(
      one.run('k', async ({ step }) => {
        one.faulty.faults.step = () => {
          throw storeDown();
        };
        expect(await step('charge', () => 'paid')).toBe('paid');
        one.faulty.heal();
        boom();
      }),
    );
    expect((await told).error).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await process().run('k', ({ step }) => step('charge', boom))).toBe('paid');
  });

  test('G2: a step whose answer was lost is recorded once', async () => {
    const { process } = world();
    const one = process();
    let lost = 0;
    one.faulty.faults.step = (moment) => {
      if (moment === 'answered' && lost++ === 0) throw storeDown();
    };
    const { effects, effect } = providers();
    expect(await one.run('k', ({ step }) => step('charge', effect('charge', 'paid')))).toBe('paid');
    expect([effects, one.faulty.calls.step]).toEqual([['charge'], 2]);
  });

  test('an attempt that did a step is never undone as if nothing had happened', async () => {
    const { process } = world();
    const one = process({ remember: () => 'release' });
    await errorOf(
      one.run('k', async ({ step }) => {
        await step('charge', () => 'paid');
        boom();
      }),
    );
    const answer = await process().run('k', async ({ step, attempt }) => [
      await step('charge', boom),
      attempt,
    ]);
    expect(answer).toEqual(['paid', 2]);
  });

  test('a takeover of a crashed attempt replays only what was recorded', async () => {
    const { process, store } = world();
    await crashedOwner(store, 'k');
    expect(await process().run('k', ({ step }) => step('charge', () => 'paid'))).toBe('paid');
  });
});
