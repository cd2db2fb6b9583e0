import type { Lease, RecordedStep, StoreKey, StoredRecord } from '../../src/core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../../src/core/store.js';
import type { Kept } from '../../src/stores/shared/kept.js';
import * as transitions from '../../src/stores/shared/transitions.js';

/** What the instances of a store share: its server, so to speak. */
export class Table {
  readonly records = new Map<string, Kept>();
  readonly wakes = new Map<string, Set<() => void>>();
  instances = 0;
}

/**
 * A store that is right, in as few words as it takes, with places to put a mistake into: one of its methods, what it writes, what
 * it finds, and its clock.
 */
export class TableStore implements LeaseStore {
  /** 0 for the first instance on its table. */
  protected readonly instance: number;

  constructor(protected readonly table: Table = new Table()) {
    this.instance = table.instances++;
  }

  async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    const found = this.find(key);
    const answer = this.move(key, transitions.claim(found, key, request, this.moment()));
    if (answer.kind === 'acquired' || found?.settledAtMs === undefined) return answer;
    return { ...answer, record: { ...answer.record, hitCount: ++found.hitCount } };
  }
  async renew(key: StoreKey, lease: Lease): Promise<number | false> {
    return this.move(key, transitions.renew(this.find(key), key, lease, this.moment()));
  }
  async step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    return this.move(key, transitions.step(this.find(key), key, lease, step, this.moment()));
  }
  async settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    return this.tell(key, transitions.settle(this.find(key), key, lease, settlement, this.moment()));
  }
  async release(key: StoreKey, token: string): Promise<boolean> {
    return this.tell(key, transitions.release(this.find(key), key, token, this.moment()));
  }
  async read(key: StoreKey): Promise<StoredRecord | undefined> {
    const found = this.find(key);
    return found && found.status !== 'TOMBSTONE' ? transitions.storedRecord(found, this.moment()) : undefined;
  }
  async override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    return this.tell(key, transitions.override(this.find(key), key, replacement, this.moment()));
  }
  async subscribe(key: StoreKey, wake: () => void): Promise<() => void> {
    const wakes = this.table.wakes.get(key.address) ?? new Set();
    this.table.wakes.set(key.address, wakes.add(wake));
    return () => void wakes.delete(wake);
  }

  protected now(): number {
    return Math.floor(performance.timeOrigin + performance.now());
  }

  protected moment(): transitions.Moment {
    return transitions.momentAt(this.now(), 0);
  }

  protected find(key: StoreKey): Kept | undefined {
    return transitions.present(this.table.records.get(key.address), key, this.moment());
  }

  /** What becomes of a record on its way into the table. */
  protected written(kept: Kept, _before: Kept | undefined): Kept {
    return kept;
  }

  protected move<Answer>(key: StoreKey, { answer, write }: transitions.Move<Answer>): Answer {
    const before = this.table.records.get(key.address);
    if (write) this.table.records.set(key.address, this.written(write, before));
    return answer;
  }

  protected tell<Answer>(key: StoreKey, move: transitions.Move<Answer>): Answer {
    if (move.write) this.wake(key);
    return this.move(key, move);
  }

  protected wake({ address }: StoreKey): void {
    for (const wake of this.table.wakes.get(address) ?? []) queueMicrotask(wake);
  }
}

/** A store with one mistake in it, and the tests that must find it. */
export type Mistake = readonly [new (table: Table) => LeaseStore, ...found: readonly RegExp[]];
