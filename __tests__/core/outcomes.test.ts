import { describe, expect, test } from '@jest/globals';
import type { EventDetail } from '../../src/core/events.js';
import type { Idempotency } from '../../src/idempotency/idempotency.js';
import { deferred } from '../support/deferred.js';
import { crashedOwner, placeOf, world } from '../support/instances.js';

/** Hears how calls end. */
function endsOf(idempotency: Idempotency): Partial<EventDetail>[] {
  const ends: Partial<EventDetail>[] = [];
  idempotency.on('end', ({ outcome, code, durationMs, name, key }) => {
    expect(durationMs).toBeGreaterThanOrEqual(0);
    ends.push({ name, key, outcome, ...(code && { code }) } as Partial<EventDetail>);
  });
  return ends;
}

const end = (outcome: string, code?: string) => ({
  name: 'charge',
  key: 'k',
  outcome,
  ...(code && { code }),
});

describe('every end of a call has one name, which its event and the counts share', () => {
  test('ran, replayed', async () => {
    const one = world().process();
    const ends = endsOf(one);
    await one.run('k', () => 1);
    await one.run('k', () => 2);
    expect(ends).toEqual([end('ran'), end('replayed')]);
    expect(one.stats()).toMatchObject({
      ends: 2,
      outcomes: { ran: 1, replayed: 1, joined: 0 },
      refusals: {},
    });
    expect(one.stats('another').outcomes.ran).toBe(0);
  });

  test('ran, also where the work failed', async () => {
    const one = world().process();
    const ends = endsOf(one);
    await expect(one.run('k', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(ends).toEqual([end('ran')]);
  });

  test('joined: a caller of the same process; waited: one of another', async () => {
    const { process } = world();
    const [one, two] = [process(), process()];
    const [here, there] = [endsOf(one), endsOf(two)];
    const work = deferred<number>();
    const first = one.run('k', () => work.promise);
    const joiner = one.run('k', () => 2);
    const isWaiting = new Promise((resolve) => two.on('wait', resolve));
    const waiter = two.run('k', () => 3);
    await isWaiting;
    work.resolve(1);
    expect(await Promise.all([first, joiner, waiter])).toEqual([1, 1, 1]);
    expect(here.map(({ outcome }) => outcome).sort()).toEqual(['joined', 'ran']);
    expect(there).toEqual([end('waited')]);
  });

  test('took-over: in the place of an attempt that was abandoned', async () => {
    const { store, process } = world();
    await crashedOwner(store, 'k');
    const one = process();
    const ends = endsOf(one);
    await one.run('k', () => 1);
    expect(ends).toEqual([end('took-over')]);
  });

  test('refused, with its code: KEY_REUSED, CONCURRENT_REQUEST, IDEMPOTENCY_TIMEOUT, IN_DOUBT, INVALID_KEY', async () => {
    const { store, process } = world();
    const one = process();
    const ends = endsOf(one);
    const refused = async (code: string, call: () => Promise<unknown>) => {
      await expect(call()).rejects.toMatchObject({ code });
      expect(ends.at(-1)).toMatchObject({ outcome: 'refused', code });
    };
    await one.run('paid', () => 1, { payload: 1 });
    await refused('KEY_REUSED', () => one.run('paid', () => 1, { payload: 2 }));
    await one.run('outer', () => refused('INVALID_KEY', () => one.run('outer', () => 2)));
    const work = deferred<number>();
    const running = process().run('k', () => work.promise);
    await refused('CONCURRENT_REQUEST', () => one.run('k', () => 2, { concurrent: 'reject' }));
    await refused('IDEMPOTENCY_TIMEOUT', () => one.run('k', () => 2, { waitTimeout: 5 }));
    work.resolve(1);
    await running;
    await crashedOwner(store, 'lost', { onAbandoned: 'block' });
    await refused('IN_DOUBT', () => one.run('lost', () => 2));
    const once = {
      KEY_REUSED: 1,
      INVALID_KEY: 1,
      CONCURRENT_REQUEST: 1,
      IDEMPOTENCY_TIMEOUT: 1,
      IN_DOUBT: 1,
    };
    expect(one.stats().refusals).toEqual(once);
    expect(one.stats().outcomes).toMatchObject({ refused: 5 });
  });

  test('lost: its own attempt ran, and another outcome counts', async () => {
    const { store, process } = world();
    const one = process();
    const ends = endsOf(one);
    const value = await one.run('k', async () => {
      await store.override(placeOf('k'), { kind: 'forget', force: true });
      await process().run('k', () => 'of the other');
      return 'its own';
    });
    expect(value).toBe('of the other');
    expect(ends).toEqual([end('lost')]);
  });

  test('left: its signal was aborted, and what comes of the work later is no second end', async () => {
    const { process } = world();
    const one = process();
    const ends = endsOf(one);
    const work = deferred<number>();
    const controller = new AbortController();
    const call = one.run('k', () => work.promise, { signal: controller.signal });
    const isRunning = new Promise((resolve) => one.on('miss', resolve));
    await isRunning;
    controller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    work.resolve(1);
    await one.close();
    expect(ends).toEqual([end('left')]);
    expect(one.stats()).toMatchObject({ ends: 1 });
  });
});
