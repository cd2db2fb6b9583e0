import { expect, test } from '@jest/globals';
import { LEASE_MS, newRequest, newToken, type Bench } from './bench.js';

export function describeClaims(bench: () => Bench): void {
  test('G1: of fifty claims at once one wins, and the others see its record', async () => {
    const { store, key } = bench();
    const answers = await Promise.all(Array.from({ length: 50 }, () => store.claim(key, newRequest({}))));
    const won = answers.filter((answer) => answer.kind === 'acquired');
    expect(won).toHaveLength(1);
    const token = won[0]?.grant.token;
    for (const answer of answers) if (answer.kind === 'existing') expect(answer.record.token).toBe(token);
  });

  test('G1: of many takeovers of one abandoned record one wins', async () => {
    const { token } = await bench().abandoned();
    const { store, key } = bench();
    const takeovers = Array.from({ length: 20 }, () => store.claim(key, newRequest({ replacing: token })));
    expect((await Promise.all(takeovers)).filter((answer) => answer.kind === 'acquired')).toHaveLength(1);
  });

  test('G1: a grant and the running record say the same', async () => {
    const lease = await bench().claim({ fingerprint: 'fingerprint-0123', onAbandoned: 'block' });
    const { leaseEndsAtMs, createdAtMs } = lease;
    expect(lease).toMatchObject({
      attempt: 1,
      failures: 0,
      previousToken: undefined,
      previousEnd: undefined,
    });
    expect(leaseEndsAtMs - createdAtMs).toBe(LEASE_MS);
    expect(await bench().refused()).toMatchObject({
      ...{
        status: 'IN_PROGRESS',
        final: false,
        token: lease.token,
        fence: lease.fence,
        attempt: 1,
        failures: 0,
      },
      ...{
        fingerprint: 'fingerprint-0123',
        onAbandoned: 'block',
        payload: undefined,
        settledAtMs: undefined,
      },
      ...{ createdAtMs, hitCount: 0, format: 'twiceshy' },
    });
  });

  test('G4: a record is taken over when its lease has ended, not before', async () => {
    const first = await bench().claim({ leaseMs: 150 });
    expect((await bench().refused({ replacing: first.token })).leaseRemainingMs).toBeGreaterThan(0);
    await bench().untilAbandoned();
    const second = await bench().claim({ replacing: first.token });
    expect(second).toMatchObject({ attempt: 2, previousToken: first.token, previousEnd: 'abandoned' });
    expect(second.createdAtMs).toBe(first.createdAtMs);
  });

  test('G4: a renewal moves the end of the lease on', async () => {
    const lease = await bench().claim({ leaseMs: 100 });
    const endsAtMs = await bench().store.renew(bench().key, { ...lease, leaseMs: 2_000 });
    expect(endsAtMs).toBeGreaterThan(lease.leaseEndsAtMs + 1_000);
    expect((await bench().refused()).leaseRemainingMs).toBeGreaterThan(1_000);
  });

  test('G1: `replacing` matches the token it names, and no other', async () => {
    const first = await bench().abandoned();
    expect((await bench().refused({ replacing: newToken() })).token).toBe(first.token);
    expect((await bench().refused()).token).toBe(first.token);
    const second = await bench().claim({ replacing: first.token });
    expect((await bench().refused({ replacing: first.token })).token).toBe(second.token);
  });

  test('G1: a retryable failure is replaced, with its attempts and failures counted on', async () => {
    const first = await bench().failed();
    expect(await bench().refused()).toMatchObject({
      status: 'FAILED',
      final: false,
      payload: 'why',
      failures: 1,
    });
    const second = await bench().claim({ replacing: first.token });
    expect(second).toMatchObject({
      attempt: 2,
      failures: 1,
      previousToken: first.token,
      previousEnd: 'settled',
    });
  });

  test('G1: a final record is never replaced', async () => {
    const lease = await bench().claim();
    await bench().settle(lease, { status: 'FAILED', final: true });
    expect(await bench().refused({ replacing: lease.token })).toMatchObject({
      status: 'FAILED',
      final: true,
    });
  });

  test('G5: fences grow over takeover, failure, release, forgetting and expiry', async () => {
    const { store, key } = bench();
    const fences: number[] = [];
    const first = await bench().abandoned();
    const second = await bench().claim({ replacing: first.token });
    await store.release(key, second.token);
    const third = await bench().claim({ replacing: first.token });
    await bench().settle(third, { status: 'FAILED', final: false });
    const fourth = await bench().claim({ replacing: third.token });
    await bench().settle(fourth);
    await store.override(key, { kind: 'forget', force: false });
    const fifth = await bench().claim();
    await bench().settle(fifth, { retentionMs: 30 });
    await bench().untilGone();
    const sixth = await bench().claim();
    await store.release(key, sixth.token);
    const seventh = await bench().claim();
    for (const lease of [first, second, third, fourth, fifth, sixth, seventh]) fences.push(lease.fence);
    for (let i = 1; i < fences.length; i++) expect(fences[i]).toBeGreaterThan(fences[i - 1]!);
  });
}
