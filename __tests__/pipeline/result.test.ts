import { describe, expect, test } from '@jest/globals';
import { Context, Result, type ResultStatus } from '../../src/pipeline/index.js';

function resultOf(status: ResultStatus): Result {
  return new Result({
    task: {},
    context: Context.from(),
    chain: [],
    index: 0,
    state: status === 'success' ? 'complete' : 'interrupted',
    status,
    reason: undefined,
    cause: undefined,
    metadata: { a: 1 },
    retries: 2,
    rolledBack: false,
  });
}

describe('Result', () => {
  test.each([
    ['success', ['success', 'good', 'complete']],
    ['skipped', ['skipped', 'good', 'bad', 'interrupted']],
    ['failed', ['failed', 'bad', 'interrupted']],
  ] as const)('%s answers yes to %j and no to the rest', (status, expected) => {
    const result = resultOf(status);
    const getters = ['success', 'skipped', 'failed', 'good', 'bad', 'complete', 'interrupted'] as const;

    expect(getters.filter((name) => result[name])).toEqual(expected);
  });

  test('is frozen with its metadata, and leaves the object it was given alone', () => {
    const metadata: Record<string, unknown> = { a: 1 };
    const parts = { task: {}, context: Context.from(), chain: [], index: 0 } as const;
    const result = new Result({ ...parts, state: 'complete', status: 'success', metadata });
    metadata.a = 2;

    expect(Object.isFrozen(result)).toBe(true);
    expect(Object.isFrozen(result.metadata)).toBe(true);
    expect(result.metadata).toEqual({ a: 1 });
  });
});
