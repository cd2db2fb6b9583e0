import { StoreError } from '../../core/errors.js';
import type { Kept } from './kept.js';
import { NOBODY } from './transitions.js';

export interface TableLimits {
  readonly maxEntries: number;
  readonly evict: boolean;
  readonly onEvict: ((address: string) => void) | undefined;
  /** The store's clock, in whole milliseconds. */
  readonly nowMs: () => number;
}

/** How many records a write looks at: more than the one that it may add, so that what has expired goes as fast as it came. */
const SWEPT_BY_A_WRITE = 2;

/**
 * The records of the memory store by address, with room for so many. Sets and maps keep their order, so that moving an
 * address to the end is all that "least recently used" takes.
 */
export class MemoryTable {
  readonly #records = new Map<string, Kept>();
  /** Settled records that may go, the least recently used one first. */
  readonly #settled = new Set<string>();
  /** Marks of claims that were released: they hold nothing, and go before any record does. */
  readonly #marks = new Set<string>();
  /** No record expires before this: spares a full table a look at every record for every claim it refuses. */
  #soonestMs = Infinity;
  /** Where the sweeping by writes has got to. */
  #swept: Iterator<[string, Kept]> | undefined;
  #evictions = 0;

  constructor(private readonly limits: TableLimits) {}

  get size(): number {
    return this.#records.size;
  }

  get evictions(): number {
    return this.#evictions;
  }

  find(address: string): Kept | undefined {
    const found = this.#records.get(address);
    if (!found || found.expiresAtMs > this.limits.nowMs()) return found;
    this.#drop(address);
    return undefined;
  }

  put(address: string, kept: Kept): void {
    this.#records.set(address, kept);
    this.#soonestMs = Math.min(this.#soonestMs, kept.expiresAtMs);
    this.#sweepSome();
    if (this.limits.maxEntries === Infinity) return;
    this.#settled.delete(address);
    this.#marks.delete(address);
    if (mayGo(kept)) this.#settled.add(address);
    else if (kept.status === 'TOMBSTONE' && kept.token !== NOBODY) this.#marks.add(address);
  }

  /** Somebody was answered with the record. */
  touch(address: string): void {
    if (this.#settled.delete(address)) this.#settled.add(address);
  }

  /**
   * Room for one record more.
   * @throws StoreError STORE_UNAVAILABLE where nothing may go
   */
  makeRoom(): void {
    if (this.#records.size < this.limits.maxEntries) return;
    this.sweep();
    while (this.#records.size >= this.limits.maxEntries) {
      const [mark] = this.#marks;
      const [oldest] = this.limits.evict ? this.#settled : [];
      if (mark !== undefined) this.#drop(mark);
      else if (oldest !== undefined) this.#evict(oldest);
      else throw full(this.limits);
    }
  }

  /** Drops what has expired. */
  sweep(): void {
    const now = this.limits.nowMs();
    if (now < this.#soonestMs) return;
    this.#soonestMs = Infinity;
    for (const [address, { expiresAtMs }] of this.#records) {
      if (expiresAtMs <= now) this.#drop(address);
      else this.#soonestMs = Math.min(this.#soonestMs, expiresAtMs);
    }
  }

  clear(): void {
    this.#records.clear();
    this.#settled.clear();
    this.#marks.clear();
    this.#soonestMs = Infinity;
  }

  /** A few at a time, round and round: no write pays for all of them, and nothing that expired stays while others are written. */
  #sweepSome(): void {
    const now = this.limits.nowMs();
    if (now < this.#soonestMs) return;
    for (let looked = 0; looked < SWEPT_BY_A_WRITE; looked++) {
      this.#swept ??= this.#records.entries();
      const next = this.#swept.next();
      if (next.done) return void (this.#swept = undefined);
      const [address, { expiresAtMs }] = next.value;
      if (expiresAtMs <= now) this.#drop(address);
    }
  }

  #evict(address: string): void {
    this.#drop(address);
    this.#evictions++;
    try {
      this.limits.onEvict?.(address);
    } catch {
      // The claim that needs the room has no part in what an observer does wrong.
    }
  }

  #drop(address: string): void {
    this.#records.delete(address);
    this.#settled.delete(address);
    this.#marks.delete(address);
  }
}

/** Steps are effects that happened, and a later attempt relies on them: a failure that holds some stays. */
function mayGo({ status, steps }: Kept): boolean {
  return status === 'COMPLETED' || (status === 'FAILED' && steps.length === 0);
}

function full({ maxEntries, evict }: TableLimits): StoreError {
  const state = evict ? 'none of them is settled, so none may give way' : 'none of them has expired';
  const advice = evict ? 'raise maxEntries' : 'raise maxEntries, shorten the ttl, or pass evict: true';
  return new StoreError(
    'STORE_UNAVAILABLE',
    `this InMemoryStore is full: it holds ${maxEntries} records (maxEntries), and ${state}; nothing was run. ` +
      `To go on, ${advice}`,
    { transient: false },
  );
}
