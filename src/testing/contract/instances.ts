import { newToken } from '../../core/token.js';
import { lasting, type Bench, type ContractTest } from '../bench.js';
import { equal, greater, matches } from '../expect.js';
import type { ContractPart } from '../options.js';
import { subscribe } from './overrides.js';

const PART: ContractPart = 'several instances';
/** The largest difference between two instances' times: for rounding. */
const APART_MS = 50;

/** What must hold between processes: each test uses two instances of the store with one key. */
export function describeInstances(test: ContractTest): void {
  const testBoth = (
    title: string,
    body: (here: Bench, there: Bench) => Promise<void>,
    ...parts: ContractPart[]
  ): void => test(title, async (bench) => body(bench, await bench.another()), PART, ...parts);

  testBoth('what one instance writes, another one sees', async (here, there) => {
    const lease = await here.claim({ notes: { holder: 'host:1' } });
    equal(lasting(await there.read()), lasting(await here.read()), 'the running record');
    equal((await there.refused()).token, lease.token, 'whose record the other instance is told of');
    await here.step(lease, 'charge');
    await here.settleFailed(lease);
    equal(lasting(await there.read()), lasting(await here.read()), 'the failed record');
    const second = await there.claim({ replacing: lease.token });
    matches(second, { attempt: 2, failures: 1, createdAtMs: lease.createdAtMs, previousToken: lease.token });
    equal(second.steps, [{ name: 'charge', payload: 'charge' }], 'the steps');
    await there.settle(second, { payload: 'from there' });
    equal((await here.refused()).payload, 'from there', 'the payload');
  });

  testBoth('G1: of fifty claims at once through two instances one wins', async (here, there) => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => {
        const { store, key } = index % 2 === 0 ? here : there;
        return store.claim(key, here.request());
      }),
    );
    equal(answers.filter(({ kind }) => kind === 'acquired').length, 1, 'the number of winners');
  });

  testBoth('G1: of many takeovers at once through two instances one wins', async (here, there) => {
    const { token } = await here.abandoned();
    await there.untilAbandoned();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => {
        const { store, key } = index % 2 === 0 ? here : there;
        return store.claim(key, here.request({ replacing: token }));
      }),
    );
    equal(answers.filter(({ kind }) => kind === 'acquired').length, 1, 'the number of winners');
  });

  testBoth('G2: what is resent through another instance is recognised', async (here, there) => {
    const lease = await here.claim();
    await here.step(lease, 'charge');
    equal(await there.step(lease, 'charge', 'another'), true, 'the resent step');
    greater(await there.renew(lease), 0, 'the new end of the lease');
    matches(await there.claim({ token: lease.token }), { fence: lease.fence, attempt: 1 }, 'the grant');
    await here.settle(lease, { payload: 'kept' });
    equal(await there.settle(lease, { payload: 'kept' }), true, 'the resent settling');
    equal((await there.refused({ token: lease.token })).payload, 'kept', 'the payload');
  });

  testBoth('G2: a claim that was withdrawn through another instance is not granted', async (here, there) => {
    const early = newToken();
    await there.release(early);
    await here.refused({ token: early });
    const lease = await here.claim();
    equal(await there.release(lease.token), true, 'the release');
    await here.refused({ token: lease.token });
    equal(await here.settle(lease), false, 'a settling');
    equal(await here.read(), undefined, 'the record');
  });

  testBoth(
    'G3: after a takeover through another instance the owner before it changes nothing',
    async (here, there) => {
      const stale = await here.abandoned();
      await there.untilAbandoned();
      const owner = await there.claim({ replacing: stale.token });
      equal(await here.renew(stale), false, 'a stale renewal');
      equal(await here.step(stale, 'stale'), false, 'a stale step');
      equal(await here.settle(stale), false, 'a stale settling');
      equal(await here.release(stale.token), false, 'a stale release');
      matches(await there.read(), { status: 'IN_PROGRESS', token: owner.token });
    },
  );

  testBoth('G5: fences grow from one instance to the other', async (here, there) => {
    const first = await here.failed();
    const second = await there.claim({ replacing: first.token });
    greater(second.fence, first.fence, 'the second fence');
    await there.release(second.token);
    const third = await here.claim({ replacing: first.token });
    greater(third.fence, second.fence, 'the third fence');
    await here.settle(third);
    await there.forget();
    greater((await here.claim()).fence, third.fence, 'the fourth fence');
  });

  testBoth('what a person writes through one instance counts for another', async (here, there) => {
    const lease = await here.claim();
    await here.settle(lease, { payload: 'before' });
    equal((await here.refused()).payload, 'before', 'the payload');
    const outcome = { status: 'COMPLETED', final: true, payload: 'by hand', retentionMs: 60_000 } as const;
    await there.override({ kind: 'resolve', token: newToken(), ...outcome });
    equal((await here.refused()).payload, 'by hand', 'the payload');
    equal((await here.read())?.payload, 'by hand', 'the payload');
    await there.forget();
    equal(await here.read(), undefined, 'the record');
    equal((await here.claim()).attempt, 1, 'the attempt');
  });

  testBoth(
    'G4: instances judge a lease alike: its moments, its end, and what is left of it',
    async (here, there) => {
      const lease = await here.claim();
      // One read by the other instance between two reads by this one. Its values must lie between theirs, at any speed.
      const [first, between, last] = [await here.read(), await there.read(), await here.read()];
      const leftMs = between?.leaseRemainingMs ?? 0;
      greater((first?.leaseRemainingMs ?? 0) + APART_MS, leftMs, 'what is left at first');
      greater(leftMs + APART_MS, last?.leaseRemainingMs ?? 0, 'what is left, by another instance');
      greater(
        APART_MS,
        Math.abs((between?.expiresAtMs ?? 0) - (first?.expiresAtMs ?? 0)),
        'how far the ends differ',
      );
      const before = await here.elsewhere().claim();
      const later = await there.elsewhere().claim();
      const after = await here.elsewhere().claim();
      greater(later.createdAtMs + APART_MS, before.createdAtMs, 'a moment by another instance');
      greater(after.createdAtMs + APART_MS, later.createdAtMs, 'a moment after one by another instance');
      const endsAtMs = await there.renew(lease);
      greater(endsAtMs, lease.leaseEndsAtMs - APART_MS, 'the end of a lease that another instance renewed');
    },
  );

  testBoth('G4: a live lease is not taken over through another instance', async (here, there) => {
    const lease = await here.claim();
    const record = await there.refused({ replacing: lease.token });
    matches(record, { status: 'IN_PROGRESS', token: lease.token });
    greater(record.leaseRemainingMs, 0, 'what is left of the lease');
    equal(await there.forget(), 'live', 'the forgetting');
  });

  testBoth('G4: a lease that has ended is taken over through another instance', async (here, there) => {
    const { token } = await here.abandoned();
    await there.until('the takeover', async () => {
      const answer = await there.store.claim(there.key, there.request({ replacing: token }));
      return answer.kind === 'acquired';
    });
  });

  testBoth(
    'G4: a record is there for another instance until its retention is over, not after',
    async (here, there) => {
      const kept = await here.claim();
      await here.settle(kept, { retentionMs: 60_000 });
      matches(await there.read(), { status: 'COMPLETED', token: kept.token });
      equal((await there.refused()).token, kept.token, 'whose record the other instance is told of');
      await there.forget();
      const brief = await here.claim();
      await here.settle(brief, { retentionMs: 1 });
      await here.untilGone();
      await there.untilGone();
      equal((await there.claim()).attempt, 1, 'the attempt');
    },
  );

  testBoth(
    'hits are counted through all instances',
    async (here, there) => {
      await here.settle(await here.claim());
      equal((await here.refused()).hitCount, 1, 'the hits');
      equal((await there.refused()).hitCount, 2, 'the hits');
      equal((await here.read())?.hitCount, 2, 'the hits');
    },
    'hit counts',
  );

  testBoth(
    'a waiter is woken by what another instance writes',
    async (here, there) => {
      const woken = { here: 0, there: 0 };
      const leave = await subscribe(here, () => woken.here++);
      const leaveThere = await subscribe(there, () => woken.there++);
      const lease = await here.claim();
      await here.settle(lease);
      await here.until('a waiter of another instance to be woken', () => woken.there > 0);
      woken.here = 0;
      await there.forget();
      await here.until('the waiter to be woken by another instance', () => woken.here > 0);
      leave();
      leaveThere();
    },
    'wake-ups',
  );
}
