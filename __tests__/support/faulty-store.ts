import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../../src/core/store.js';
import { StoreError } from '../../src/core/errors.js';
import type { Lease, RecordedStep, StoreKey, StoredRecord } from '../../src/core/record.js';

export type StoreOperation = 'claim' | 'renew' | 'step' | 'settle' | 'release' | 'read' | 'override';
/** Called before (`sent`) and after (`answered`) a command; may wait, or throw in the place of the answer. */
export type Fault = (moment: 'sent' | 'answered') => void | Promise<void>;

/**
 * Another process's connection to the same store: an object of its own, so that nothing is joined, with faults put
 * in by hand and its commands counted.
 */
export class FaultyStore implements LeaseStore {
  readonly calls: Record<StoreOperation, number> = {
    claim: 0,
    renew: 0,
    step: 0,
    settle: 0,
    release: 0,
    read: 0,
    override: 0,
  };
  readonly faults: Partial<Record<StoreOperation, Fault>> = {};
  pushes = true;

  constructor(private readonly inner: LeaseStore) {}

  /** Every command from now on is lost, as with a process that was killed. */
  cut(): void {
    const lost: Fault = () => new Promise(() => undefined);
    for (const operation of Object.keys(this.calls) as StoreOperation[]) this.faults[operation] = lost;
  }

  heal(): void {
    for (const operation of Object.keys(this.calls) as StoreOperation[]) delete this.faults[operation];
  }

  claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    return this.#through('claim', () => this.inner.claim(key, request));
  }
  renew(key: StoreKey, lease: Lease): Promise<number | false> {
    return this.#through('renew', () => this.inner.renew(key, lease));
  }
  step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    return this.#through('step', () => this.inner.step(key, lease, step));
  }
  settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    return this.#through('settle', () => this.inner.settle(key, lease, settlement));
  }
  release(key: StoreKey, token: string): Promise<boolean> {
    return this.#through('release', () => this.inner.release(key, token));
  }
  read(key: StoreKey): Promise<StoredRecord | undefined> {
    return this.#through('read', () => this.inner.read(key));
  }
  override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    return this.#through('override', () => this.inner.override(key, replacement));
  }
  async subscribe(key: StoreKey, wake: () => void): Promise<() => void> {
    if (!this.pushes || !this.inner.subscribe) throw new Error('no pub/sub to be had');
    return this.inner.subscribe(key, wake);
  }

  async #through<T>(operation: StoreOperation, command: () => Promise<T>): Promise<T> {
    this.calls[operation]++;
    const fault = this.faults[operation];
    await fault?.('sent');
    const answer = await command();
    await fault?.('answered');
    return answer;
  }
}

/** What a store says while it can't be reached. */
export function storeDown(cause?: unknown): StoreError {
  return new StoreError('STORE_UNAVAILABLE', 'the connection broke', { cause, transient: true });
}
