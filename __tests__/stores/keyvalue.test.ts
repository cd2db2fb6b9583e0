import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { createIdempotency } from '../../src/index.js';
import { fromPlain, toPlain } from '../../src/stores/keyvalue/record.js';
import { KeyValueStore, type IdempotencyStore } from '../../src/stores/keyvalue/store.js';
import { Bench } from '../../src/testing/bench.js';
import { checkOptions } from '../../src/testing/options.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { SetexStore } from '../support/simple-stores.js';

const onWarning = (): void => undefined;
let server: PrivateRedis;
let redis: Redis;
beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
});
afterEach(() => void jest.restoreAllMocks());
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

function over(object: IdempotencyStore): Bench {
  return new Bench({ store: new KeyValueStore(object, { onWarning }) }, checkOptions({}));
}

class CardDeclined extends Error {
  override readonly name = 'CardDeclined';
  readonly code = 'card_declined';
}

describe("what a person's class is given", () => {
  async function stored(key: string): Promise<Record<string, unknown>> {
    return JSON.parse((await redis.get(`idempotency:run:${key}`)) ?? 'null') as Record<string, unknown>;
  }

  test('a result that JSON gives back equal is stored as it is, and replayed', async () => {
    const idempotency = createIdempotency({
      name: 'run',
      store: new KeyValueStore(new SetexStore(redis), { onWarning }),
    });
    const result = { id: 'ch_1', amount: 100, lines: [null, true, 'é'] };
    await idempotency.run('plain', () => result);
    expect(await stored('plain')).toMatchObject({
      key: 'idempotency:run:plain',
      status: 'COMPLETED',
      result,
      hitCount: 0,
    });
    expect(await idempotency.run('plain', () => 'again')).toEqual(result);
    expect(await stored('plain')).toMatchObject({ hitCount: 1, result });
    await idempotency.close();
  });

  test('G9: any other result is wrapped, and comes back equal', async () => {
    const idempotency = createIdempotency({
      name: 'run',
      store: new KeyValueStore(new SetexStore(redis), { onWarning }),
    });
    const results = [
      new Map([['at', new Date(0)]]),
      undefined,
      10n,
      Buffer.from('abc'),
      { $tagged: 1 },
      { $text: 'a' },
      null,
      Number.NaN,
    ];
    for (const [index, result] of results.entries()) {
      const key = `wrapped-${index}`;
      await idempotency.run<unknown>(key, () => result);
      expect(await idempotency.run<unknown>(key, () => 'again')).toEqual(result);
      const { result: kept } = await stored(key);
      if (result === null) expect(kept).toBeNull();
      else expect(Object.keys(kept as object)).toEqual([expect.stringMatching(/^\$(tagged|text)$/)]);
    }
    await idempotency.close();
  });

  test('an error is kept as tagged plain data, and thrown again with its class, code and cause', async () => {
    const idempotency = createIdempotency({
      name: 'run',
      store: new KeyValueStore(new SetexStore(redis), { onWarning }),
    });
    const fail = (): never => {
      throw new CardDeclined('no funds', { cause: new Error('bank') });
    };
    await expect(idempotency.run('failed', fail, { remember: 'all' })).rejects.toThrow('no funds');
    expect(await stored('failed')).toMatchObject({
      status: 'FAILED',
      error: { $tagged: { $Error: expect.anything() } },
    });
    const replayed: unknown = await idempotency.run('failed', () => 'again').catch((error: unknown) => error);
    expect(replayed).toMatchObject({ name: 'CardDeclined', message: 'no funds', code: 'card_declined' });
    expect(replayed).toMatchObject({ cause: { message: 'bank' } });
    await idempotency.close();
  });

  test('any text comes back the same, through JSON', () => {
    const comesBack = (text: string): void => {
      const { value } = JSON.parse(JSON.stringify({ value: toPlain(text) })) as { value: unknown };
      expect(fromPlain(value)).toBe(text);
    };
    fc.assert(fc.property(fc.string({ unit: 'binary' }), comesBack));
    fc.assert(fc.property(fc.json(), comesBack));
    fc.assert(fc.property(fc.json(), (text) => comesBack(`~${text}`)));
    fc.assert(
      fc.property(fc.constantFrom('$text', '$tagged'), fc.jsonValue(), (name, value) =>
        comesBack(JSON.stringify({ [name]: value })),
      ),
    );
  });

  test('expiresAt is a second ahead at least, so that setex is never given 0; the record ends when it should', async () => {
    const seconds: number[] = [];
    const watching = new SetexStore(redis);
    const set = watching.set.bind(watching);
    jest.spyOn(watching, 'set').mockImplementation(async (key, record) => {
      // A class that takes its time before it looks at the clock.
      await new Promise((resolve) => setTimeout(resolve, 20));
      seconds.push(Math.floor((record.expiresAt - Date.now()) / 1_000));
      await set(key, record);
    });
    const bench = over(watching);
    const lease = await bench.claim({ leaseMs: 1, unsettledRetentionMs: 1_000 });
    await bench.settle(lease, { retentionMs: 1 });
    await bench.release((await bench.claim()).token);
    expect(Math.min(...seconds)).toBeGreaterThanOrEqual(1);
    await bench.untilGone();
  });

  test('rounding down to seconds never ends a record early', async () => {
    const now = Date.now();
    jest.spyOn(Date, 'now').mockReturnValue(now);
    const object = new Map<string, { expiresAt: number }>();
    const bench = over(object as never);
    const keptForMs = (): number =>
      Math.floor(((object.get(bench.key.address)?.expiresAt ?? 0) - now) / 1_000) * 1_000;
    const lease = await bench.claim({ leaseMs: 4_500, unsettledRetentionMs: 400 });
    expect(keptForMs()).toBeGreaterThanOrEqual(4_900);
    await bench.settle(lease, { retentionMs: 3_700 });
    expect(keptForMs()).toBeGreaterThanOrEqual(3_700);
  });

  test('a bare Map does as well', async () => {
    const idempotency = createIdempotency({
      name: 'run',
      store: new KeyValueStore(new Map(), { onWarning }),
    });
    expect(await idempotency.run('map', () => new Date(7))).toEqual(new Date(7));
    expect(await idempotency.run('map', () => 'again')).toEqual(new Date(7));
    await idempotency.close();
  });

  test('clear() empties the object', async () => {
    const object = new Map();
    const store = new KeyValueStore(object, { onWarning });
    const bench = new Bench({ store }, checkOptions({}));
    await bench.claim();
    await store.clear();
    expect(object.size).toBe(0);
    await bench.claim();
  });
});

describe('within the process and across processes', () => {
  /** Answers late, in an order of its own. */
  function slow(): IdempotencyStore {
    const records = new Map<string, never>();
    const late = <T>(act: () => T): Promise<T> =>
      new Promise((resolve) => setTimeout(() => resolve(act()), Math.random() * 5));
    return {
      get: (key) => late(() => records.get(key)),
      set: (key, record) => late(() => records.set(key, record as never)),
      delete: (key) => late(() => records.delete(key)),
      clear: () => records.clear(),
    };
  }

  test('G1: calls through several wrappers of one object take turns', async () => {
    const object = slow();
    const bench = over(object);
    const others = Array.from({ length: 25 }, () => new KeyValueStore(object, { onWarning }));
    const claims = others.map((store) => store.claim(bench.key, bench.request()));
    const answers = await Promise.all(claims);
    expect(answers.filter((answer) => answer.kind === 'acquired')).toHaveLength(1);
  });

  test('G1 does not hold across processes: two objects over one server both win, as the warning says', async () => {
    const records = new Map<string, never>();
    const gate: (() => void)[] = [];
    const ofProcess = (): IdempotencyStore => ({
      get: (key) =>
        new Promise((resolve) => {
          const record = records.get(key);
          // Both have looked before either writes.
          gate.push(() => resolve(record));
          if (gate.length === 2) for (const open of gate) open();
          else if (gate.length > 2) resolve(record);
        }),
      set: (key, record) => records.set(key, record as never),
      delete: (key) => records.delete(key),
      clear: () => records.clear(),
    });
    const [one, two] = [over(ofProcess()), over(ofProcess())];
    const claims = [one, two].map((bench) => bench.store.claim(one.key, bench.request()));
    expect((await Promise.all(claims)).map(({ kind }) => kind)).toEqual(['acquired', 'acquired']);
  });

  test('it says so at construction, once for each class and process', () => {
    const emitted: unknown[] = [];
    jest.spyOn(process, 'emitWarning').mockImplementation((message: unknown) => void emitted.push(message));
    class Mine extends Map {}
    class Other extends Map {}
    for (const object of [new Mine(), new Mine(), new Other()]) new KeyValueStore(object);
    expect(emitted).toEqual([
      expect.stringMatching(/KeyValueStore over Mine is atomic within this process, not across processes/),
      expect.stringContaining('over Other'),
    ]);
    const told: string[] = [];
    new KeyValueStore(new Mine(), { onWarning: (message) => void told.push(message) });
    expect(told).toHaveLength(1);
    expect(emitted).toHaveLength(2);
  });

  test.each([
    [undefined, undefined, /wraps an object with get\(\), set\(\), delete\(\) and clear\(\)/],
    [{ get: () => null, set: () => null }, undefined, /wraps an object/],
    [new Map(), { quiet: true }, /no option "quiet"/],
  ])('%p with %j is refused', (object, options, message) => {
    const make = () => new KeyValueStore(object as never, options as never);
    expect(make).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringMatching(message) }),
    );
  });
});
