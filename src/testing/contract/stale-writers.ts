import { newToken } from '../../core/token.js';
import { settlement, type ContractTest } from '../bench.js';
import { equal, greater, matches, rejects } from '../expect.js';

export function describeStaleWriters(test: ContractTest): void {
  test('G3: after a takeover the stale owner can neither renew, step nor settle, and is told false', async (bench) => {
    const stale = await bench.abandoned();
    const owner = await bench.claim({ replacing: stale.token });
    equal(await bench.renew(stale), false, 'a stale renewal');
    equal(await bench.step(stale, 'stale'), false, 'a stale step');
    equal(await bench.settle(stale, { payload: 'stale' }), false, 'a stale settling');
    matches(await bench.refused(), { status: 'IN_PROGRESS', token: owner.token });
    equal(await bench.settle(owner, { payload: 'fresh' }), true, 'the settling of the owner');
    equal(await bench.settle(stale, { payload: 'stale' }), false, 'a stale settling');
    equal(await bench.renew(stale), false, 'a stale renewal');
    equal(await bench.step(stale, 'stale'), false, 'a stale step');
    matches(await bench.refused(), { payload: 'fresh', token: owner.token });
  });

  test('G3: an owner past its lease that nobody took over still settles, steps and renews', async (bench) => {
    const late = await bench.abandoned();
    equal(await bench.step(late, 'late'), true, 'a late step');
    const settling = bench.elsewhere();
    equal(await settling.settle(await settling.abandoned()), true, 'a late settling');
    const renewing = bench.elsewhere();
    greater(await renewing.renew(await renewing.abandoned()), 0, 'the new end of the lease');
  });

  test('G3: a final record is never overwritten, by a higher fence neither', async (bench) => {
    const owner = await bench.claim();
    await bench.settle(owner, { payload: 'kept' });
    const newer = { ...owner, token: newToken(), fence: owner.fence + 1_000 };
    equal(await bench.settle(newer, { payload: 'other' }), false, 'a settling');
    equal(await bench.renew(newer), false, 'a renewal');
    equal(await bench.step(newer, 'other'), false, 'a step');
    equal((await bench.refused()).payload, 'kept', 'the payload');
  });

  test('G3: a higher fence writes over a record that is not final, a lower one does not', async (bench) => {
    const owner = await bench.failed();
    const lower = { ...owner, token: newToken(), fence: owner.fence - 1 };
    equal(await bench.settle(lower), false, 'a settling with a lower fence');
    const higher = { ...owner, token: newToken(), fence: owner.fence + 1 };
    greater(await bench.renew(higher), 0, 'the new end of the lease');
    matches(await bench.refused(), { status: 'IN_PROGRESS', token: higher.token });
    equal(await bench.settle(higher, { payload: 'newer' }), true, 'a settling with a higher fence');
    matches(await bench.refused(), { payload: 'newer', token: higher.token });
  });

  test('G3: over absence an attempt writes until its last lease plus retention, not after', async (bench) => {
    const lease = await bench.claim();
    const lost = bench.elsewhere();
    equal(await lost.settle(lease, { retentionMs: 60_000 }), true, 'a settling over absence');
    matches(await lost.read(), { status: 'COMPLETED', fence: lease.fence });
    const renewing = bench.elsewhere();
    greater(await renewing.renew(lease), 0, 'the new end of the lease');
    matches(await renewing.read(), { status: 'IN_PROGRESS', token: lease.token, fence: lease.fence });
    const tooLate = { ...lease, leaseEndsAtMs: lease.createdAtMs - 1_000, unsettledRetentionMs: 500 };
    const gone = bench.elsewhere();
    equal(await gone.settle(tooLate, { retentionMs: 500 }), false, 'a settling that comes too late');
    equal(await gone.renew(tooLate), false, 'a renewal that comes too late');
    equal(await gone.step(tooLate, 'late'), false, 'a step that comes too late');
    equal(await gone.read(), undefined, 'the record');
  });

  test('G3: an attempt whose claim was never answered settles over absence, with a fence of the store', async (bench) => {
    const lease = { ...(await bench.claim()), fence: 0, leaseEndsAtMs: Infinity };
    const lost = bench.elsewhere();
    equal(await lost.settle(lease), true, 'a settling over absence');
    greater((await lost.read())?.fence, 0, 'the fence');
  });

  test('G3: an attempt whose claim was executed unheard settles its own record and keeps its fence', async (bench) => {
    const lease = await bench.claim();
    equal(await bench.settle({ ...lease, fence: 0, leaseEndsAtMs: Infinity }), true, 'the settling');
    matches(await bench.refused(), { status: 'COMPLETED', fence: lease.fence });
  });

  test('G3: nothing is written over a tombstone', async (bench) => {
    const lease = await bench.claim();
    equal(await bench.forget(true), 'done', 'the forgetting');
    equal(await bench.renew(lease), false, 'a renewal');
    equal(await bench.step(lease, 'late'), false, 'a step');
    equal(await bench.settle(lease), false, 'a settling');
    equal(await bench.read(), undefined, 'the record');
  });

  test('G3: nothing is written over a tombstone, with a fence that is higher neither', async (bench) => {
    const lease = await bench.claim();
    await bench.forget(true);
    const newer = { ...lease, token: newToken(), fence: lease.fence + 1_000_000_000 };
    equal(await bench.renew(newer), false, 'a renewal');
    equal(await bench.step(newer, 'late'), false, 'a step');
    equal(await bench.settle(newer), false, 'a settling');
    equal(await bench.read(), undefined, 'the record');
  });

  test('G10: two identities never share a record: another digest is refused', async (bench) => {
    const { store, key } = bench;
    const lease = await bench.claim();
    const other = { ...key, digest: 'zzzzzz' };
    const takeover = (): Promise<unknown> => store.claim(other, bench.request({ replacing: lease.token }));
    await rejects(takeover(), 'INVALID_KEY', 'a claim');
    await rejects(store.read(other), 'INVALID_KEY', 'a read');
    await rejects(store.override(other, { kind: 'forget', force: true }), 'INVALID_KEY', 'a forgetting');
    // A write may be refused by `false` or by an error.
    const no = (): boolean => false;
    equal(await store.settle(other, lease, settlement()).catch(no), false, 'a settling');
    equal(await store.renew(other, lease).catch(no), false, 'a renewal');
    equal(await store.step(other, lease, { name: 'a', payload: 'a' }).catch(no), false, 'a step');
    equal(await store.release(other, lease.token).catch(no), false, 'a release');
    matches(await bench.read(), { status: 'IN_PROGRESS', token: lease.token });
    await bench.settleFailed(lease);
    await rejects(takeover(), 'INVALID_KEY', 'a claim of the failed record');
    matches(await bench.read(), { status: 'FAILED', token: lease.token });
  });
}
