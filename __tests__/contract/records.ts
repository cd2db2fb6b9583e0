import { expect, test } from '@jest/globals';
import { Bench, freshKey, newRequest, newToken, UNSETTLED_MS } from './bench.js';

const ODD_PAYLOAD = '😀 "quoted" \\ \u0000 \r\n é 漢 \u2028 {"a":1}';

export function describeRecords(bench: () => Bench): void {
  test('an unknown outcome is abandoned at once, and its own attempt may still settle it', async () => {
    const lease = await bench().claim({ leaseMs: 60_000 });
    expect(await bench().settle(lease, { status: 'IN_PROGRESS', final: false, payload: undefined })).toBe(
      true,
    );
    const record = await bench().refused();
    expect(record).toMatchObject({ status: 'IN_PROGRESS', token: lease.token, payload: undefined });
    expect(record.leaseRemainingMs).toBeLessThanOrEqual(0);
    expect(await bench().settle(lease, { payload: 'found out' })).toBe(true);
    expect((await bench().refused()).payload).toBe('found out');
  });

  test('an unknown outcome is kept for the unsettled retention', async () => {
    const lease = await bench().claim();
    await bench().settle(lease, { status: 'IN_PROGRESS', final: false, payload: undefined, retentionMs: 1 });
    const record = await bench().store.read(bench().key);
    expect((record?.expiresAtMs ?? 0) - lease.createdAtMs).toBeGreaterThan(UNSETTLED_MS / 2);
  });

  test('a settled record is gone after its retention', async () => {
    const lease = await bench().claim();
    await bench().settle(lease, { retentionMs: 100 });
    expect(await bench().store.read(bench().key)).toMatchObject({ status: 'COMPLETED' });
    await bench().untilGone();
    expect((await bench().claim()).attempt).toBe(1);
  });

  test('an unsettled record is gone after its lease and its retention', async () => {
    await bench().claim({ leaseMs: 20, unsettledRetentionMs: 60 });
    await bench().untilGone();
  });

  test('a settled record says when, until when, and in which attempt', async () => {
    const lease = await bench().claim({ fingerprint: 'fingerprint-0123' });
    await bench().settle(lease, { retentionMs: 60_000 });
    const record = await bench().store.read(bench().key);
    expect(record).toMatchObject({
      ...{ status: 'COMPLETED', final: true, token: lease.token, fence: lease.fence, attempt: 1 },
      ...{
        fingerprint: 'fingerprint-0123',
        leaseRemainingMs: 0,
        createdAtMs: lease.createdAtMs,
        format: 'twiceshy',
      },
    });
    expect(record!.settledAtMs).toBeGreaterThanOrEqual(lease.createdAtMs);
    expect(Math.abs(record!.expiresAtMs - record!.settledAtMs! - 60_000)).toBeLessThan(100);
  });

  test('a claim counts a hit on a settled record, a read does not', async () => {
    const lease = await bench().claim();
    await bench().refused();
    await bench().settle(lease);
    expect((await bench().store.read(bench().key))?.hitCount).toBe(0);
    expect((await bench().refused()).hitCount).toBe(1);
    expect((await bench().refused()).hitCount).toBe(2);
    expect((await bench().store.read(bench().key))?.hitCount).toBe(2);
  });

  test('a value is given back as it was: empty, odd, of one megabyte, or none at all', async () => {
    for (const payload of ['', ODD_PAYLOAD, '漢"\u0000'.repeat(200_000), undefined]) {
      const inner = new Bench({ store: bench().store });
      const lease = await inner.claim();
      expect(await inner.settle(lease, { payload })).toBe(true);
      const found = await inner.refused();
      // Not toBe: a diff of a megabyte helps nobody.
      expect(found.payload === payload).toBe(true);
      expect((await inner.store.read(inner.key))?.payload === payload).toBe(true);
    }
  });

  test('keys are kept apart byte for byte, whatever they hold', async () => {
    const odd = [
      '',
      ' ',
      '{a}',
      '{a}b',
      '*',
      'é',
      'e\u0301',
      '\u0000',
      '\r\n',
      '"',
      "'",
      '__proto__',
      '😀',
      '%s',
      'a:b',
    ];
    for (const suffix of odd) {
      const key = freshKey(`contract:${newToken()}:${suffix}`);
      const request = newRequest({});
      expect((await bench().store.claim(key, request)).kind).toBe('acquired');
      expect((await bench().store.read(key))?.token).toBe(request.token);
      await bench().store.release(key, request.token);
    }
  });
}

export function describePeople(bench: () => Bench): void {
  const byHand = {
    kind: 'resolve',
    status: 'COMPLETED',
    final: true,
    payload: 'by hand',
    retentionMs: 60_000,
  } as const;

  test('forgetting nothing answers absent, also over a tombstone', async () => {
    const { store, key } = bench();
    expect(await store.override(key, { kind: 'forget', force: true })).toBe('absent');
    expect(await store.override(key, { ...byHand, token: newToken() })).toBe('absent');
    await store.release(key, newToken());
    expect(await store.override(key, { kind: 'forget', force: true })).toBe('absent');
  });

  test('forgetting a settled record lets the next claim win with a higher fence and no attempts', async () => {
    const { store, key } = bench();
    const lease = await bench().claim();
    await bench().settle(lease, { failures: 0 });
    expect(await store.override(key, { kind: 'forget', force: false })).toBe('done');
    expect(await store.read(key)).toBeUndefined();
    const next = await bench().claim();
    expect(next.attempt).toBe(1);
    expect(next.fence).toBeGreaterThan(lease.fence);
  });

  test('forgetting keeps the count of definite failures, that derived keys are renewed by', async () => {
    await bench().failed();
    await bench().store.override(bench().key, { kind: 'forget', force: false });
    expect((await bench().claim()).failures).toBe(1);
  });

  test('forgetting refuses a live lease unless forced; resolving always does', async () => {
    const { store, key } = bench();
    const lease = await bench().claim();
    expect(await store.override(key, { kind: 'forget', force: false })).toBe('live');
    expect(await store.override(key, { ...byHand, token: newToken() })).toBe('live');
    expect(await store.read(key)).toMatchObject({ token: lease.token });
    expect(await store.override(key, { kind: 'forget', force: true })).toBe('done');
    expect(await bench().settle(lease)).toBe(false);
  });

  test('a release of a claim over a tombstone leaves a tombstone', async () => {
    const { store, key } = bench();
    const first = await bench().claim();
    await bench().settle(first);
    await store.override(key, { kind: 'forget', force: false });
    const second = await bench().claim();
    await store.release(key, second.token);
    expect(await store.read(key)).toBeUndefined();
    expect((await bench().claim()).fence).toBeGreaterThan(second.fence);
  });

  test('an abandoned record is resolved by hand, and its late owner changes nothing', async () => {
    const { store, key } = bench();
    const lost = await bench().abandoned({ fingerprint: 'fingerprint-0123' });
    const token = newToken();
    expect(await store.override(key, { ...byHand, token })).toBe('done');
    const record = await bench().refused();
    expect(record).toMatchObject({ status: 'COMPLETED', final: true, token, attempt: 1, payload: 'by hand' });
    expect(record).toMatchObject({ fingerprint: 'fingerprint-0123', createdAtMs: lost.createdAtMs });
    expect(record.fence).toBeGreaterThan(lost.fence);
    expect(await bench().settle(lost, { payload: 'late' })).toBe(false);
    expect(await store.renew(key, lost)).toBe(false);
    expect((await bench().refused()).payload).toBe('by hand');
  });

  test('a settled record is corrected by hand, and the resent settling before it is still recognised', async () => {
    const { store, key } = bench();
    const lease = await bench().claim();
    await bench().settle(lease);
    expect(
      await store.override(key, { ...byHand, status: 'FAILED', token: newToken(), payload: undefined }),
    ).toBe('done');
    expect(await bench().refused()).toMatchObject({ status: 'FAILED', final: true, payload: undefined });
    expect(await bench().settle(lease)).toBe(true);
    expect(await bench().refused()).toMatchObject({ status: 'FAILED' });
  });
}

export function describeWakeUps(bench: () => Bench): void {
  test.each(['settle', 'release', 'forget'] as const)(
    'a waiter is woken by a %s, until it leaves',
    async (act) => {
      const { store, key } = bench();
      if (!store.subscribe) return;
      const lease = await bench().claim();
      let woken = 0;
      let others = 0;
      const leave = await store.subscribe(key, () => woken++);
      const leaveOther = await store.subscribe(freshKey(), () => others++);
      const second = await store.subscribe(key, () => woken++);
      if (act === 'settle') await bench().settle(lease);
      else if (act === 'release') await store.release(key, lease.token);
      else await store.override(key, { kind: 'forget', force: true });
      await bench().until(() => woken === 2);
      expect(others).toBe(0);
      leave();
      second();
      leaveOther();
      await store.override(key, { kind: 'forget', force: true });
      expect(woken).toBe(2);
    },
  );
}
