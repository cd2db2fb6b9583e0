/** What people write by hand is an IdempotencyStore: compiled, never run. */
import type { IdempotencyRecord } from '../../src/index.js';
import { KeyValueStore, type IdempotencyStore, type SimpleRecord } from '../../src/stores/keyvalue/store.js';

interface Payment {
  readonly id: string;
}

class ByHand<T> implements IdempotencyStore<T> {
  private readonly records = new Map<string, IdempotencyRecord<T>>();
  async get(key: string): Promise<IdempotencyRecord<T> | undefined> {
    return this.records.get(key);
  }
  async set(key: string, record: IdempotencyRecord<T>): Promise<void> {
    this.records.set(key, record);
  }
  async delete(key: string): Promise<void> {
    this.records.delete(key);
  }
  async clear(): Promise<void> {
    this.records.clear();
  }
}

/** Of a row with the columns that its author knew of. */
class OfRows implements IdempotencyStore<Payment> {
  get(key: string): SimpleRecord<Payment> | null {
    return { key, status: 'COMPLETED', result: { id: 'ch_1' }, createdAt: 1, expiresAt: 2, hitCount: 0 };
  }
  set(): void {}
  delete(): boolean {
    return true;
  }
  clear(): void {}
}

export const stores = [
  new KeyValueStore(new ByHand<Payment>()),
  new KeyValueStore(new OfRows()),
  new KeyValueStore(new Map()),
  new KeyValueStore(new Map<string, SimpleRecord>(), { onWarning: (message: string) => void message }),
];
// @ts-expect-error No set().
new KeyValueStore({ get: () => null, delete: () => null, clear: () => null });
// @ts-expect-error A misspelled option.
new KeyValueStore(new Map(), { onWarn: () => undefined });
