import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { errorOf } from '../support/deferred.js';
import { placeOf } from '../support/instances.js';
import { startReplicated, until, type Replicated } from '../support/redis-cluster.js';
import { isLong } from '../faults/cluster-cases.js';
import { measureLoss, type LinkTerms, type Loss } from '../faults/cluster-loss.js';

jest.setTimeout(600_000);
if (!isLong)
  process.stderr.write('failover: lost writes are counted over many rounds with TWICESHY_FAULTS=long only\n');

const FAILOVERS = isLong ? 40 : 1;

describe('waitForReplicas', () => {
  let group: Replicated;
  beforeAll(async () => {
    group = await startReplicated({ replicas: 1, sentinels: 0 });
  }, 120_000);
  afterAll(() => group.stop());
  const url = () => `redis://127.0.0.1:${group.master.port}`;

  test('a claim, a renewal, an outcome and a replay are given only once the replica has them', async () => {
    const store = new RedisStore({ url: url(), waitForReplicas: { count: 1, timeoutMs: 5_000 } });
    const idempotency = createIdempotency({ store, name: 'charge', logger: {} });
    const there = async (key: string) => group.replicas[0]!.admin.get(placeOf(key).address);
    for (let i = 0; i < 200; i++) {
      const key = `held-${i}`;
      await idempotency.run(key, async () => expect(await there(key)).toMatch(/^2P/));
      expect(await there(key)).toMatch(/^2C/);
    }
    await idempotency.close();
    await store.close();
  });

  test('with too few replicas no work starts, an outcome is unrecorded until one is back, and nothing runs twice', async () => {
    const store = new RedisStore({ url: url(), waitForReplicas: { count: 1, timeoutMs: 100 } });
    const idempotency = createIdempotency({ store, name: 'charge', logger: {}, storeTimeout: 700 });
    const [replica] = group.replicas;
    await idempotency.run('before', () => 'recorded');
    let runs = 0;
    replica!.freeze();
    try {
      expect(await errorOf(idempotency.run('refused', () => ++runs))).toMatchObject({
        code: 'STORE_UNAVAILABLE',
      });
      // A replay counts its hit, which no replica has: it is not given either.
      expect(await errorOf(idempotency.run('before', () => ++runs))).toMatchObject({
        code: 'STORE_UNAVAILABLE',
      });
    } finally {
      replica!.thaw();
    }
    expect(runs).toBe(0);
    const late = new Promise((resolve) => idempotency.on('recorded-late', resolve));
    const answer = await idempotency.run('in-between', () => {
      replica!.freeze();
      return `ran ${++runs}`;
    });
    expect(answer).toBe('ran 1');
    expect(idempotency.stats()).toMatchObject({ unrecorded: 1, recordedLate: 0 });
    replica!.thaw();
    await late;
    expect(await idempotency.run('in-between', () => `ran ${++runs}`)).toBe('ran 1');
    expect(await idempotency.run('refused', () => `ran ${++runs}`)).toBe('ran 2');
    await idempotency.close();
    await store.close();
  });

  test('many calls at once share a WAIT, and none is answered before it', async () => {
    const store = new RedisStore({ url: url(), waitForReplicas: 1 });
    const idempotency = createIdempotency({ store, name: 'charge', logger: {} });
    const waits = async () =>
      Number(/cmdstat_wait:calls=(\d+)/.exec(await group.master.admin.info('commandstats'))?.[1] ?? 0);
    const before = await waits();
    await Promise.all(Array.from({ length: 200 }, (_, i) => idempotency.run(`many-${i}`, () => i)));
    const used = (await waits()) - before;
    expect(used).toBeGreaterThan(0);
    expect(used).toBeLessThan(200);
    await idempotency.close();
    await store.close();
  });
});

const LINKS = [
  { delayMs: 1, failsFirst: false },
  { delayMs: 1, failsFirst: true },
];

describe('acknowledged writes after the master was killed, and what was on its way was lost', () => {
  test('with waitForReplicas of all replicas none is lost, also where the link failed first', async () => {
    const options = { waitForReplicas: { count: 1, timeoutMs: 200 } };
    for (const link of LINKS) {
      const loss = await measureLoss(FAILOVERS, options, link);
      report('waitForReplicas 1', link, loss);
      expect(loss.lost).toEqual({ claims: 0, settles: 0 });
    }
  });

  test('without it some are, where the link failed first: which is what the option is for', async () => {
    for (const link of isLong ? LINKS : LINKS.slice(1)) {
      const loss = await measureLoss(FAILOVERS, {}, link);
      report('asynchronous', link, loss);
      if (link.failsFirst) expect(loss.lost.settles).toBeGreaterThan(0);
    }
  });
});

function report(what: string, { failsFirst, delayMs }: LinkTerms, loss: Loss): void {
  const { failovers, lossy, acknowledged, lost } = loss;
  const link = `${delayMs} ms away${failsFirst ? ', cut off before' : ''}`;
  const counts = `lost ${lost.claims} of ${acknowledged.claims} claims, ${lost.settles} of ${acknowledged.settles} outcomes`;
  if (isLong)
    process.stderr.write(
      `failover, ${what}, replica ${link}: ${failovers} rounds, ${lossy} with loss: ${counts}\n`,
    );
}

describe('Sentinel', () => {
  test('G6, G8: the next calls find the promoted replica, and what was confirmed is there', async () => {
    const group = await startReplicated({ replicas: 2, sentinels: 3 });
    const { sentinels, name } = group;
    // Two of two: whichever replica is promoted has it.
    const redis = { sentinels, name, sentinelRetryStrategy: () => 100 };
    const store = new RedisStore({ redis, waitForReplicas: { count: 1, timeoutMs: 500 } });
    const idempotency = createIdempotency({
      store,
      name: 'charge',
      logger: {},
      lease: '4s',
      storeTimeout: '5s',
    });
    try {
      await idempotency.run('before', () => 'recorded');
      await until('both replicas have it', async () => Number(await group.master.admin.wait(2, 1_000)) === 2);
      let go!: () => void;
      const gate = new Promise<void>((resolve) => (go = resolve));
      const running = idempotency.run('during', async () => (await gate, 'ran'));
      await until('the claim is held by both', async () => {
        const values = await Promise.all(
          group.replicas.map(({ admin }) => admin.get(placeOf('during').address)),
        );
        return values.every((value) => value?.startsWith('2P'));
      });
      await group.master.kill();
      await until('a replica is promoted', async () => (await group.masterPort()) !== group.master.port);
      go();
      expect(await running).toBe('ran');
      await until('the promoted one answers', async () => {
        return (await idempotency.run('before', () => 'again')) === 'recorded';
      });
      await until(
        'every key can be completed',
        async () => (await idempotency.run('after', () => 'ran')) === 'ran',
      );
      expect(await idempotency.run('during', () => 'again')).toBe('ran');
    } finally {
      await idempotency.close();
      await store.close();
      await group.stop();
    }
  });

  test('G8: a master that was demoted without a word is left after its first READONLY', async () => {
    const group = await startReplicated({ replicas: 1, sentinels: 0 });
    const store = new RedisStore(`redis://127.0.0.1:${group.master.port}`);
    const idempotency = createIdempotency({ store, name: 'charge', logger: {}, storeTimeout: 500 });
    const connections = async () => {
      const listed = String(await group.master.admin.call('CLIENT', 'LIST', 'TYPE', 'normal'));
      return [...listed.matchAll(/^id=(\d+) .*cmd=(?!client)/gm)].map(([, id]) => id);
    };
    try {
      await idempotency.run('before', () => 'recorded');
      const before = await connections();
      expect(before).toHaveLength(1);
      await group.master.admin.replicaof('127.0.0.1', String(group.replicas[0]!.port));
      expect(await errorOf(idempotency.run('k', () => 'ran'))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
      // Each try looks anew where the master is: behind a DNS name, that is how it is found.
      expect(await connections()).not.toContain(before[0]);
      // A master again, so that what must still be withdrawn is.
      await group.master.admin.replicaof('NO', 'ONE');
      expect(await idempotency.run('k', () => 'ran')).toBe('ran');
    } finally {
      await idempotency.close();
      await store.close();
      await group.stop();
    }
  });
});
