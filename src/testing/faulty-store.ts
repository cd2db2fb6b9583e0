import { StoreError } from '../core/errors.js';
import type { Lease, RecordedStep, StoreKey, StoredRecord } from '../core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../core/store.js';

export type StoreOperation = 'claim' | 'renew' | 'step' | 'settle' | 'release' | 'read' | 'override';
/** Called before a command reaches the store (`sent`) and after it was executed (`answered`). It may wait, or throw. */
export type Fault = (moment: 'sent' | 'answered') => void | Promise<void>;

/**
 * Wraps a store, injects faults and counts commands, to test what your code does when the store fails. A fault that throws at
 * `sent` is a command that never arrived; at `answered` it is one whose answer was lost.
 *
 * The library sees each wrapper as another store: two wrappers of one store act like two processes, whose runs are not joined.
 *
 * @example
 * const store = new FaultyStore(new InMemoryStore());
 * store.faults.claim = () => { throw storeDown(); };
 */
export class FaultyStore implements LeaseStore {
  /** How often each command was sent, including resends. */
  readonly calls: Record<StoreOperation, number> = {
    ...{ claim: 0, renew: 0, step: 0, settle: 0, release: 0, read: 0, override: 0 },
  };
  /** The faults, by command. */
  readonly faults: Partial<Record<StoreOperation, Fault>> = {};
  /** Whether waiters are woken. With `false` they poll. */
  pushes = true;

  constructor(private readonly inner: LeaseStore) {}

  get requiresScope(): boolean {
    return this.inner.requiresScope === true;
  }

  /** From now on every command is lost and never answered, as if the process had been killed. */
  cut(): void {
    const lost: Fault = () => new Promise(() => undefined);
    for (const operation of Object.keys(this.calls) as StoreOperation[]) this.faults[operation] = lost;
  }

  /** Removes all faults. */
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
    if (!this.pushes || !this.inner.subscribe) throw new Error('this store has no wake-ups');
    return this.inner.subscribe(key, wake);
  }
  async close(): Promise<void> {
    await this.inner.close?.();
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

/** The error of a store that can't be reached: STORE_UNAVAILABLE and transient, so that the command is resent. */
export function storeDown(cause?: unknown): StoreError {
  return new StoreError('STORE_UNAVAILABLE', 'the connection broke', { cause, transient: true });
}
