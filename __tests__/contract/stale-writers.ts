import { expect, test } from '@jest/globals';
import type { Lease, StoreKey } from '../../src/core/record.js';
import { LostBench, newRequest, newToken, settlement, type Bench } from './bench.js';

export function describeStaleWriters(bench: () => Bench): void {
  test('G3: after a takeover the stale owner can neither renew nor settle, and is told false', async () => {
    const stale = await bench().abandoned();
    const owner = await bench().claim({ replacing: stale.token });
    expect(await bench().store.renew(bench().key, stale)).toBe(false);
    expect(await bench().settle(stale, { payload: 'stale' })).toBe(false);
    expect(await bench().refused()).toMatchObject({ status: 'IN_PROGRESS', token: owner.token });
    expect(await bench().settle(owner, { payload: 'fresh' })).toBe(true);
    expect(await bench().settle(stale, { payload: 'stale' })).toBe(false);
    expect(await bench().store.renew(bench().key, stale)).toBe(false);
    expect(await bench().refused()).toMatchObject({ payload: 'fresh', token: owner.token });
  });

  test('G3: an owner past its lease that nobody took over still settles and renews', async () => {
    const late = await bench().abandoned();
    expect(await bench().store.renew(bench().key, late)).toEqual(expect.any(Number));
    expect(await bench().settle(late)).toBe(true);
  });

  test('G3: a final record is never overwritten, by a higher fence neither', async () => {
    const owner = await bench().claim();
    await bench().settle(owner, { payload: 'kept' });
    const newer = { ...owner, token: newToken(), fence: owner.fence + 1_000 };
    expect(await bench().settle(newer, { payload: 'other' })).toBe(false);
    expect(await bench().store.renew(bench().key, newer)).toBe(false);
    expect((await bench().refused()).payload).toBe('kept');
  });

  test('G3: a higher fence writes over a record that is not final, a lower one does not', async () => {
    const owner = await bench().failed();
    const lower = { ...owner, token: newToken(), fence: owner.fence - 1 };
    expect(await bench().settle(lower)).toBe(false);
    const higher = { ...owner, token: newToken(), fence: owner.fence + 1 };
    expect(await bench().store.renew(bench().key, higher)).toEqual(expect.any(Number));
    expect(await bench().refused()).toMatchObject({ status: 'IN_PROGRESS', token: higher.token });
    expect(await bench().settle(higher, { payload: 'newer' })).toBe(true);
    expect(await bench().refused()).toMatchObject({ payload: 'newer', token: higher.token });
  });

  test('G3: over absence an attempt writes until its last lease plus retention, not after', async () => {
    const lease = await bench().claim();
    const elsewhere = new LostBench(bench(), lease);
    expect(await elsewhere.settle({ retentionMs: 60_000 })).toBe(true);
    expect(await elsewhere.store.read(elsewhere.key)).toMatchObject({
      status: 'COMPLETED',
      fence: lease.fence,
    });
    const renewing = new LostBench(bench(), lease);
    expect(await renewing.store.renew(renewing.key, lease)).toEqual(expect.any(Number));
    expect(await renewing.store.read(renewing.key)).toMatchObject({
      status: 'IN_PROGRESS',
      token: lease.token,
    });
    const tooLate = { ...lease, leaseEndsAtMs: lease.createdAtMs - 1_000, unsettledRetentionMs: 500 };
    const gone = new LostBench(bench(), tooLate);
    expect(await gone.settle({ retentionMs: 500 })).toBe(false);
    expect(await gone.store.renew(gone.key, tooLate)).toBe(false);
    expect(await gone.store.read(gone.key)).toBeUndefined();
  });

  test('G3: an attempt whose claim was never answered settles over absence, with a fence of the store', async () => {
    const lease: Lease = { ...(await bench().claim()), fence: 0 };
    const elsewhere = new LostBench(bench(), lease);
    expect(await elsewhere.settle({})).toBe(true);
    expect((await elsewhere.store.read(elsewhere.key))?.fence).toBeGreaterThan(0);
  });

  test('G3: an attempt whose claim was executed unheard settles its own record and keeps its fence', async () => {
    const lease = await bench().claim();
    expect(await bench().settle({ ...lease, fence: 0 })).toBe(true);
    expect(await bench().refused()).toMatchObject({ status: 'COMPLETED', fence: lease.fence });
  });

  test('G3: nothing is written over a tombstone', async () => {
    const lease = await bench().claim();
    expect(await bench().store.override(bench().key, { kind: 'forget', force: true })).toBe('done');
    expect(await bench().store.renew(bench().key, lease)).toBe(false);
    expect(await bench().settle(lease)).toBe(false);
    expect(await bench().store.read(bench().key)).toBeUndefined();
  });

  test('two identities never share a record: another digest is refused', async () => {
    const { store, key } = bench();
    const lease = await bench().claim();
    const other: StoreKey = { address: key.address, digest: 'zzzzzz' };
    const refusal = { code: 'INVALID_KEY' };
    await expect(store.claim(other, newRequest({ replacing: lease.token }))).rejects.toMatchObject(refusal);
    await expect(store.read(other)).rejects.toMatchObject(refusal);
    await expect(store.override(other, { kind: 'forget', force: true })).rejects.toMatchObject(refusal);
    const no = (): boolean => false;
    expect(await store.settle(other, lease, settlement()).catch(no)).toBe(false);
    expect(await store.renew(other, lease).catch(no)).toBe(false);
    expect(await store.release(other, lease.token).catch(no)).toBe(false);
    expect(await store.read(key)).toMatchObject({ status: 'IN_PROGRESS', token: lease.token });
    await bench().settle(lease, { status: 'FAILED', final: false, failures: 1 });
    await expect(store.claim(other, newRequest({ replacing: lease.token }))).rejects.toMatchObject(refusal);
    expect(await store.read(key)).toMatchObject({ status: 'FAILED', token: lease.token });
  });
}
