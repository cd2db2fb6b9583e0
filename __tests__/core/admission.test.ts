import { describe, expect, test } from '@jest/globals';
import {
  createIdempotency,
  idempotent,
  inFlightPerScope,
  InMemoryStore,
  makeIdempotent,
  waitersPerKey,
  type AdmitFacts,
} from '../../src/index.js';
import { fetchIdempotency } from '../../src/http/fetch.js';
import { idempotentConsumer } from '../../src/queue/consumer.js';
import { deferred, errorOf } from '../support/deferred.js';
import { nextEvent, world } from '../support/instances.js';

/** An instance of which every call is refused is one that runs nothing. */
async function refusedBy(admit: unknown, storeTimeout = 2_000) {
  const { process, store } = world();
  const one = process({ admit: admit as () => boolean, storeTimeout });
  let runs = 0;
  const error = await errorOf(one.run('k', () => ++runs));
  expect({ runs, claims: one.faulty.calls.claim, records: store.size }).toEqual({
    runs: 0,
    claims: 0,
    records: 0,
  });
  return error;
}

describe('admit decides before anything is claimed or run', () => {
  test.each([[true], [undefined], [Promise.resolve(true)], [Promise.resolve(undefined)]])(
    '%p lets the call in',
    async (answer) => {
      const one = world().process({ admit: () => answer });
      await expect(one.run('k', () => 'ran')).resolves.toBe('ran');
    },
  );

  test('false refuses with LIMITED, to come again in a second', async () => {
    expect(await refusedBy(() => false)).toMatchObject({ code: 'LIMITED', retryAfterMs: 1_000 });
    expect(await refusedBy(() => Promise.resolve(false))).toMatchObject({ code: 'LIMITED' });
  });

  test('a number refuses with LIMITED, to come again in so many milliseconds', async () => {
    expect(await refusedBy(() => 7_500)).toMatchObject({ code: 'LIMITED', retryAfterMs: 7_500 });
  });

  test.each([...[NaN, -1, 0, 0.5, Infinity, 2 ** 31, null, 'no', {}, [], () => true], ...[Symbol('x'), 10n]])(
    '%p is no answer: INVALID_OPTIONS',
    async (answer) => {
      const error = await refusedBy(() => answer);
      expect(error).toMatchObject({
        code: 'INVALID_OPTIONS',
        message: expect.stringContaining('admit answered'),
      });
    },
  );

  test('what throws, rejects, or has a getter that throws refuses with LIMITED and the cause', async () => {
    const cause = new Error('the limiter is down');
    const thrower = () => {
      throw cause;
    };
    const then = Object.defineProperty({}, 'then', { get: thrower });
    for (const admit of [thrower, () => Promise.reject(cause), () => then])
      expect(await refusedBy(admit)).toMatchObject({
        code: 'LIMITED',
        cause,
        message: expect.stringContaining('admit threw: the limiter is down'),
      });
  });

  test('one that never answers refuses at storeTimeout; its late rejection harms nobody', async () => {
    const gate = deferred<boolean>();
    const error = await refusedBy(() => gate.promise, 30);
    expect(error).toMatchObject({ code: 'LIMITED', message: expect.stringContaining('30 ms') });
    gate.reject(new Error('too late'));
    await new Promise((resolve) => setImmediate(resolve));
  });

  test('a refusal counts as one, and duplicates of a recorded answer are asked about as well', async () => {
    let isOpen = true;
    const one = world().process({ admit: () => isOpen });
    await one.run('k', () => 1);
    isOpen = false;
    expect(await errorOf(one.run('k', () => 2))).toMatchObject({ code: 'LIMITED' });
    expect(one.stats()).toMatchObject({ refusals: { LIMITED: 1 }, misses: 1 });
  });
});

describe('the facts', () => {
  test('say what the call is, and how many of its scope run, wait and are known, itself not included', async () => {
    const seen: AdmitFacts[] = [];
    const admit = (facts: AdmitFacts) => void seen.push(facts);
    const one = world().process({ admit });
    const gate = deferred();
    const started = nextEvent(one, 'miss');
    const first = one.run('order-1', () => gate.promise, { scope: 'a', payload: 'grün' });
    await started;
    const joined = nextEvent(one, 'join');
    const second = one.run('order-1', () => gate.promise, { scope: 'a', payload: 'grün' });
    await joined;
    const others = [one.run('x', () => 1, { scope: 'a' }), one.run('x', () => 1, { scope: 'b' })];
    gate.resolve();
    await Promise.all([first, second, ...others]);
    await one.run('y', () => 1, { scope: 'a' });
    const none = { running: 0, waiting: 0, known: 0, sameKey: 0 };
    const of = { operation: 'charge', scope: 'a', payloadBytes: undefined };
    expect(seen).toEqual([
      { ...of, keyLength: 7, payloadBytes: 5, ...none },
      { ...of, keyLength: 7, payloadBytes: 5, running: 1, waiting: 0, known: 1, sameKey: 1 },
      { ...of, keyLength: 1, running: 1, waiting: 1, known: 1, sameKey: 0 },
      { ...of, scope: 'b', keyLength: 1, ...none },
      { ...of, keyLength: 1, ...none },
    ]);
  });

  test('have the scope as it was given, also where it is stored under a pepper', async () => {
    const seen: AdmitFacts[] = [];
    const given = { pepper: 'a secret of enough characters', scope: 'acme' };
    const one = world().process({ admit: (facts) => void seen.push(facts), ...given });
    await one.run('k', () => 1);
    await one.run('k', () => 1, { scope: 'other' });
    const serve = fetchIdempotency({ idempotency: one, scope: 'shared' })(() => new Response('a'));
    await serve(new Request('http://h/o', { method: 'POST', headers: { 'idempotency-key': 'k' } }));
    expect(seen.map(({ scope }) => scope)).toEqual(['acme', 'other', 'acme']);
  });

  test('calls whose admit is still asked are counted, so that a burst can not slip through', async () => {
    const limit = inFlightPerScope(3);
    const gate = deferred();
    const one = world().process({ admit: async (facts) => (await Promise.resolve(), limit(facts)) });
    const calls = Array.from({ length: 10 }, (_, n) =>
      one.run(`k${n}`, () => gate.promise).catch((error: unknown) => error),
    );
    await new Promise((resolve) => setImmediate(resolve));
    gate.resolve();
    const codes = (await Promise.all(calls)).map((error) => (error as { code?: string } | undefined)?.code);
    expect(codes.filter((code) => code === 'LIMITED')).toHaveLength(7);
  });
});

describe('helpers', () => {
  test('waitersPerKey(n): the first one and n that wait', async () => {
    const one = world().process({ admit: waitersPerKey(2) });
    const gate = deferred<string>();
    const calls = Array.from({ length: 5 }, () => one.run('k', () => gate.promise).catch((e: unknown) => e));
    gate.resolve('ok');
    const answers = await Promise.all(calls);
    expect(answers.slice(0, 3)).toEqual(['ok', 'ok', 'ok']);
    for (const refused of answers.slice(3)) expect(refused).toMatchObject({ code: 'LIMITED' });
    await expect(one.run('k', () => 'again')).resolves.toBe('ok');
  });

  test('inFlightPerScope(n): of each scope, and free again when a call has ended, however it did', async () => {
    const one = world().process({ admit: inFlightPerScope(1) });
    const gate = deferred();
    const held = one.run('k', () => gate.promise, { scope: 'a' }).catch((e: unknown) => e);
    expect(await errorOf(one.run('l', () => 1, { scope: 'a' }))).toMatchObject({ code: 'LIMITED' });
    await expect(one.run('l', () => 1, { scope: 'b' })).resolves.toBe(1);
    gate.reject(new Error('declined'));
    await held;
    await expect(one.run('l', () => 1, { scope: 'a' })).resolves.toBe(1);
  });

  test.each([NaN, -1, 0.5, Infinity, '3', null, undefined, {}, 2 ** 60])('%p is no number of calls', (n) => {
    for (const make of [inFlightPerScope, waitersPerKey])
      expect(() => make(n as number)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
  });
});

describe('every adapter takes it', () => {
  const store = () => new InMemoryStore();
  const admit = () => 2_500;

  test('createIdempotency() and the function adapter', async () => {
    const limited = { code: 'LIMITED', retryAfterMs: 2_500 };
    const one = createIdempotency({ store: store(), name: 'n', admit });
    expect(await errorOf(one.run('k', () => 1))).toMatchObject(limited);
    const execute = () => 1;
    expect(await errorOf(idempotent({ store: store(), key: 'k', name: 'n', execute, admit }))).toMatchObject(
      limited,
    );
    const charge = makeIdempotent(async (n: number) => n, { name: 'charge', store: store(), admit });
    expect(await errorOf(charge(1))).toMatchObject(limited);
  });

  test('HTTP: 429 with Retry-After, and the caller as it was named', async () => {
    const seen: AdmitFacts[] = [];
    const protect = fetchIdempotency({
      store: store(),
      scope: () => 'api-key-1',
      admit: (facts) => (seen.push(facts), 2_500),
    });
    let runs = 0;
    const handler = protect(() => new Response(String(++runs), { status: 201 }));
    const headers = { 'idempotency-key': 'k', 'content-length': '2' };
    const response = await handler(new Request('http://x/pay', { method: 'POST', headers, body: '{}' }));
    expect([response.status, response.headers.get('retry-after'), runs]).toEqual([429, '3', 0]);
    expect(await response.json()).toMatchObject({ code: 'LIMITED', status: 429 });
    expect(seen).toMatchObject([{ scope: 'api-key-1', keyLength: 1, payloadBytes: 2 }]);
  });

  test('consumers: the message comes again when it was told to', async () => {
    let runs = 0;
    const consume = idempotentConsumer({
      ...{ store: store(), name: 'q', key: () => 'k', admit },
      handler: () => ++runs,
    });
    expect(await consume({})).toMatchObject({ action: 'retry', delayMs: 2_500, failed: false });
    expect(runs).toBe(0);
  });

  test.each([[true], ['yes'], [1], [null], [{}]])('admit: %p is refused at construction', (bad) => {
    const given = { store: store(), admit: bad as never };
    const invalid = expect.objectContaining({ code: 'INVALID_OPTIONS' });
    expect(() => createIdempotency(given)).toThrow(invalid);
    expect(() => fetchIdempotency({ ...given, scope: 'shared' })).toThrow(invalid);
    expect(() => idempotentConsumer({ ...given, name: 'q', key: () => 'k', handler: () => 1 })).toThrow(
      invalid,
    );
    expect(() => makeIdempotent(async () => 1, { ...given, name: 'named' })).toThrow(invalid);
  });

  test('HTTP and consumers refuse one beside an instance, which has its own', () => {
    const idempotency = createIdempotency({ store: store() });
    const invalid = expect.objectContaining({ code: 'INVALID_OPTIONS' });
    expect(() => fetchIdempotency({ idempotency, scope: 'shared', admit })).toThrow(invalid);
    const consumer = { idempotency, name: 'q', key: () => 'k', handler: () => 1 };
    expect(() => idempotentConsumer({ ...consumer, admit })).toThrow(invalid);
  });
});

describe('ttlOf', () => {
  const send = async (ttlOf: unknown) => {
    const kept = store();
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const protect = fetchIdempotency({
      store: kept,
      scope: 'shared',
      logger,
      ttlOf: ttlOf as () => undefined,
    });
    const handler = protect(() => new Response('no', { status: 400, headers: { 'content-type': 'text/x' } }));
    const headers = { 'idempotency-key': 'k' };
    const response = await handler(new Request('http://x/pay', { method: 'POST', headers }));
    const records = [...kept.records];
    return { status: response.status, warnings, lastsMs: records[0]!.expiresAtMs - Date.now() };
  };
  const store = () => {
    const inner = new InMemoryStore();
    const records: { expiresAtMs: number }[] = [];
    const settle = inner.settle.bind(inner);
    inner.settle = async (key, lease, settlement) => {
      const done = await settle(key, lease, settlement);
      records.push((await inner.read(key))!);
      return done;
    };
    return Object.assign(inner, { records });
  };

  test('says how long an answer is kept, by its status and headers', async () => {
    const seen: unknown[] = [];
    const { lastsMs, status } = await send((answer: unknown) => (seen.push(answer), '10m'));
    expect(status).toBe(400);
    expect(Math.round(lastsMs / 60_000)).toBe(10);
    expect(seen).toMatchObject([{ status: 400, headers: { 'content-type': 'text/x' } }]);
  });

  test('undefined leaves it to ttl', async () => {
    expect(Math.round((await send(() => undefined)).lastsMs / 3_600_000)).toBe(24);
  });

  test.each([
    ...[NaN, -1, 0, Infinity, 2 ** 60, null, 'soon', {}, true],
    () => Promise.reject(new Error('async')),
  ])('%p is no duration: the ttl holds, with a warning', async (answer) => {
    const { lastsMs, warnings, status } = await send(() =>
      typeof answer === 'function' ? (answer as () => unknown)() : answer,
    );
    expect(Math.round(lastsMs / 3_600_000)).toBe(24);
    expect([status, warnings]).toEqual([400, [expect.stringContaining('ttlOf')]]);
  });

  test('nor does one that throws cost the record', async () => {
    const { lastsMs, warnings } = await send(() => {
      throw new Error('bug');
    });
    expect(Math.round(lastsMs / 3_600_000)).toBe(24);
    expect(warnings).toEqual([expect.stringContaining('bug')]);
  });

  test.each([[1], ['1h'], [null], [{}]])('ttlOf: %p is refused at construction', (bad) => {
    const make = () => fetchIdempotency({ store: store(), scope: 'shared', ttlOf: bad as never });
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
  });
});
