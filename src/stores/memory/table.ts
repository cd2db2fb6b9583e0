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

/**
 * The number of records that a write checks for expiry: more than the one that it may add, so that expired ones do not pile up.
 */
const SWEPT_PER_WRITE = 2;

/**
 * The records of the memory store by address, up to the configured numbers. If the table is full, it evicts records of the scope
 * that holds the most, so that a tenant with many keys can't push out the records of others.
 */
export class MemoryTable {
  readonly #records = new Map<string, Kept>();
  /** What each scope holds. Empty if the store has no limits. */
  readonly #shares = new Shares();
  /** No record expires before this time. So a full table need not check every record for each claim that it refuses. */
  #soonestMs = Infinity;
  /** The position of the sweep that writes do in small parts. */
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
    this.#shares.put(address, scope, mayBeEvicted(kept) ? 'settled' : isMark ? 'mark' : 'held');
  }

  /** Notes that a record answered a claim: it counts as used. */
  touch(address: string): void {
    this.#shares.touch(address);
  }

  /**
   * Makes room for one more record.
   * @throws StoreError STORE_UNAVAILABLE if the table is full and no record may be evicted
   * @throws LimitError LIMITED if this scope is full and none of its records may be evicted
   */
  makeRoom({ scope }: StoreKey): void {
    const { maxEntries, maxEntriesPerScope, evict } = this.limits;
    const isShareFull = () => this.#shares.scopeSize(scope) >= maxEntriesPerScope;
    const isFull = () => this.#records.size >= maxEntries;
    if (!isFull() && !(maxEntriesPerScope < Infinity && isShareFull())) return;
    this.sweep();
    while (isShareFull()) {
      const next = this.#shares.nextInScope(scope, evict);
      if (!next) throw shareFull(this.limits);
      this.#evict(next);
    }
    while (isFull()) {
      const next = this.#shares.next(evict);
      if (!next) throw full(this.limits);
      this.#evict(next);
    }
  }

  /** Removes all expired records. */
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

  /** Removes expired records among a few, going round the table: no write has to check all of them. */
  #sweepSome(): void {
    const now = this.limits.nowMs();
    if (now < this.#soonestMs) return;
    for (let looked = 0; looked < SWEPT_PER_WRITE; looked++) {
      this.#swept ??= this.#records.entries();
      const next = this.#swept.next();
      if (next.done) return void (this.#swept = undefined);
      const [address, { expiresAtMs }] = next.value;
      if (expiresAtMs <= now) this.#drop(address);
    }
  }

  #evict({ address, isMark }: { address: string; isMark: boolean }): void {
    this.#drop(address);
    // A mark holds no result, so removing it does not count as an eviction.
    if (isMark) return;
    this.#evictions++;
    try {
      this.limits.onEvict?.(address);
    } catch {
      // An error in onEvict must not fail the claim that needs the room.
    }
  }

  #drop(address: string): void {
    this.#records.delete(address);
    this.#shares.drop(address);
  }
}

const isBounded = ({ maxEntries, maxEntriesPerScope }: TableLimits): boolean =>
  maxEntries < Infinity || maxEntriesPerScope < Infinity;

/**
 * Whether a record may be evicted. A failure with recorded steps may not: a later attempt relies on them to not repeat effects.
 */
function mayBeEvicted({ status, steps }: Kept): boolean {
  return status === 'COMPLETED' || (status === 'FAILED' && steps.length === 0);
}

function full({ maxEntries, evict }: TableLimits): StoreError {
  const state = evict ? 'none of them is settled, so none may be evicted' : 'none of them has expired';
  const advice = evict ? 'raise maxEntries' : 'raise maxEntries, shorten the ttl, or pass evict: true';
  return new StoreError(
    'STORE_UNAVAILABLE',
    `this InMemoryStore is full: it holds ${maxEntries} records (maxEntries), and ${state}; nothing was run. ` +
      `To go on, ${advice}`,
    { transient: false, neverSent: true },
  );
}

function shareFull({ maxEntriesPerScope, evict }: TableLimits): LimitError {
  const state = evict ? 'none of them is settled, so none may be evicted' : 'none of them has expired';
  return new LimitError(
    'LIMITED',
    `this scope holds ${maxEntriesPerScope} records in this InMemoryStore (maxEntriesPerScope), and ${state}; nothing was run`,
  );
}
