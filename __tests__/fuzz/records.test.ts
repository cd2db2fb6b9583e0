import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { Lease } from '../../src/core/record.js';
import { newToken } from '../../src/core/token.js';
import { createIdempotency, type Idempotency } from '../../src/idempotency/idempotency.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { placeOf } from '../support/instances.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { endOf, expectCoded, forAll, TEST_MS, watchPrototypes, type End } from './cases.js';

watchPrototypes('records');

let server: PrivateRedis;
let client: Redis;
let store: RedisStore;
let idempotency: Idempotency;
/** Values of every kind that the store itself writes, as a template of each. */
let templates: Buffer[];
let keys = 0;

beforeAll(async () => {
  server = await startRedis();
  client = new Redis(server.url);
  store = new RedisStore(server.url);
  idempotency = createIdempotency({
    store,
    name: 'charge',
    logger: {},
    waitTimeout: 5,
    onStoreError: 'throw',
  });
  templates = await writeTemplates();
});
afterAll(async () => {
  await idempotency.close();
  await store.close();
  client.disconnect();
  await server.stop();
});
beforeEach(() => client.flushall());
afterEach(async () => expect(await client.ping()).toBe('PONG'));

const freshKey = () => `order-${++keys}`;
const LEASE = {
  leaseMs: 60_000,
  unsettledRetentionMs: 60_000,
  onAbandoned: 'retry',
  fingerprint: undefined,
} as const;
const DONE = {
  status: 'COMPLETED',
  final: true,
  failures: 0,
  payload: '{"charge":"ch_1"}',
  retentionMs: 60_000,
} as const;
const FAILED = { ...DONE, status: 'FAILED' } as const;

async function claim(key: string, more: { replacing?: string; leaseMs?: number } = {}): Promise<Lease> {
  const request = { ...LEASE, token: newToken(), replacing: undefined, ...more };
  const answer = await store.claim(placeOf(key), request);
  if (answer.kind !== 'acquired') throw new Error('expected a lease');
  return { ...request, ...answer.grant };
}

async function writeTemplates(): Promise<Buffer[]> {
  const step = { name: 'reserve', payload: '{"seat":1}' };
  const makers: ((key: string) => Promise<unknown>)[] = [
    (key) => claim(key),
    async (key) => store.step(placeOf(key), await claim(key), step),
    async (key) => store.settle(placeOf(key), await claim(key), DONE),
    async (key) => store.settle(placeOf(key), await claim(key), FAILED),
    async (key) => store.settle(placeOf(key), await claim(key), { ...FAILED, final: false, failures: 1 }),
    async (key) => {
      const first = await claim(key);
      await store.step(placeOf(key), first, step);
      await store.settle(placeOf(key), { ...first, steps: [step] }, { ...FAILED, final: false, failures: 1 });
      await claim(key, { replacing: first.token });
    },
    async (key) => {
      await store.settle(placeOf(key), await claim(key), DONE);
      await idempotency.forget(key);
    },
    (key) =>
      client.set(placeOf(key).address, '{"status":"success","context":{"charge":"ch_1"}}', 'PX', 60_000),
    async (key) => {
      const lease = await claim(key);
      await store.step(placeOf(key), lease, step);
      await store.settle(placeOf(key), { ...lease, steps: [step] }, { ...FAILED, final: false, failures: 1 });
    },
  ];
  return Promise.all(
    makers.map(async (make) => {
      const key = freshKey();
      await make(key);
      return (await client.getBuffer(placeOf(key).address))!;
    }),
  );
}

/** All that the store can be asked about a key. */
async function askEverything(key: string): Promise<End[]> {
  const place = placeOf(key);
  const strange: Lease = { ...(await claim(freshKey())), steps: [{ name: 'other', payload: '1' }] };
  const owner =
    ((await client.type(place.address)) === 'string' ? await client.get(place.address) : '') ?? '';
  const ends: End[] = [];
  for (const ask of [
    () => store.read(place),
    () => store.claim(place, { ...LEASE, token: newToken(), replacing: undefined }),
    () => store.claim(place, { ...LEASE, token: newToken(), replacing: newToken() }),
    () => store.claim(place, { ...LEASE, token: newToken(), replacing: owner.slice(34, 50) }),
    () => store.renew(place, strange),
    () => store.step(place, strange, { name: 'mine', payload: '2' }),
    () => store.settle(place, { ...strange, fence: 1 }, DONE),
    () => store.release(place, newToken()),
    () => store.override(place, { kind: 'forget', force: false }),
    () => store.override(place, { kind: 'resolve', token: newToken(), ...DONE }),
  ]) {
    ends.push(await endOf(ask));
  }
  return ends;
}

function expectNoScriptFailed(ends: readonly End[]): void {
  for (const end of ends) {
    expectCoded(end);
    if ('error' in end) expect(String(end.error)).not.toMatch(/user_script|attempt to|bad argument|Lua/);
  }
}

interface Damage {
  readonly template: number;
  readonly flips: readonly { readonly at: number; readonly bit: number }[];
  readonly cut: number | undefined;
  readonly insert: { readonly at: number; readonly bytes: Uint8Array } | undefined;
}

const damage: fc.Arbitrary<Damage> = fc.record({
  template: fc.nat({ max: 8 }),
  flips: fc.array(fc.record({ at: fc.nat({ max: 400 }), bit: fc.nat({ max: 7 }) }), { maxLength: 3 }),
  cut: fc.option(fc.nat({ max: 300 }), { nil: undefined }),
  insert: fc.option(fc.record({ at: fc.nat({ max: 200 }), bytes: fc.uint8Array({ maxLength: 20 }) }), {
    nil: undefined,
  }),
});

function damaged({ template, flips, cut, insert }: Damage): Buffer {
  let value = Buffer.from(templates[template]!);
  for (const { at, bit } of flips) {
    const place = at % value.length;
    value[place] = value[place]! ^ (1 << bit);
  }
  if (insert) value = Buffer.concat([value.subarray(0, insert.at), insert.bytes, value.subarray(insert.at)]);
  return cut === undefined ? value : value.subarray(0, cut);
}

test(
  'a record that was damaged in any way ends every call with an answer or a code, and no script fails on it',
  () =>
    forAll({ few: 400, many: 9_000 }, damage, async (how) => {
      const key = freshKey();
      await client.set(placeOf(key).address, damaged(how), 'PX', 60_000);
      expectNoScriptFailed(await askEverything(key));
    }),
  TEST_MS,
);

const FINAL = [2, 3, 7];

test(
  'one flipped bit, or a cut, never makes a settled operation run again',
  () => {
    const one = fc.record({
      template: fc.constantFrom(...FINAL),
      flips: fc.array(fc.record({ at: fc.nat({ max: 400 }), bit: fc.nat({ max: 7 }) }), { maxLength: 1 }),
      cut: fc.option(fc.nat({ max: 300 }), { nil: undefined }),
      insert: fc.constant(undefined),
    });
    return forAll({ few: 600, many: 9_000 }, one, async (how) => {
      const key = freshKey();
      await client.set(placeOf(key).address, damaged(how), 'PX', 60_000);
      let runs = 0;
      await endOf(() => idempotency.run(key, () => ++runs));
      expect(runs).toBe(0);
    });
  },
  TEST_MS,
);

const garbage = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((json) => `{${json}`),
  fc
    .tuple(fc.constantFrom('2P', '3C', '9F', '1Z', '1'), fc.string({ maxLength: 200 }))
    .map((parts) => parts.join('')),
);

test(
  'what somebody else wrote there is never modified, and the operation does not run over it',
  () =>
    forAll({ few: 400, many: 8_000 }, garbage, async (value) => {
      const key = freshKey();
      const { address } = placeOf(key);
      await client.set(address, value, 'PX', 60_000);
      let runs = 0;
      const end = await endOf(() => idempotency.run(key, () => ++runs));
      // A digit and a capital letter is what a record of a later version would begin with.
      const code = /^[3-9][A-Z]/.test(String(value)) ? 'RECORD_TOO_NEW' : 'CORRUPT_RECORD';
      expect(end).toMatchObject({ error: { code } });
      const strange = await claim(freshKey());
      await endOf(() => store.renew(placeOf(key), strange));
      await endOf(() => store.settle(placeOf(key), strange, DONE));
      await endOf(() => store.release(placeOf(key), strange.token));
      expect(runs).toBe(0);
      expect(await client.getBuffer(address)).toEqual(Buffer.from(value));
      expectNoScriptFailed(await askEverything(key));
    }),
  TEST_MS,
);

test.each<[string, (address: string) => Promise<unknown>]>([
  ['list', (address) => client.rpush(address, 'a')],
  ['hash', (address) => client.hset(address, 'status', 'COMPLETED')],
  ['set', (address) => client.sadd(address, '1C')],
  ['sorted set', (address) => client.zadd(address, 1, '1C')],
  ['stream', (address) => client.xadd(address, '*', 'a', 'b')],
  ['bitmap', (address) => client.setbit(address, 7, 1)],
  ['hyperloglog', (address) => client.pfadd(address, 'a')],
])('a %s in the place of a record is CORRUPT_RECORD, stays what it was, and runs nothing', async (_, put) => {
  const key = freshKey();
  const { address } = placeOf(key);
  await put(address);
  const before = await client.dumpBuffer(address);
  let runs = 0;
  const end = await endOf(() => idempotency.run(key, () => ++runs));
  expect(end).toMatchObject({ error: { code: 'CORRUPT_RECORD' } });
  expect(runs).toBe(0);
  expect(await client.dumpBuffer(address)).toEqual(before);
  expectNoScriptFailed(await askEverything(key));
});

test(
  'a record of any future version is RECORD_TOO_NEW, and stays as it is',
  () => {
    const version = fc.tuple(fc.constantFrom(...'3456789'), fc.nat({ max: 7 }));
    return forAll({ few: 50, many: 500 }, version, async ([digit, template]) => {
      const key = freshKey();
      const { address } = placeOf(key);
      const value = Buffer.from(templates[template === 7 ? 0 : template]!);
      value[0] = digit.charCodeAt(0);
      await client.set(address, value, 'PX', 60_000);
      const end = await endOf(() => idempotency.run(key, () => 'again'));
      expect(end).toMatchObject({
        error: { code: 'RECORD_TOO_NEW', message: expect.stringMatching(/newer version/) },
      });
      expect(await client.getBuffer(address)).toEqual(value);
    });
  },
  TEST_MS,
);

test('a failed record whose steps are damaged is CORRUPT_RECORD, and its claim holds nobody up (G8)', async () => {
  const key = freshKey();
  const { address } = placeOf(key);
  const value = templates[8]!.toString().replace('["reserve",', '["reserve";');
  await client.set(address, value, 'PX', 60_000);
  let runs = 0;
  const end = await endOf(() => idempotency.run(key, () => ++runs));
  expect(end).toMatchObject({ error: { code: 'CORRUPT_RECORD' } });
  expect(runs).toBe(0);
  // What was claimed is withdrawn: the record is as it was, but for the mark of the withdrawn token.
  for (let round = 0; round < 500 && (await client.get(address))?.[1] !== 'R'; round++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  expect(bodyOf((await client.get(address))!)).toBe(bodyOf(value));
});

/** What stands behind the header: its fixed fields take 80 characters, and the last four say how many the others take. */
function bodyOf(record: string): string {
  return record.slice(80 + Number(record.slice(76, 80)));
}
