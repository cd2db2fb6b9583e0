import { newToken } from '../../core/token.js';
import type { Bench, ContractTest } from '../bench.js';
import { equal, greater, matches } from '../expect.js';

const BY_HAND = {
  kind: 'resolve',
  status: 'COMPLETED',
  final: true,
  payload: 'by hand',
  retentionMs: 60_000,
} as const;

export function describeOverrides(test: ContractTest): void {
  test('forgetting nothing answers absent, also over a tombstone', async (bench) => {
    equal(await bench.forget(true), 'absent');
    equal(await bench.override({ ...BY_HAND, token: newToken() }), 'absent');
    await bench.release(newToken());
    equal(await bench.forget(true), 'absent');
    equal(await bench.override({ ...BY_HAND, token: newToken() }), 'absent');
  });

  test('forgetting a settled record lets the next claim win with a higher fence and no attempts', async (bench) => {
    const lease = await bench.claim();
    await bench.settle(lease);
    equal(await bench.forget(), 'done');
    equal(await bench.read(), undefined, 'the record');
    const next = await bench.claim();
    equal(next.attempt, 1, 'the attempt');
    greater(next.fence, lease.fence, 'the fence');
  });

  test('forgetting keeps the count of definite failures, that derived keys are renewed by', async (bench) => {
    await bench.failed();
    await bench.forget();
    equal((await bench.claim()).failures, 1, 'the failures');
  });

  test('forgetting refuses a live lease unless forced; resolving always does', async (bench) => {
    const lease = await bench.claim();
    equal(await bench.forget(), 'live');
    equal(await bench.override({ ...BY_HAND, token: newToken() }), 'live');
    matches(await bench.read(), { token: lease.token });
    equal(await bench.forget(true), 'done');
    equal(await bench.settle(lease), false, 'the settling of the attempt that was forgotten');
  });

  test('a release of a claim over a tombstone leaves a tombstone', async (bench) => {
    const first = await bench.claim();
    await bench.settle(first);
    await bench.forget();
    const second = await bench.claim();
    await bench.release(second.token);
    equal(await bench.read(), undefined, 'the record');
    greater((await bench.claim()).fence, second.fence, 'the fence');
  });

  test('an abandoned record is resolved by hand, and its late owner changes nothing', async (bench) => {
    const lost = await bench.abandoned({ fingerprint: 'fingerprint-0123456789' });
    const token = newToken();
    equal(await bench.override({ ...BY_HAND, token }), 'done');
    const record = await bench.refused();
    matches(record, { status: 'COMPLETED', final: true, token, attempt: 1, payload: 'by hand' });
    matches(record, { fingerprint: 'fingerprint-0123456789', createdAtMs: lost.createdAtMs });
    greater(record.fence, lost.fence, 'the fence');
    equal(await bench.settle(lost, { payload: 'late' }), false, 'a late settling');
    equal(await bench.renew(lost), false, 'a late renewal');
    equal(await bench.step(lost, 'late'), false, 'a late step');
    equal((await bench.refused()).payload, 'by hand', 'the payload');
  });

  test('a settled record is corrected by hand, and the resent settling before it is still recognised', async (bench) => {
    const lease = await bench.claim();
    await bench.settle(lease);
    const failed = { ...BY_HAND, status: 'FAILED', token: newToken(), payload: undefined } as const;
    equal(await bench.override(failed), 'done');
    matches(await bench.refused(), { status: 'FAILED', final: true, payload: undefined });
    equal(await bench.settle(lease), true, 'the resent settling');
    matches(await bench.refused(), { status: 'FAILED' });
  });
}

export function describeWakeUps(test: ContractTest): void {
  for (const act of ['settle', 'release', 'forget'] as const) {
    test(
      `a waiter is woken by a ${act}, until it leaves`,
      async (bench) => {
        const lease = await bench.claim();
        const woken = { first: 0, second: 0, elsewhere: 0, after: 0 };
        const leave = await subscribe(bench, () => woken.first++);
        const leaveElsewhere = await subscribe(bench.elsewhere(), () => woken.elsewhere++);
        const leaveSecond = await subscribe(bench, () => woken.second++);
        if (act === 'settle') await bench.settle(lease);
        else if (act === 'release') await bench.release(lease.token);
        else await bench.forget(true);
        await bench.until('both waiters to be woken', () => woken.first > 0 && woken.second > 0);
        leave();
        leaveSecond();
        const before = { ...woken };
        const leaveAfter = await subscribe(bench, () => woken.after++);
        if (act !== 'settle') await bench.claim();
        await bench.forget(true);
        await bench.until('the last waiter to be woken', () => woken.after > 0);
        leaveAfter();
        leaveElsewhere();
        equal(
          { ...woken, after: 0 },
          { ...before, elsewhere: 0, after: 0 },
          'the wake-ups of those who left',
        );
      },
      'wake-ups',
    );
  }
}

/** @throws Error if the store has no `subscribe()`, so that no test is skipped silently */
export async function subscribe({ store, key }: Bench, wake: () => void): Promise<() => void> {
  if (store.subscribe) return store.subscribe(key, wake);
  const advice = 'Where that is meant, pass { skip: { "wake-ups": "<why>" } }';
  throw new Error(`the store has no subscribe(): its waiters poll. ${advice}`);
}
