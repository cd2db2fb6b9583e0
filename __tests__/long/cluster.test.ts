import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Cluster } from 'ioredis';
import type { ClaimRequest } from '../../src/core/store.js';
import { createIdempotency, type Idempotency } from '../../src/idempotency/idempotency.js';
import { RedisStore, type RedisStoreOptions } from '../../src/stores/redis/store.js';
import { describeStoreContract } from '../../src/testing/index.js';
import { placeOf } from '../support/instances.js';
import { startCluster, until, type Node, type TestCluster } from '../support/redis-cluster.js';
import { isLong } from '../faults/cluster-cases.js';
import { keyAt } from '../support/keys.js';

jest.setTimeout(240_000);

let cluster: TestCluster;
let shared: Cluster;
let isOver = false;
/** Those of ioredis' connections to dead nodes, too, which it keeps for some seconds. */
const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
let timersBefore = 0;

beforeAll(async () => {
  timersBefore = timers();
  cluster = await startCluster();
  shared = connect();
}, 240_000);
afterAll(async () => {
  isOver = true;
  shared.disconnect();
  await cluster.stop();
  await until('ioredis lets go of its timers', async () => timers() <= timersBefore, 15_000);
}, 60_000);

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((close) => close()));
});

function connect(options: object = {}): Cluster {
  const client = new Cluster(cluster.startupNodes, {
    slotsRefreshTimeout: 900,
    // A refresh that ends after disconnect() would set its timer again.
    slotsRefreshInterval: 0,
    redisOptions: { disconnectTimeout: 50 },
    // ioredis goes on connecting when it is told to disconnect at the wrong moment.
    clusterRetryStrategy: () => (isOver ? null : 100),
    ...options,
  });
  client.on('error', () => undefined);
  return client;
}

const contract = { histories: isLong ? 100 : 10, shortLeaseMs: 100, maxWaitMs: 30_000 };
describeStoreContract(
  'RedisStore over a Redis Cluster',
  () => ({ store: new RedisStore(shared), another: () => new RedisStore(shared) }),
  contract,
);
const waiting = { waitForReplicas: { count: 1, timeoutMs: 1_000 } };
describeStoreContract(
  'RedisStore over a Redis Cluster, with waitForReplicas',
  () => ({
    store: new RedisStore({ client: shared, ...waiting }),
    another: () => new RedisStore({ client: shared, ...waiting }),
  }),
  contract,
);

/** A process: an engine on a store and a Cluster client of its own. */
function processOn(options: Partial<RedisStoreOptions> = {}, clusterOptions: object = {}): Idempotency {
  const client = connect(clusterOptions);
  const store = new RedisStore({ client, ...options });
  const idempotency = createIdempotency({
    ...{ store, name: 'charge', logger: {} },
    ...{ lease: '5s', storeTimeout: '20s', waitTimeout: '60s' },
  });
  open.push(async () => {
    await idempotency.close();
    await store.close();
    client.disconnect();
  });
  return idempotency;
}

const slotOf = async (key: string): Promise<number> =>
  Number(await cluster.masters[0]!.admin.cluster('KEYSLOT', placeOf(key).address));
const holderOf = async (key: string): Promise<Node> =>
  cluster.masters[Math.floor((await slotOf(key)) / 5_462)]!;

/** The owner's run, held open; resolves once its work has begun. */
async function heldRun(owner: Idempotency, key: string) {
  let go!: () => void;
  const gate = new Promise<void>((resolve) => (go = resolve));
  let started!: () => void;
  const begun = new Promise<void>((resolve) => (started = resolve));
  const answer = owner.run(key, async () => (started(), await gate, `ran ${key}`));
  await Promise.race([begun, answer]);
  return { answer, go };
}

describe('wake-ups through a Cluster', () => {
  test.each([
    ['plain', {}],
    ['with a keyPrefix', { keyPrefix: 'app:' }],
  ])('a duplicate in another process is woken, whichever node it listens at: %s', async (_, options) => {
    const [owner, other] = [processOn({}, options), processOn({}, options)];
    for (let round = 0; round < 6; round++) {
      const key = `woken-${round}-${JSON.stringify(options)}`;
      const { answer, go } = await heldRun(owner, key);
      const waits = new Promise<void>((resolve) => {
        const off = other.on('wait', () => (off(), resolve()));
      });
      const duplicate = other.run(key, () => 'ran twice');
      await waits;
      go();
      expect(await Promise.all([answer, duplicate])).toEqual([`ran ${key}`, `ran ${key}`]);
    }
  });

  test('the subscription moves to another node when its own dies, and whoever waits is woken', async () => {
    const store = new RedisStore(shared);
    const place = placeOf('listening');
    await store.read(place);
    let woken = 0;
    const leave = await store.subscribe(place, () => woken++);
    const listened = async ({ admin }: Node) => Number((await admin.pubsub('NUMSUB', place.address))[1]) > 0;
    const nodes = [...cluster.masters, ...cluster.replicas];
    const heard = await Promise.all(nodes.map(listened));
    const at = nodes[heard.indexOf(true)]!;
    await at.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until('the waiter is woken', async () => woken > 0);
    expect((await Promise.all(nodes.map(listened))).filter(Boolean)).toHaveLength(1);
    leave();
    await store.close();
  });
});

describe.each([
  ['without waitForReplicas', {}],
  ['with waitForReplicas', waiting],
])('a slot that moves to another node, %s', (title, options) => {
  test('G1, G6: running, waiting and later callers agree, before, during (ASK) and after (MOVED)', async () => {
    const [owner, other] = [processOn(options), processOn(options)];
    const key = `moving ${title}`;
    const neighbour = `{${placeOf(key).address}}`;
    const slot = await slotOf(key);
    const from = await holderOf(key);
    const to = cluster.masters.find((each) => each !== from)!;
    const { answer, go } = await heldRun(owner, key);
    const duplicate = other.run(key, () => 'ran twice');
    await cluster.beginMove(slot, from, to);
    // A key of the same slot that is not there yet lives at the target now: ASK.
    const store = new RedisStore({ client: shared, ...options });
    const asked = keyAt(`${neighbour}:new`, 'abcdef');
    const claim: ClaimRequest = {
      ...{ token: 'token-0123456789', replacing: undefined, leaseMs: 60_000 },
      ...{ unsettledRetentionMs: 60_000, onAbandoned: 'retry', fingerprint: undefined },
    };
    expect(await store.claim(asked, claim)).toMatchObject({ kind: 'acquired' });
    expect(await store.claim(asked, { ...claim, token: 'token-another-01' })).toMatchObject({
      kind: 'existing',
    });
    await cluster.endMove(slot, from, to);
    go();
    expect(await Promise.all([answer, duplicate])).toEqual([`ran ${key}`, `ran ${key}`]);
    expect(await processOn(options).run(key, () => 'ran twice')).toBe(`ran ${key}`);
    await cluster.beginMove(slot, to, from);
    await cluster.endMove(slot, to, from);
    expect(await other.run(key, () => 'ran twice')).toBe(`ran ${key}`);
  });
});

describe('a master that is killed', () => {
  test('G6, G8: its replica takes over, running work settles there, and every key can be completed', async () => {
    const gone = cluster.masters[0]!;
    const keys: string[] = [];
    for (let i = 0; keys.length < 6; i++)
      if ((await holderOf(`orphan-${i}`)) === gone) keys.push(`orphan-${i}`);
    const owner = processOn();
    const before = await owner.run(keys[0]!, () => 'before');
    const { answer, go } = await heldRun(owner, keys[1]!);
    // What was acknowledged is on the replica: this test is about promotion, not about loss.
    await until('the replicas have it all', async () => Number(await gone.admin.wait(1, 1_000)) === 1);
    await gone.kill();
    await cluster.promoted(gone);
    go();
    expect(await answer).toBe(`ran ${keys[1]}`);
    const later = processOn();
    expect(await later.run(keys[0]!, () => 'again')).toBe(before);
    expect(await later.run(keys[1]!, () => 'again')).toBe(`ran ${keys[1]}`);
    for (const key of keys.slice(2)) expect(await later.run(key, () => `ran ${key}`)).toBe(`ran ${key}`);
  });
});
