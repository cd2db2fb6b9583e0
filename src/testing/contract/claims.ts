import { newToken } from '../../core/token.js';
import type { ContractTest } from '../bench.js';
import { equal, greater, matches } from '../expect.js';

export function describeClaims(test: ContractTest): void {
  test('G1: of fifty claims at once one wins, and the others see its record', async (bench) => {
    const { store, key } = bench;
    const answers = await Promise.all(Array.from({ length: 50 }, () => store.claim(key, bench.request())));
    const won = answers.flatMap((answer) => (answer.kind === 'acquired' ? [answer.grant.token] : []));
    const seen = answers.flatMap((answer) => (answer.kind === 'existing' ? [answer.record.token] : []));
    equal(won.length, 1, 'the number of winners');
    equal([...new Set(seen)], won, 'whose record the others see');
  });

  test('G1: of many takeovers of one abandoned record one wins', async (bench) => {
    const { token } = await bench.abandoned();
    const takeovers = Array.from({ length: 20 }, () =>
      bench.store.claim(bench.key, bench.request({ replacing: token })),
    );
    const won = (await Promise.all(takeovers)).filter((answer) => answer.kind === 'acquired');
    equal(won.length, 1, 'the number of winners');
  });

  test('G1: a grant and the running record say the same', async (bench) => {
    const notes = { traceparent: '00-trace-span-01', holder: 'host:1', facts: 'é "1"\n' };
    const lease = await bench.claim({ fingerprint: 'fingerprint-0123456789', onAbandoned: 'block', notes });
    const { leaseEndsAtMs, createdAtMs, startedAtMs, token, fence } = lease;
    equal(startedAtMs, createdAtMs, 'when the first attempt was claimed');
    const first = { attempt: 1, failures: 0, previousToken: undefined, previousEnd: undefined, steps: [] };
    matches(lease, first, 'the grant');
    equal(leaseEndsAtMs - createdAtMs, bench.terms.leaseMs, 'the length of the lease');
    const record = await bench.refused();
    const offMs = Math.abs(record.expiresAtMs - leaseEndsAtMs - bench.terms.unsettledMs);
    greater(100, offMs, 'how far its end is from that of the lease and its retention');
    matches(record, {
      ...{ status: 'IN_PROGRESS', final: false, token, fence, attempt: 1, failures: 0 },
      ...{
        fingerprint: 'fingerprint-0123456789',
        onAbandoned: 'block',
        payload: undefined,
        settledAtMs: undefined,
      },
      ...{ createdAtMs, startedAtMs, hitCount: 0, notes, restored: false, format: 'twiceshy' },
    });
  });

  test('G4: a record is taken over when its lease has ended, not before', async (bench) => {
    const first = await bench.claim({ leaseMs: bench.terms.shortLeaseMs * 3 });
    const request = bench.request({ replacing: first.token });
    let answer = await bench.store.claim(bench.key, request);
    await bench.until('the takeover', async () => {
      if (answer.kind === 'existing') answer = await bench.store.claim(bench.key, request);
      return answer.kind === 'acquired';
    });
    if (answer.kind !== 'acquired') throw new Error('not acquired');
    const second = answer.grant;
    matches(second, { attempt: 2, previousToken: first.token, previousEnd: 'abandoned' }, 'the grant');
    equal(second.createdAtMs, first.createdAtMs, 'when the key was first claimed');
    // The time of the takeover by the store's own clock, so that a slow machine makes no difference.
    greater(second.leaseEndsAtMs - request.leaseMs, first.leaseEndsAtMs - 1, 'the moment of the takeover');
  });

  test('G4: a live lease is not taken over, nor is it by who names it', async (bench) => {
    const first = await bench.claim();
    greater(
      (await bench.refused({ replacing: first.token })).leaseRemainingMs,
      0,
      'what is left of the lease',
    );
    greater((await bench.refused()).leaseRemainingMs, 0, 'what is left of the lease');
  });

  test('G4: a renewal moves the end of the lease on', async (bench) => {
    const lease = await bench.claim();
    const longer = { ...lease, leaseMs: lease.leaseMs * 10 };
    greater(await bench.renew(longer), lease.leaseEndsAtMs + lease.leaseMs * 8, 'the new end of the lease');
    greater((await bench.refused()).leaseRemainingMs, lease.leaseMs * 8, 'what is left of the lease');
  });

  test('G4: a renewal by a shorter time shortens the lease', async (bench) => {
    const lease = await bench.claim();
    greater(await bench.renew({ ...lease, leaseMs: 1 }), lease.createdAtMs, 'the new end of the lease');
    await bench.untilAbandoned();
  });

  test('G1: `replacing` matches the token it names, and no other', async (bench) => {
    const first = await bench.abandoned();
    equal((await bench.refused({ replacing: newToken() })).token, first.token);
    equal((await bench.refused()).token, first.token);
    const second = await bench.claim({ replacing: first.token });
    equal((await bench.refused({ replacing: first.token })).token, second.token);
  });

  test('G1: a retryable failure is replaced, with its attempts and failures counted on', async (bench) => {
    const first = await bench.failed();
    matches(await bench.refused(), { status: 'FAILED', final: false, payload: 'why', failures: 1 });
    const second = await bench.claim({ replacing: first.token });
    const links = { previousToken: first.token, previousEnd: 'settled' };
    matches(second, { attempt: 2, failures: 1, ...links }, 'the grant');
  });

  test('G1: a final record is never replaced', async (bench) => {
    const lease = await bench.claim();
    await bench.settle(lease, { status: 'FAILED', final: true });
    matches(await bench.refused({ replacing: lease.token }), { status: 'FAILED', final: true });
  });

  test('G5: fences grow over takeover, failure, release, forgetting and expiry', async (bench) => {
    const first = await bench.abandoned();
    const second = await bench.claim({ replacing: first.token });
    await bench.release(second.token);
    const third = await bench.claim({ replacing: first.token });
    await bench.settleFailed(third);
    const fourth = await bench.claim({ replacing: third.token });
    await bench.settle(fourth);
    await bench.forget();
    const fifth = await bench.claim();
    await bench.settle(fifth, { retentionMs: 30 });
    await bench.untilGone();
    const sixth = await bench.claim();
    await bench.release(sixth.token);
    const seventh = await bench.claim();
    await bench.forget(true);
    const eighth = await bench.claim();
    const fences = [first, second, third, fourth, fifth, sixth, seventh, eighth].map(({ fence }) => fence);
    fences.reduce((before, fence) => (greater(fence, before, `a fence of ${fences.join(', ')}`), fence));
  });

  test('G5: a fence is a whole number that JavaScript holds exactly', async (bench) => {
    equal(Number.isSafeInteger((await bench.claim()).fence), true);
  });
}
