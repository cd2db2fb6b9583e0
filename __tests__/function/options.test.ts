import { describe, expect, test } from '@jest/globals';
import { idempotent, InMemoryStore, type IdempotentOptions } from '../../src/index.js';
import { errorOf } from '../support/deferred.js';

describe('bad input', () => {
  const DURATIONS = [
    -1,
    0,
    NaN,
    Infinity,
    0.5,
    366 * 86_400_000,
    '0s',
    '-1h',
    '400d',
    '1 fortnight',
    '',
    null,
  ];

  test.each(
    (['ttl', 'waitTimeout', 'lease', 'maxHold', 'storeTimeout'] as const).flatMap((option) =>
      DURATIONS.map((value) => [option, value] as const),
    ),
  )('%s: %p is INVALID_OPTIONS', (option, value) => refused({ [option]: value }, option));

  test.each([
    ['store', {}],
    ['store', null],
    ['store', 'redis://localhost'],
    ['store', { get: () => 1, set: () => 1 }],
    ['concurrentBehavior', 'wait'],
    ['concurrentBehavior', null],
    ['execute', undefined],
    ['execute', 'charge'],
    ['keyGenerator', 'k'],
    ['onCacheHit', 'log'],
    ['onCacheMiss', {}],
    ['remember', 'some'],
    ['onAbandoned', 'ignore'],
    ['onStoreError', 'ignore'],
    ['logger', 'console'],
    ['codec', 5],
    ['maxAttempts', 0],
    ['maxResultBytes', 1.5],
    ['signal', 'now'],
    ['prefix', ''],
    ['name', 'a:b'],
    ['scope', 7],
    ['payload', () => 1],
  ])('%s: %p is INVALID_OPTIONS', (option, value) =>
    refused({ ...(option !== 'keyGenerator' && { key: 'k' }), [option]: value }, option),
  );

  test.each(['ttlMs', 'concurrent', 'onHit', 'keyGenerater', 'excute'])(
    'an option named %s is refused',
    (name) => refused({ key: 'k', [name]: 1 }, name),
  );

  test.each([undefined, null, 'k'])('%p in the place of the options is INVALID_OPTIONS', async (options) => {
    const call = idempotent(options as unknown as IdempotentOptions<void>);
    expect(await errorOf(call)).toMatchObject({ code: 'INVALID_OPTIONS' });
  });

  async function refused(options: object, named: string): Promise<void> {
    let ran = false;
    const call = idempotent({ key: 'k', logger: {}, execute: () => void (ran = true), ...options });
    const error = await errorOf(call);
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringContaining(named) });
    expect(ran).toBe(false);
  }
});

describe('a ttl', () => {
  async function warningsFor(ttl: number | string): Promise<string[]> {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => warnings.push(message) };
    const store = new InMemoryStore();
    for (const key of ['a', 'b']) await idempotent({ key, store, ttl, logger, execute: () => 1 });
    return warnings;
  }

  test('that is a number below 60,000 is warned of once: seconds were probably meant', async () => {
    expect(await warningsFor(3_600)).toEqual([expect.stringMatching(/ttl is 3600 milliseconds.*'3600s'/)]);
    expect(await warningsFor(59_999)).toHaveLength(1);
  });

  test.each([60_000, 3_600_000, '30s', '5ms'])('of %p is taken as it is', async (ttl) => {
    expect(await warningsFor(ttl)).toEqual([]);
  });
});
