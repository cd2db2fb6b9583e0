import { describe, expect, test } from '@jest/globals';
import { idempotent, makeIdempotent, type IdempotencyStore, type SimpleRecord } from '../../src/index.js';
import { deferred } from '../support/deferred.js';

/** As people write it by hand, with their own result type. */
class TableStore<T> implements IdempotencyStore<T> {
  readonly rows = new Map<string, string>();
  async get(key: string): Promise<SimpleRecord<T> | undefined> {
    const row = this.rows.get(key);
    return row === undefined ? undefined : (JSON.parse(row) as SimpleRecord<T>);
  }
  async set(key: string, record: SimpleRecord<T>): Promise<void> {
    this.rows.set(key, JSON.stringify(record));
  }
  async delete(key: string): Promise<void> {
    this.rows.delete(key);
  }
  async clear(): Promise<void> {
    this.rows.clear();
  }
}

describe('a store with get, set, delete and clear', () => {
  test.each([
    ['a class of the user', () => new TableStore<{ amount: number }>()],
    ['a Map', () => new Map<string, SimpleRecord>()],
  ])('(%s) is taken as it is: one run, equal replays, shared waits', async (_, make) => {
    const store = make();
    const gate = deferred();
    let runs = 0;
    const execute = async () => (await gate.promise, { run: ++runs, at: new Date(0) });
    const call = () => idempotent({ key: 'k', store, logger: {}, execute });
    const calls = [call(), call()];
    gate.resolve();
    const first = { run: 1, at: new Date(0) };
    expect(await Promise.all(calls)).toEqual([first, first]);
    expect(await call()).toEqual(first);
    expect(idempotent.stats({ store })).toMatchObject({ misses: 1, joins: 1, hits: 2 });
  });

  test('is wrapped once, and says once that it is not atomic across processes, to the logger', async () => {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => warnings.push(message) };
    const store = new TableStore();
    for (let i = 0; i < 3; i++) await idempotent({ key: 'k', store, logger, execute: () => i });
    await makeIdempotent(async (id: string) => id, { store, logger, name: 'other' })('k');
    expect(warnings).toEqual([expect.stringContaining('not across processes')]);
  });
});
