import { parseMs } from '../../core/check.js';
import type { Lease, RecordedStep, StoreKey, StoredRecord } from '../../core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../../core/store.js';
import type { Kept } from '../shared/kept.js';
import { memorySettings, type InMemoryStoreOptions } from './options.js';
import { MemoryTable, type TableLimits } from './table.js';
import * as transitions from '../shared/transitions.js';

export type { InMemoryStoreOptions } from './options.js';

/**
 * Keeps records in the memory of this process: for tests, and for services with a single process. Records are lost when the
 * process ends. Expired records are removed when they are read, a few by every write, and by a timer after {@link startCleanup}.
 * The store does not keep a process alive.
 *
 * G1-G3 and G5 hold within the process. The clock (G4) is the process's monotonic one, unless the option `clock` gives another,
 * so that setting the machine's clock expires nothing.
 */
export class InMemoryStore implements LeaseStore {
  readonly requiresScope: boolean;
  readonly #limits: TableLimits;
  readonly #records: MemoryTable;
  readonly #wakes = new Map<string, Set<() => void>>();
  #cleanup: ReturnType<typeof setInterval> | undefined;

  /** @throws UsageError INVALID_OPTIONS for an unknown option or a wrong value */
  constructor(options: InMemoryStoreOptions = {}) {
    const { limits, requiresScope } = memorySettings(options);
    this.#limits = limits;
    this.#records = new MemoryTable(limits);
    this.requiresScope = requiresScope;
  }

  /** The number of records, including tombstones, and expired records that were not removed yet. */
  get size(): number {
    return this.#records.size;
  }

  /** The number of records that were evicted. */
  get evictions(): number {
    return this.#records.evictions;
  }

  /** Removes all records, also those of running attempts: for tests. */
  clear(): void {
    this.#records.clear();
  }

  /**
   * Removes expired records every `intervalMs` milliseconds. Useful for a store that holds many records and is rarely written. A
   * second call replaces the interval. The timer does not keep the process alive.
   * @throws UsageError INVALID_OPTIONS
   */
  startCleanup(intervalMs: number): void {
    const checkedMs = parseMs('the interval of startCleanup()', intervalMs);
    this.stopCleanup();
    this.#cleanup = setInterval(() => this.#records.sweep(), checkedMs);
    // Under fake timers, and in other runtimes, a timer may be a number.
    (this.#cleanup as { unref?: () => void }).unref?.();
  }

  /** Stops the timer of {@link startCleanup}. Expired records are still removed by reads and writes. */
  stopCleanup(): void {
    clearInterval(this.#cleanup);
    this.#cleanup = undefined;
  }

  /** Stops the timer of {@link startCleanup}. The records stay; {@link clear} removes them. */
  async close(): Promise<void> {
    this.stopCleanup();
  }

  async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    const at = this.#now();
    const found = this.#find(key, at);
    if (!found) this.#records.makeRoom(key);
    const { answer, write } = transitions.claim(found, key, request, at);
    if (write) this.#put(key, write);
    if (answer.kind === 'acquired' || found?.settledAtMs === undefined) return answer;
    this.#records.touch(key.address);
    return { ...answer, record: { ...answer.record, hitCount: ++found.hitCount } };
  }

  async renew(key: StoreKey, lease: Lease): Promise<number | false> {
    const at = this.#now();
    const move = transitions.renew(this.#find(key, at), key, lease, at);
    if (move.write) this.#put(key, move.write);
    return move.answer;
  }

  async step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    const at = this.#now();
    const move = transitions.step(this.#find(key, at), key, lease, step, at);
    if (move.write) this.#put(key, move.write);
    return move.answer;
  }

  async settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    const at = this.#now();
    return this.#tell(key, transitions.settle(this.#find(key, at), key, lease, settlement, at));
  }

  async release(key: StoreKey, token: string): Promise<boolean> {
    const at = this.#now();
    return this.#tell(key, transitions.release(this.#find(key, at), key, token, at));
  }

  async read(key: StoreKey): Promise<StoredRecord | undefined> {
    const at = this.#now();
    const found = this.#find(key, at);
    return found && found.status !== 'TOMBSTONE' ? transitions.storedRecord(found, at) : undefined;
  }

  async override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    const at = this.#now();
    return this.#tell(key, transitions.override(this.#find(key, at), key, replacement, at));
  }

  async subscribe(key: StoreKey, wake: () => void): Promise<() => void> {
    let wakes = this.#wakes.get(key.address);
    if (!wakes) this.#wakes.set(key.address, (wakes = new Set()));
    wakes.add(wake);
    return () => {
      wakes.delete(wake);
      if (wakes.size === 0 && this.#wakes.get(key.address) === wakes) this.#wakes.delete(key.address);
    };
  }

  #find(key: StoreKey, at: transitions.Moment): Kept | undefined {
    return transitions.present(this.#records.find(key.address), key, at);
  }

  /** Writes the record, and wakes those who wait for the key. */
  #tell<Answer>(key: StoreKey, { answer, write }: transitions.Move<Answer>): Answer {
    if (write) {
      this.#put(key, write);
      for (const wake of this.#wakes.get(key.address) ?? []) queueMicrotask(wake);
    }
    return answer;
  }

  #put(key: StoreKey, kept: Kept): void {
    this.#records.put(key, kept);
  }

  #now(): transitions.Moment {
    return transitions.momentAt(this.#limits.nowMs(), 0);
  }
}
