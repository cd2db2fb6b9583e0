import { newToken } from '../../core/token.js';
import type { Lease } from '../../core/record.js';
import type { Bench, ContractTest } from '../bench.js';
import { equal, greater, matches } from '../expect.js';

/** A tolerance, because times are rounded to milliseconds in several places. */
const ROUNDING_MS = 5;
const SHORT_MS = 100;
/** The lease of an attempt that runs for longer than the short retention. */
const LONG_MS = 300;

export function describeRecords(test: ContractTest): void {
  test('an unknown outcome is abandoned at once, and its own attempt may still settle it', async (bench) => {
    const lease = await bench.claim();
    equal(await bench.settleUnknown(lease), true, 'the settling');
    const record = await bench.refused();
    matches(record, {
      status: 'IN_PROGRESS',
      token: lease.token,
      payload: undefined,
      settledAtMs: undefined,
    });
    greater(1, record.leaseRemainingMs, 'what is left of the lease');
    equal(await bench.settle(lease, { payload: 'found out' }), true, 'the settling');
    equal((await bench.refused()).payload, 'found out', 'the payload');
  });

  test('an unknown outcome has no value', async (bench) => {
    const lease = await bench.claim();
    await bench.settle(lease, { status: 'IN_PROGRESS', final: false, payload: 'half a value' });
    matches(await bench.read(), { status: 'IN_PROGRESS', payload: undefined });
  });

  test('an unknown outcome is kept for the unsettled retention', async (bench) => {
    const lease = await bench.claim();
    const unknown = { status: 'IN_PROGRESS', final: false, payload: undefined } as const;
    await bench.settle(lease, { ...unknown, retentionMs: 1 });
    const record = await bench.read();
    greater(
      (record?.expiresAtMs ?? 0) - lease.createdAtMs,
      bench.terms.unsettledMs - ROUNDING_MS,
      'how long it is kept',
    );
  });

  test('G4: a settled record is gone after its retention, not before', async (bench) => {
    const lease = await bench.claim();
    await bench.settle(lease, { retentionMs: SHORT_MS });
    await bench.untilGone();
    const next = await bench.claim();
    equal(next.attempt, 1, 'the attempt');
    // By the store's own clock, because the test itself may be slow.
    greater(next.createdAtMs, lease.createdAtMs + SHORT_MS - ROUNDING_MS, 'the moment it was gone');
  });

  test('G4: retention is counted from the settling, and not from the claim', async (bench) => {
    const retentionMs = 60_000;
    const byHand = { kind: 'resolve', status: 'COMPLETED', final: true, payload: undefined } as const;
    const ends: Record<string, (place: Bench, lease: Lease) => Promise<unknown>> = {
      'a success': (place, lease) => place.settle(lease, { retentionMs }),
      'a failure': (place, lease) => place.settle(lease, { status: 'FAILED', final: false, retentionMs }),
      'an outcome by hand': (place) => place.override({ ...byHand, token: newToken(), retentionMs }),
    };
    for (const [what, end] of Object.entries(ends)) {
      const place = bench.elsewhere();
      // The lease has ended by then, so the attempt took at least as long.
      const lease = await place.abandoned({ leaseMs: LONG_MS });
      await end(place, lease);
      const { expiresAtMs = 0 } = (await place.read()) ?? {};
      greater(expiresAtMs, lease.leaseEndsAtMs + retentionMs - ROUNDING_MS, `the end of ${what}`);
    }
  });

  test('G4: an attempt that ran for longer than its retention is kept for it all the same', async (bench) => {
    const lease = await bench.abandoned({ leaseMs: LONG_MS });
    await bench.settle(lease, { retentionMs: SHORT_MS });
    await bench.untilGone();
    const next = await bench.claim();
    greater(next.createdAtMs, lease.leaseEndsAtMs + SHORT_MS - ROUNDING_MS, 'the moment it was gone');
  });

  test('G4: an unsettled record stays for its retention after the last renewal', async (bench) => {
    const lease = await bench.claim();
    await bench.renew({ ...lease, leaseMs: lease.leaseMs * 10 });
    const leastMs = lease.createdAtMs + lease.leaseMs * 10 + bench.terms.unsettledMs;
    greater((await bench.read())?.expiresAtMs, leastMs - ROUNDING_MS, 'its end');
  });

  test('G4: an unsettled record is gone after its lease and its retention, not before', async (bench) => {
    const lease = await bench.claim({ leaseMs: 20, unsettledRetentionMs: SHORT_MS });
    await bench.untilGone();
    const next = await bench.claim();
    greater(next.createdAtMs, lease.leaseEndsAtMs + SHORT_MS - ROUNDING_MS, 'the moment it was gone');
  });

  test('a settled record says when, until when, and in which attempt', async (bench) => {
    const lease = await bench.claim({ fingerprint: 'fingerprint-0123456789' });
    await bench.settle(lease, { retentionMs: 60_000 });
    const record = await bench.read();
    const { token, fence, createdAtMs } = lease;
    matches(record, {
      ...{
        status: 'COMPLETED',
        final: true,
        token,
        fence,
        attempt: 1,
        failures: 0,
        createdAtMs,
        restored: false,
      },
      ...{ fingerprint: 'fingerprint-0123456789', leaseRemainingMs: 0, format: 'twiceshy' },
    });
    const settledAtMs = record?.settledAtMs ?? 0;
    greater(settledAtMs, createdAtMs - 1, 'when it was settled');
    const offMs = Math.abs((record?.expiresAtMs ?? 0) - settledAtMs - 60_000);
    greater(100, offMs, 'how far its expiry is from its retention');
  });

  test('notes: what was asked and the trace stay with the outcome, who holds it goes', async (bench) => {
    const kept = { traceparent: '00-trace-span-01', facts: '漢 "1"' };
    const lease = await bench.claim({ notes: { ...kept, holder: 'host:1' } });
    matches(await bench.read(), { notes: { ...kept, holder: 'host:1' } });
    await bench.settle(lease);
    matches(await bench.read(), { notes: kept });
    const held = bench.elsewhere();
    await held.settle(await held.claim({ notes: { holder: 'host:1' } }));
    matches(await held.read(), { notes: undefined });
    const lost = bench.elsewhere();
    await lost.renew(lease);
    matches(await lost.read(), { notes: { ...kept, holder: 'host:1' }, startedAtMs: lease.startedAtMs });
  });

  test('a takeover says when its own attempt began, and when the first one did', async (bench) => {
    const first = await bench.abandoned();
    const second = await bench.claim({ replacing: first.token });
    matches(second, { createdAtMs: first.createdAtMs }, 'the grant');
    greater(second.startedAtMs, first.startedAtMs, 'when the second attempt began');
    await bench.settleFailed(second);
    matches(await bench.read(), { createdAtMs: first.createdAtMs, startedAtMs: second.startedAtMs });
  });

  test('a key that was forgotten begins anew: with the moment of its next claim, and as the first attempt', async (bench) => {
    const first = await bench.abandoned();
    await bench.forget();
    const next = await bench.claim();
    greater(next.createdAtMs, first.leaseEndsAtMs - ROUNDING_MS, 'when the key was first claimed');
    matches(next, { attempt: 1, startedAtMs: next.createdAtMs }, 'the grant');
  });

  test(
    'a claim counts a hit on a settled record, a read does not',
    async (bench) => {
      const lease = await bench.claim();
      await bench.refused();
      await bench.settle(lease);
      equal((await bench.read())?.hitCount, 0, 'the hits before');
      equal((await bench.refused()).hitCount, 1, 'the hits after a claim');
      equal((await bench.refused()).hitCount, 2, 'the hits after another');
      equal((await bench.read())?.hitCount, 2, 'the hits after a read');
    },
    'hit counts',
  );
}
