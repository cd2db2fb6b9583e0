import { expect, test } from '@jest/globals';
import { LEASE_MS, lasting, newToken, type Bench } from './bench.js';

export function describeResends(bench: () => Bench): void {
  test('G2: a resent claim is granted again, with the same fence and a new lease end', async () => {
    const token = newToken();
    const first = await bench().claim({ token });
    const again = await bench().claim({ token, leaseMs: LEASE_MS + 1_000 });
    expect(again).toMatchObject({ token, fence: first.fence, attempt: 1, createdAtMs: first.createdAtMs });
    expect(again.leaseEndsAtMs).toBeGreaterThan(first.leaseEndsAtMs);
  });

  test('G2: a resent takeover is granted again, with its attempt and predecessor', async () => {
    const first = await bench().abandoned();
    const token = newToken();
    const second = await bench().claim({ token, replacing: first.token });
    const again = await bench().claim({ token, replacing: first.token });
    expect({ ...again, leaseEndsAtMs: 0 }).toEqual({ ...second, leaseEndsAtMs: 0 });
  });

  test('G2: a resent settling is recognised, also after the record moved on', async () => {
    const first = await bench().failed();
    const failure = { status: 'FAILED', final: false, failures: 1, payload: 'why' } as const;
    expect(await bench().settle(first, failure)).toBe(true);
    const second = await bench().claim({ replacing: first.token });
    expect(await bench().settle(first, failure)).toBe(true);
    expect(await bench().refused()).toMatchObject({ status: 'IN_PROGRESS', token: second.token });
    await bench().settle(second, { payload: 'second' });
    expect(await bench().settle(first, failure)).toBe(true);
    expect((await bench().refused()).payload).toBe('second');
  });

  test('G2: a claim that arrives after its attempt settled is not granted', async () => {
    const lease = await bench().failed();
    expect((await bench().refused({ token: lease.token })).status).toBe('FAILED');
    const second = await bench().claim({ replacing: lease.token });
    expect((await bench().refused({ token: lease.token })).token).toBe(second.token);
  });

  test('G2: a claim that arrives after its record was forgotten is not granted', async () => {
    const lease = await bench().claim();
    await bench().store.override(bench().key, { kind: 'forget', force: true });
    await bench().refused({ token: lease.token });
    expect(await bench().store.read(bench().key)).toBeUndefined();
    await bench().claim();
  });

  test('G2: a second release does nothing', async () => {
    const { store, key } = bench();
    const lease = await bench().claim();
    expect(await store.release(key, lease.token)).toBe(true);
    expect(await store.release(key, lease.token)).toBe(false);
  });
}

export function describeReleases(bench: () => Bench): void {
  test('G2: a claim that was withdrawn before it arrived is not granted', async () => {
    const { store, key } = bench();
    const token = newToken();
    expect(await store.release(key, token)).toBe(false);
    await bench().refused({ token });
    expect(await store.read(key)).toBeUndefined();
    const other = await bench().claim();
    expect((await bench().refused({ token })).token).toBe(other.token);
  });

  test('G2: a released token is not granted again', async () => {
    const { store, key } = bench();
    const lease = await bench().claim();
    await store.release(key, lease.token);
    await bench().refused({ token: lease.token });
    expect(await bench().settle(lease)).toBe(false);
    expect(await store.renew(key, lease)).toBe(false);
  });

  test.each(['failed', 'abandoned'] as const)(
    'G2: a takeover that was withdrawn before it arrived is not granted over a record that is %s',
    async (state) => {
      const { store, key } = bench();
      const first = await bench()[state]();
      const token = newToken();
      expect(await store.release(key, token)).toBe(false);
      expect((await bench().refused({ token, replacing: first.token })).token).toBe(first.token);
      await bench().claim({ replacing: first.token });
    },
  );

  test('a release of a first claim leaves absence, and the next claim wins', async () => {
    const { store, key } = bench();
    await store.release(key, (await bench().claim()).token);
    expect(await store.read(key)).toBeUndefined();
    expect(await bench().claim()).toMatchObject({ attempt: 1, failures: 0 });
  });

  test('a release restores a failed record with its value, attempts and expiry', async () => {
    const { store, key } = bench();
    const first = await bench().failed();
    const before = await store.read(key);
    const second = await bench().claim({ replacing: first.token, unsettledRetentionMs: 500_000 });
    expect(await store.release(key, second.token)).toBe(true);
    const after = await store.read(key);
    expect(lasting(after)).toEqual(lasting(before));
    expect(Math.abs((after?.expiresAtMs ?? 0) - (before?.expiresAtMs ?? 0))).toBeLessThan(100);
    await bench().refused({ token: second.token, replacing: first.token });
    expect(await bench().settle(second)).toBe(false);
    expect(await bench().claim({ replacing: first.token })).toMatchObject({ attempt: 2, failures: 1 });
  });

  test('a release restores an abandoned record, which is abandoned still', async () => {
    const { store, key } = bench();
    const first = await bench().abandoned();
    const before = await store.read(key);
    const second = await bench().claim({ replacing: first.token });
    expect(await store.release(key, second.token)).toBe(true);
    const after = await store.read(key);
    expect(lasting(after)).toEqual(lasting(before));
    expect(after?.leaseRemainingMs).toBeLessThanOrEqual(0);
    expect(await bench().settle(first)).toBe(true);
  });

  test('a release restores a failed record from below an abandoned takeover of it', async () => {
    const { store, key } = bench();
    const first = await bench().failed();
    const second = await bench().abandoned({ replacing: first.token });
    const third = await bench().claim({ replacing: second.token });
    await store.release(key, third.token);
    expect(await store.read(key)).toMatchObject({ status: 'IN_PROGRESS', token: second.token, attempt: 2 });
  });

  test('a release by somebody else changes nothing', async () => {
    const { store, key } = bench();
    const lease = await bench().claim();
    expect(await store.release(key, newToken())).toBe(false);
    expect(await store.read(key)).toMatchObject({ status: 'IN_PROGRESS', token: lease.token });
    await bench().settle(lease);
    expect(await store.release(key, lease.token)).toBe(false);
    expect(await store.read(key)).toMatchObject({ status: 'COMPLETED' });
  });
}
