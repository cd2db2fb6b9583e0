import { LimitError, StoreError } from '../../core/errors.js';
import type { StoreKey } from '../../core/record.js';
import type { Kept } from '../shared/kept.js';
import { Shares } from './shares.js';
import { NOBODY } from '../shared/transitions.js';

export interface TableLimits {
  readonly maxEntries: number;
  readonly maxEntriesPerScope: number;
  readonly evict: boolean;
  readonly onEvict: ((address: string) => void) | undefined;
  /** The store's clock, in whole milliseconds. */
  readonly nowMs: () => number;
}

/** How many records a write looks at: more than the one that it may add, so that what has expired goes as fast as it came. */
const SWEPT_BY_A_WRITE = 2;

/**
 * The records of the memory store by address, with room for so many. Where that is used up, the scope gives way that fills
 * it: so one tenant's made-up keys never drop another's records.
 */
export class MemoryTable {
  readonly #records = new Map<string, Kept>();
  /** What each scope holds; nothing where there is room without end. */
  readonly #shares = new Shares();
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

  put({ address, scope }: StoreKey, kept: Kept): void {
    this.#records.set(address, kept);
    this.#soonestMs = Math.min(this.#soonestMs, kept.expiresAtMs);
    this.#sweepSome();
    if (!isBounded(this.limits)) return;
    const isMark = kept.status === 'TOMBSTONE' && kept.token !== NOBODY;
    this.#shares.put(address, scope, mayGo(kept) ? 'settled' : isMark ? 'mark' : 'held');
  }

  /** Somebody was answered with the record. */
  touch(address: string): void {
    this.#shares.touch(address);
  }

  /**
   * Room for one record more.
   * @throws StoreError STORE_UNAVAILABLE where nothing may go
   * @throws LimitError LIMITED where nothing of this scope may go, and it has used up its share
   */
  makeRoom({ scope }: StoreKey): void {
    const { maxEntries, maxEntriesPerScope, evict } = this.limits;
    const isShareFull = () => this.#shares.sizeOf(scope) >= maxEntriesPerScope;
    const isFull = () => this.#records.size >= maxEntries;
    if (!isFull() && !(maxEntriesPerScope < Infinity && isShareFull())) return;
    this.sweep();
    while (isShareFull()) {
      const next = this.#shares.nextOf(scope, evict);
      if (!next) throw shareFull(this.limits);
      this.#give(next);
    }
    while (isFull()) {
      const next = this.#shares.next(evict);
      if (!next) throw full(this.limits);
      this.#give(next);
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
    this.#shares.clear();
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

  #give({ address, isMark }: { address: string; isMark: boolean }): void {
    this.#drop(address);
    // A mark holds nothing.
    if (isMark) return;
    this.#evictions++;
    try {
      this.limits.onEvict?.(address);
    } catch {
      // The claim that needs the room has no part in what an observer does wrong.
    }
  }

  #drop(address: string): void {
    this.#records.delete(address);
    this.#shares.drop(address);
  }
}

const isBounded = ({ maxEntries, maxEntriesPerScope }: TableLimits): boolean =>
  maxEntries < Infinity || maxEntriesPerScope < Infinity;

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
    { transient: false, neverSent: true },
  );
}

function shareFull({ maxEntriesPerScope, evict }: TableLimits): LimitError {
  const state = evict ? 'none of them is settled, so none may give way' : 'none of them has expired';
  return new LimitError(
    'LIMITED',
    `this scope holds ${maxEntriesPerScope} records in this InMemoryStore (maxEntriesPerScope), and ${state}; nothing was run`,
  );
}
