import { anotherIdentity } from '../core/errors.js';
import { NO_STEPS, type Lease, type RecordedStep, type StoreKey, type StoredRecord } from '../core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../core/store.js';
import {
  asRecord,
  ended,
  granted,
  isOpen,
  lineage,
  nowMs,
  rewritten,
  withdrawn,
  type Kept,
} from './internal/memory-record.js';
import { checkInterval, limitsOf, type InMemoryStoreOptions } from './internal/memory-options.js';
import { MemoryTable, NOBODY } from './internal/memory-table.js';

export type { InMemoryStoreOptions } from './internal/memory-options.js';

/** How long the mark of a withdrawn token stays. */
const MARK_MS = 60_000;
const TOMBSTONE_MS = 3_600_000;
const SWEEP_MS = 60_000;

/**
 * Keeps records in this process: for tests, and where one process is all there is. The reference for the other
 * stores. Expired records are dropped when they are looked for, now and then by a claim or a renewal, and, with
 * {@link startCleanup}, by a timer; nothing here keeps a process alive.
 *
 * G1-G3 and G5 hold within the process; the clock (G4) is the process's monotonic one, so that nothing expires
 * because somebody set the machine's clock. Nothing survives the process.
 */
export class InMemoryStore implements LeaseStore {
  readonly #records: MemoryTable;
  readonly #wakes = new Map<string, Set<() => void>>();
  #lastFence = 0;
  #sweepAtMs = 0;
  #cleanup: ReturnType<typeof setInterval> | undefined;

  /** @throws UsageError INVALID_OPTIONS for an unknown option, or a value that means nothing */
  constructor(options: InMemoryStoreOptions = {}) {
    this.#records = new MemoryTable(limitsOf(options));
  }

  /** How many records are kept, tombstones and expired ones that were not dropped yet included. */
  get size(): number {
    return this.#records.size;
  }

  /** How many records were dropped to make room for others. */
  get evictions(): number {
    return this.#records.evictions;
  }

  /** Forgets everything, running attempts included: for tests. */
  clear(): void {
    this.#records.clear();
  }

  /**
   * Drops expired records every `intervalMs` milliseconds, for stores that lie idle with much in them. A second call
   * replaces the interval. The timer keeps no process alive.
   * @throws UsageError INVALID_OPTIONS
   */
  startCleanup(intervalMs: number): void {
    const checkedMs = checkInterval(intervalMs);
    this.stopCleanup();
    this.#cleanup = setInterval(() => this.#records.sweep(), checkedMs);
    // Structural: under fake timers, and off Node, a timer may be a number.
    (this.#cleanup as { unref?: () => void }).unref?.();
  }

  /** Ends what {@link startCleanup} began; expired records are still dropped when they are met. */
  stopCleanup(): void {
    clearInterval(this.#cleanup);
    this.#cleanup = undefined;
  }

  async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    const found = this.#find(key);
    if (!found) {
      this.#records.makeRoom();
      return this.#grant(key, request, undefined);
    }
    if (found.token === request.token && found.status === 'IN_PROGRESS') {
      return granted(this.#extend(key, found, request));
    }
    const isSpent = found.token === request.token || found.previousToken === request.token;
    if (!isSpent && isOpen(found, request.replacing)) return this.#grant(key, request, found);
    if (found.settledAtMs !== undefined) found.hitCount++;
    this.#records.touch(key.address);
    return { kind: 'existing', record: asRecord(found) };
  }

  async renew(key: StoreKey, lease: Lease): Promise<number | false> {
    const found = this.#find(key);
    if (found?.token === lease.token && found.status === 'IN_PROGRESS') {
      return this.#extend(key, found, lease).leaseEndsAtMs;
    }
    if (!this.#mayWrite(found, lease, lease.unsettledRetentionMs)) return false;
    return this.#extend(key, rewritten(key, lease), lease).leaseEndsAtMs;
  }

  async step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    const found = this.#find(key);
    const isOwn = found?.token === lease.token && found.status === 'IN_PROGRESS';
    if (isOwn || found?.previousToken === lease.token) {
      const isKnown = found.steps.some(({ name }) => name === step.name);
      if (isOwn && !isKnown) {
        this.#records.put(key.address, { ...found, steps: [...found.steps, step] });
      }
      return isOwn || isKnown;
    }
    if (!this.#mayWrite(found, lease, lease.unsettledRetentionMs)) return false;
    this.#extend(key, rewritten(key, { ...lease, steps: [...lease.steps, step] }), lease);
    return true;
  }

  async settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    const found = this.#find(key);
    if (found?.token === lease.token && found.status !== 'IN_PROGRESS') {
      return found.status !== 'TOMBSTONE';
    }
    if (found?.previousToken === lease.token) return found.previousEnd === 'settled';
    const own = found?.token === lease.token ? found : undefined;
    if (!own && !this.#mayWrite(found, lease, settlement.retentionMs)) return false;
    // An attempt whose claim was never answered knows no fence: it takes its own record's.
    const running = own ?? { ...rewritten(key, lease), fence: lease.fence || this.#nextFence(0) };
    this.#write(key, ended(running, settlement, lease.unsettledRetentionMs));
    return true;
  }

  async release(key: StoreKey, token: string): Promise<boolean> {
    const found = this.#find(key);
    const undone = found?.token === token && found.status === 'IN_PROGRESS';
    if (undone || !found) {
      const prior = undone ? found.prior : undefined;
      const isThere = prior !== undefined && prior.expiresAtMs > nowMs();
      this.#write(key, isThere ? withdrawn(prior, token) : this.#tombstone(key, token, found, MARK_MS));
    } else if (!found.final && found.leaseEndsAtMs <= nowMs() && found.token !== token) {
      this.#records.put(key.address, withdrawn(found, token));
    }
    return undone;
  }

  async read(key: StoreKey): Promise<StoredRecord | undefined> {
    const found = this.#find(key);
    return found && found.status !== 'TOMBSTONE' ? asRecord(found) : undefined;
  }

  async override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    const found = this.#find(key);
    if (!found || found.status === 'TOMBSTONE') return 'absent';
    const isLive = found.status === 'IN_PROGRESS' && found.leaseEndsAtMs > nowMs();
    if (isLive && !(replacement.kind === 'forget' && replacement.force)) return 'live';
    const now = nowMs();
    // The attempt that is replaced becomes the previous one, so that its resent commands are still recognised.
    const previousEnd = found.status === 'IN_PROGRESS' ? ('abandoned' as const) : ('settled' as const);
    const replaced = { previousToken: found.token, previousEnd };
    if (replacement.kind === 'forget') {
      const keptMs = Math.max(found.expiresAtMs - now, TOMBSTONE_MS);
      this.#write(key, {
        ...this.#tombstone(key, NOBODY, found, keptMs),
        ...replaced,
      });
    } else {
      const { status, final, payload, token, retentionMs } = replacement;
      const fence = this.#nextFence(found.fence);
      const settled = {
        status,
        final,
        payload,
        token,
        fence,
        settledAtMs: now,
        expiresAtMs: now + retentionMs,
      };
      this.#write(key, {
        ...found,
        ...settled,
        ...replaced,
        leaseEndsAtMs: 0,
        hitCount: 0,
        steps: NO_STEPS,
        prior: undefined,
      });
    }
    return 'done';
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

  #find(key: StoreKey): Kept | undefined {
    const found = this.#records.find(key.address);
    if (found && found.digest !== key.digest) throw anotherIdentity(key.address);
    return found;
  }

  /** G3, for a record that is not the writer's own. */
  #mayWrite(found: Kept | undefined, lease: Lease, retentionMs: number): boolean {
    if (!found) return nowMs() <= lease.leaseEndsAtMs + retentionMs;
    // A takeover that was withdrawn has the higher fence, and nothing to write any more.
    if (found.previousToken === lease.token) return false;
    return found.status !== 'TOMBSTONE' && !found.final && found.fence < lease.fence;
  }

  #grant(key: StoreKey, request: ClaimRequest, prior: Kept | undefined): ClaimAnswer {
    const now = nowMs();
    const replaced = prior?.status === 'TOMBSTONE' ? undefined : prior;
    const kept: Kept = {
      ...rewritten(key, { ...request, fence: this.#nextFence(prior?.fence ?? 0), ...lineage(replaced, now) }),
      failures: prior?.failures ?? 0,
      // One level is enough to undo this claim; more would let a crash loop grow without end.
      prior: prior && { ...prior, prior: undefined },
    };
    return granted(this.#extend(key, kept, request));
  }

  #extend(key: StoreKey, kept: Kept, terms: { leaseMs: number; unsettledRetentionMs: number }): Kept {
    const leaseEndsAtMs = nowMs() + terms.leaseMs;
    const extended = { ...kept, leaseEndsAtMs, expiresAtMs: leaseEndsAtMs + terms.unsettledRetentionMs };
    this.#records.put(key.address, extended);
    this.#sweep();
    return extended;
  }

  /** What stays of a record that is gone: its fence, and the failures that derived keys are renewed by. */
  #tombstone(key: StoreKey, token: string, gone: Kept | undefined, keptMs: number): Kept {
    const now = nowMs();
    const nobody = {
      ...{ token, fence: this.#nextFence(gone?.fence ?? 0) },
      ...{ fingerprint: undefined, onAbandoned: 'retry' as const },
    };
    const kept = rewritten(key, { ...nobody, ...lineage(undefined, now), failures: gone?.failures ?? 0 });
    return { ...kept, status: 'TOMBSTONE', expiresAtMs: now + keptMs };
  }

  /** Every write that a waiter should see. */
  #write(key: StoreKey, kept: Kept): void {
    this.#records.put(key.address, kept);
    for (const wake of this.#wakes.get(key.address) ?? []) queueMicrotask(wake);
  }

  #nextFence(previous: number): number {
    // It counts, since a clock in microseconds is more than a process has; and it starts at the clock, so that
    // a downstream that has seen an earlier process's fences accepts the new ones.
    return (this.#lastFence = Math.max(previous + 1, this.#lastFence + 1, Date.now() * 1_000));
  }

  #sweep(): void {
    const now = nowMs();
    if (now < this.#sweepAtMs) return;
    this.#sweepAtMs = now + SWEEP_MS;
    this.#records.sweep();
  }
}
