import type { Redis } from 'ioredis';
import type { IdempotencyRecord } from '../../src/index.js';
import type { IdempotencyStore } from '../../src/stores/keyvalue/store.js';

/** What people write by hand, to the letter of the issue. */
export class SetexStore<T> implements IdempotencyStore<T> {
  constructor(private readonly redis: Redis) {}

  async get(key: string): Promise<IdempotencyRecord<T> | null> {
    const text = await this.redis.get(key);
    return text === null ? null : (JSON.parse(text) as IdempotencyRecord<T>);
  }

  async set(key: string, record: IdempotencyRecord<T>): Promise<void> {
    const now = Date.now();
    await this.redis.setex(key, Math.floor((record.expiresAt - now) / 1000), JSON.stringify(record));
  }

  async delete(key: string): Promise<void> {
    await this.redis.del(key);
  }

  async clear(): Promise<void> {
    await this.redis.flushdb();
  }
}

/** Like a table with a column for each member that its author knew of. */
export class ForgetfulStore<T> implements IdempotencyStore<T> {
  /** @param rows given to another one, they are what two processes share */
  constructor(readonly rows = new Map<string, string>()) {}

  async get(key: string) {
    const row = this.rows.get(key);
    return row === undefined ? undefined : (JSON.parse(row) as IdempotencyRecord<T>);
  }

  async set(key: string, record: Parameters<IdempotencyStore<T>['set']>[1]): Promise<void> {
    const { status, result, error, createdAt, expiresAt, hitCount } = record;
    this.rows.set(key, JSON.stringify({ key, status, result, error, createdAt, expiresAt, hitCount }));
  }

  async delete(key: string): Promise<void> {
    this.rows.delete(key);
  }

  async clear(): Promise<void> {
    this.rows.clear();
  }
}

/**
 * The same store over a connection that breaks at the call of that number, before or after its effect.
 */
export class BreakingStore implements IdempotencyStore {
  #calls = 0;
  #breakAt = Infinity;
  #after = false;

  constructor(private readonly inner: IdempotencyStore) {}

  /** @param at counted from the next call on */
  breakAt(at: number, when: 'before' | 'after'): void {
    this.#calls = 0;
    this.#breakAt = at;
    this.#after = when === 'after';
  }

  get(key: string) {
    return this.#through(() => this.inner.get(key));
  }
  set(key: string, record: Parameters<IdempotencyStore['set']>[1]) {
    return this.#through(() => this.inner.set(key, record));
  }
  delete(key: string) {
    return this.#through(() => this.inner.delete(key));
  }
  clear() {
    return this.inner.clear();
  }

  async #through<T>(effect: () => T): Promise<Awaited<T>> {
    const breaks = this.#calls++ === this.#breakAt;
    if (breaks && !this.#after) throw connectionReset();
    const answer = await effect();
    if (breaks) throw connectionReset();
    return answer;
  }
}

function connectionReset(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
}
