import { describe, expect, test } from '@jest/globals';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { errorOf } from '../support/deferred.js';
import { world } from '../support/instances.js';

describe('options', () => {
  const create = (options: object) => () =>
    createIdempotency({ name: 'run', store: new InMemoryStore(), ...options });

  test.each([
    [{ ttl: -1 }],
    [{ ttl: 0 }],
    [{ ttl: NaN }],
    [{ ttl: 0.5 }],
    [{ ttl: '400d' }],
    [{ ttl: '1 fortnight' }],
    [{ lease: Infinity }],
    [{ waitTimeout: null }],
    [{ storeTimeout: [] }],
    [{ concurrent: 'WAIT' }],
    [{ maxAttempts: 0 }],
    [{ maxResultBytes: 1.5 }],
    [{ onStoreError: 'ignore' }],
    [{ waitTimout: 1 }],
    [{ store: {} }],
    [{ store: undefined }],
  ])('%j is INVALID_OPTIONS, naming the option', (options) => {
    const name = Object.keys(options)[0]!;
    expect(create(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    expect(create(options)).toThrow(name);
  });

  test('a misspelled or wrong option of one run is refused before anything runs', async () => {
    const { process } = world();
    let ran = false;
    const work = () => void (ran = true);
    const wrong = [{ payloads: 1 }, { onAbandoned: 'never' }, { ttl: 'soon' }] as object[];
    for (const options of wrong) {
      expect(await errorOf(process().run('k', work, options))).toMatchObject({ code: 'INVALID_OPTIONS' });
    }
    expect(await errorOf(process().run('', work))).toMatchObject({ code: 'INVALID_KEY' });
    expect(await errorOf(process().run('k', work, { payload: () => 1 }))).toMatchObject({
      code: 'INVALID_OPTIONS',
    });
    expect(ran).toBe(false);
  });
});

describe('events and counters', () => {
  test('a listener that throws harms nobody, and is reported', async () => {
    const warnings: string[] = [];
    const one = createIdempotency({
      name: 'run',
      store: new InMemoryStore(),
      logger: { warn: (message) => warnings.push(message) },
    });
    one.on('miss', () => {
      throw new Error('broken listener');
    });
    await expect(one.run('k', () => 'fine')).resolves.toBe('fine');
    expect(warnings.join()).toContain('broken listener');
  });

  test('an event is told with operation and key, until the listener is taken off', async () => {
    const { process } = world();
    const one = process();
    const seen: unknown[] = [];
    const off = one.on('hit', (detail) => seen.push(detail));
    for (let i = 0; i < 2; i++) await one.run('k', () => 1);
    off();
    await one.run('k', () => 1);
    expect(seen).toEqual([expect.objectContaining({ name: 'charge', key: 'k' })]);
    expect(one.stats()).toMatchObject({ misses: 1, hits: 2 });
    expect(() => one.on('hits' as never, () => undefined)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    );
  });

  test('get() shows the record, and counts no hit', async () => {
    const { process } = world();
    const one = process({ ttl: '1h' });
    await one.run('k', () => ({ paid: true }));
    await one.run('k', () => ({ paid: false }));
    const record = await one.get<{ paid: boolean }>('k');
    expect(record).toMatchObject({
      key: 'k',
      status: 'COMPLETED',
      result: { paid: true },
      hitCount: 1,
      attempt: 1,
    });
    expect(record!.expiresAt - record!.createdAt).toBeGreaterThanOrEqual(3_599_000);
    expect((await one.get('k'))?.hitCount).toBe(1);
    expect(await one.get('nothing')).toBeUndefined();
  });
});

test('G9: first answer and replay are equal', async () => {
  const { process } = world();
  const value = {
    at: new Date(0),
    tags: new Map([['a', new Set([1n])]]),
    nothing: undefined,
    list: [undefined, NaN, -0, Infinity],
    bytes: new Uint8Array([1, 2]),
    pattern: /a/gi,
    link: new URL('https://example.test/a'),
  };
  const first = await process().run('k', () => value);
  const replay = await process().run<typeof value>('k', () => {
    throw new Error('must not run');
  });
  expect(first).toBe(value);
  expect(replay).toEqual(value);
  expect(Object.hasOwn(replay, 'nothing')).toBe(true);
});
