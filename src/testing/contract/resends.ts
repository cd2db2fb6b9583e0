import { newToken } from '../../core/token.js';
import { MARK_MS, TOMBSTONE_MS } from '../../core/store.js';
import { lasting, type Bench, type ContractTest } from '../bench.js';
import { equal, greater, matches } from '../expect.js';

/** A tolerance, because times are rounded to milliseconds in several places. */
const ROUNDING_MS = 5;

export function describeResends(test: ContractTest): void {
  test('G2: a resent claim is granted again, with the same fence and a new lease end', async (bench) => {
    const first = await bench.claim();
    const again = await bench.claim({ token: first.token, leaseMs: first.leaseMs + 1_000 });
    const { token, fence, createdAtMs } = first;
    matches(again, { token, fence, attempt: 1, createdAtMs }, 'the grant');
    greater(again.leaseEndsAtMs, first.leaseEndsAtMs, 'the end of the lease');
  });

  test('G2: an own claim whose lease has ended is granted again, as long as nobody took it over', async (bench) => {
    const first = await bench.abandoned();
    const again = await bench.claim({ token: first.token });
    matches(again, { fence: first.fence, attempt: 1, createdAtMs: first.createdAtMs }, 'the grant');
    greater((await bench.read())?.leaseRemainingMs, 0, 'what is left of the lease');
    equal(await bench.settle(again), true, 'the settling');
  });

  test('G2: a resent takeover is granted again, with its attempt and predecessor', async (bench) => {
    const first = await bench.abandoned();
    const second = await bench.claim({ replacing: first.token });
    const again = await bench.claim({ token: second.token, replacing: first.token });
    equal({ ...again, leaseEndsAtMs: 0 }, { ...second, leaseEndsAtMs: 0 }, 'the grant');
  });

  test('G2: a resent settling is recognised, also after the record moved on', async (bench) => {
    const first = await bench.failed();
    equal(await bench.settleFailed(first), true, 'settled again');
    const second = await bench.claim({ replacing: first.token });
    equal(await bench.settleFailed(first), true, 'settled again, under the next attempt');
    matches(await bench.refused(), { status: 'IN_PROGRESS', token: second.token });
    await bench.settle(second, { payload: 'second' });
    equal(await bench.settleFailed(first), true, 'settled again, after the next attempt');
    equal((await bench.refused()).payload, 'second', 'the payload');
  });

  test('G2: a claim that arrives after its attempt settled is not granted', async (bench) => {
    const lease = await bench.failed();
    equal((await bench.refused({ token: lease.token, replacing: lease.token })).status, 'FAILED');
    const second = await bench.claim({ replacing: lease.token });
    equal((await bench.refused({ token: lease.token })).token, second.token);
  });

  test('G2: a claim that arrives after its attempt was overtaken is not granted', async (bench) => {
    const first = await bench.abandoned();
    const second = await bench.abandoned({ replacing: first.token });
    equal((await bench.refused({ token: first.token, replacing: second.token })).token, second.token);
  });

  test('G2: a claim that arrives after its record was forgotten is not granted', async (bench) => {
    const lease = await bench.claim();
    await bench.forget(true);
    await bench.refused({ token: lease.token });
    equal(await bench.read(), undefined, 'the record');
    await bench.claim();
  });

  test('G2: a second release does nothing', async (bench) => {
    const lease = await bench.claim();
    equal(await bench.release(lease.token), true, 'the first release');
    equal(await bench.release(lease.token), false, 'the second release');
  });
}

export function describeReleases(test: ContractTest): void {
  test('G2: a claim that was withdrawn before it arrived is not granted', async (bench) => {
    const token = newToken();
    equal(await bench.release(token), false, 'a release of nothing');
    await bench.refused({ token });
    equal(await bench.read(), undefined, 'the record');
    const other = await bench.claim();
    equal((await bench.refused({ token })).token, other.token);
  });

  test('G2: a released token is not granted again', async (bench) => {
    const lease = await bench.claim();
    await bench.release(lease.token);
    await bench.refused({ token: lease.token });
    equal(await bench.settle(lease), false, 'a settling');
    equal(await bench.renew(lease), false, 'a renewal');
    equal(await bench.step(lease, 'late'), false, 'a step');
    equal(await bench.read(), undefined, 'the record');
  });

  const spent = {
    'withdrawn early': [MARK_MS, (bench, token) => bench.release(token)],
    released: [MARK_MS, async (bench, token) => bench.release((await bench.claim({ token })).token)],
    forgotten: [TOMBSTONE_MS, (bench, token) => bench.claim({ token }).then(() => bench.forget(true))],
  } satisfies Record<string, [keptMs: number, spend: (bench: Bench, token: string) => Promise<unknown>]>;
  for (const [how, [keptMs, spend]] of Object.entries(spent)) {
    test(`G2: a claim whose token was ${how} is told of a failure without a value, and until when`, async (bench) => {
      const token = newToken();
      const { createdAtMs } = await bench.elsewhere().claim();
      await spend(bench, token);
      const record = await bench.refused({ token });
      matches(record, { status: 'FAILED', final: false, leaseRemainingMs: 0, payload: undefined });
      greater(record.expiresAtMs, createdAtMs + keptMs - ROUNDING_MS, 'until when the token is remembered');
      equal(await bench.read(), undefined, 'what is read');
      matches(await bench.claim(), { attempt: 1, steps: [] }, 'the grant of another token');
    });
  }

  for (const state of ['failed', 'abandoned'] as const) {
    test(`G2: a takeover that was withdrawn before it arrived is not granted over a record that is ${state}`, async (bench) => {
      const first = await bench[state]();
      const token = newToken();
      equal(await bench.release(token), false, 'a release of nothing');
      equal((await bench.refused({ token, replacing: first.token })).token, first.token);
      await bench.claim({ replacing: first.token });
    });

    test(`G3: a takeover that was withdrawn writes nothing more over a record that is ${state}`, async (bench) => {
      const first = await bench[state]();
      const before = await bench.read();
      const second = await bench.claim({ replacing: first.token });
      equal(await bench.release(second.token), true, 'the release');
      equal(await bench.renew(second), false, 'a renewal');
      equal(await bench.settle(second), false, 'a settling');
      equal(await bench.step(second, 'late'), false, 'a step');
      equal(lasting(await bench.read()), lasting(before), 'the record');
    });
  }

  for (const ending of ['failed', 'unknown'] as const) {
    test(`G2: a takeover that was withdrawn before it arrived stays refused after its record ended ${ending}`, async (bench) => {
      const first = await bench.abandoned();
      const token = newToken();
      await bench.release(token);
      await (ending === 'failed' ? bench.settleFailed(first) : bench.settleUnknown(first));
      equal((await bench.refused({ token, replacing: first.token })).token, first.token);
    });
  }

  test('a release of what is gone keeps the count of definite failures, that derived keys are renewed by', async (bench) => {
    const first = await bench.failed();
    const second = await bench.abandoned({ replacing: first.token });
    const third = await bench.claim({ replacing: second.token });
    await bench.release(third.token);
    await bench.release(second.token);
    equal(await bench.read(), undefined, 'the record');
    equal((await bench.claim()).failures, 1, 'the failures');
  });

  test('G3: a takeover that was withdrawn did not settle, although the attempt before it did', async (bench) => {
    const first = await bench.failed();
    const second = await bench.failed({ replacing: first.token });
    const third = await bench.claim({ replacing: second.token });
    await bench.release(third.token);
    equal(await bench.settle(third), false, 'a settling');
    matches(await bench.read(), { status: 'FAILED', token: second.token });
  });

  test('a release of a first claim leaves absence, and the next claim wins', async (bench) => {
    await bench.release((await bench.claim()).token);
    equal(await bench.read(), undefined, 'the record');
    matches(await bench.claim(), { attempt: 1, failures: 0 }, 'the grant');
  });

  test('a release restores a failed record with its value, attempts and expiry', async (bench) => {
    const first = await bench.failed();
    const before = await bench.read();
    const second = await bench.claim({ replacing: first.token, unsettledRetentionMs: 500_000 });
    equal(await bench.release(second.token), true, 'the release');
    const after = await bench.read();
    equal(lasting(after), lasting(before), 'the record');
    matches(after, { restored: true, fence: second.fence });
    const movedMs = Math.abs((after?.expiresAtMs ?? 0) - (before?.expiresAtMs ?? 0));
    greater(100, movedMs, 'how far the expiry was moved');
    await bench.refused({ token: second.token, replacing: first.token });
    matches(await bench.claim({ replacing: first.token }), { attempt: 2, failures: 1 }, 'the grant');
  });

  test('G5: after a release the next attempt has a higher fence than the one that was undone', async (bench) => {
    const first = await bench.failed();
    const second = await bench.claim({ replacing: first.token });
    await bench.release(second.token);
    matches(await bench.read(), { token: first.token, fence: second.fence });
    greater((await bench.claim({ replacing: first.token })).fence, second.fence, 'the fence');
  });

  test('G3: the owner of a restored record settles it under the fence that it has now', async (bench) => {
    const first = await bench.abandoned();
    const second = await bench.claim({ replacing: first.token });
    await bench.release(second.token);
    equal(await bench.settle(first), true, 'the late settling of its owner');
    matches(await bench.read(), { status: 'COMPLETED', token: first.token, fence: second.fence });
  });

  test('a release restores an abandoned record, which is abandoned still', async (bench) => {
    const first = await bench.abandoned();
    const before = await bench.read();
    const second = await bench.claim({ replacing: first.token });
    equal(await bench.release(second.token), true, 'the release');
    const after = await bench.read();
    equal(lasting(after), lasting(before), 'the record');
    greater(1, after?.leaseRemainingMs ?? 1, 'what is left of the lease');
    equal(await bench.settle(first), true, 'the late settling of its owner');
  });

  test('a release restores a failed record from below an abandoned takeover of it', async (bench) => {
    const first = await bench.failed();
    const second = await bench.abandoned({ replacing: first.token });
    const third = await bench.claim({ replacing: second.token });
    await bench.release(third.token);
    matches(await bench.read(), { status: 'IN_PROGRESS', token: second.token, attempt: 2 });
  });

  test('a release by somebody else changes nothing', async (bench) => {
    const lease = await bench.claim();
    equal(await bench.release(newToken()), false, 'a release by somebody else');
    matches(await bench.read(), { status: 'IN_PROGRESS', token: lease.token });
    await bench.settle(lease);
    equal(await bench.release(lease.token), false, 'a release after settling');
    matches(await bench.read(), { status: 'COMPLETED' });
  });
}
