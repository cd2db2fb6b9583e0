import { Backlog, type Errand, type ErrandOwner, type Settling, type Withdrawal } from './backlog.js';
import { Flights } from '../engine/flight.js';
import { isUnreadable, type IdempotencyError } from '../errors.js';
import type { EventDetail, EventName, Events } from '../events.js';
import type { RunPolicy } from '../options.js';
import type { Lease, StoreKey } from '../record.js';
import type { LeaseStore, Settlement } from '../store.js';
import { monotonicMs, unrefTimeout } from '../timers.js';

/**
 * What one engine must still tell its store after the callers have gone: outcomes to record, claims to withdraw. It waits in
 * the store's {@link Backlog}, with that of the store's other engines, as plain data: an outage may last, and whatever a
 * closure holds would be kept for as long.
 */
export class Background implements ErrandOwner {
  readonly #backlog: Backlog;
  /** Where an outcome that is not recorded yet is answered from meanwhile. */
  readonly #flights: Flights;
  #withdrawals = 0;
  #settlings = 0;
  /** How many of the withdrawals are to be said again, or were. */
  #seconds = 0;
  /** The longest deadline of a withdrawal that is pending. */
  #timeoutMs = 0;
  readonly #onProgress = new Set<() => void>();

  constructor(
    store: LeaseStore,
    private readonly events: Events,
  ) {
    this.#backlog = Backlog.of(store);
    this.#flights = Flights.of(store);
  }

  /**
   * Undoes a claim, also one that the store has yet to execute. The store keeps a mark for such a one, but not in the record
   * of another attempt that runs just then: so one that undid nothing is said again a deadline later, when what was on its
   * way has arrived.
   */
  withdraw(key: StoreKey, token: string, policy: RunPolicy): void {
    const terms = this.#terms(key, policy, policy.storeTimeoutMs);
    const withdrawal: Withdrawal = { kind: 'withdrawal', ...terms, token, isSecond: false };
    if (!this.#backlog.add(withdrawal)) return this.#emit('given-up', withdrawal, { what: 'withdrawal' });
    this.#withdrawals++;
    this.#timeoutMs = Math.max(this.#timeoutMs, policy.storeTimeoutMs);
  }

  /**
   * Records an outcome later. Where there is no room for its value, it is recorded without.
   * @returns what will be recorded; undefined where there was no room at all
   */
  settle(key: StoreKey, lease: Lease, settlement: Settlement, policy: RunPolicy): Settlement | undefined {
    const terms = this.#terms(key, policy, policy.leaseMs);
    const settling: Settling = { kind: 'settling', ...terms, lease, settlement };
    if (this.#add(settling)) return settlement;
    const bare: Settling = { ...settling, settlement: { ...settlement, payload: undefined } };
    const isKept = settlement.payload !== undefined && this.#add(bare);
    this.#emit('given-up', settling, { what: isKept ? 'value' : 'outcome' });
    return isKept ? bare.settlement : undefined;
  }

  /** Resolves when nothing is left to record, and all claims are withdrawn, or were tried for as long as that is worth it. */
  async drained(): Promise<void> {
    // A second saying comes a deadline after the first.
    const patienceMs = this.#timeoutMs * (this.#seconds > 0 ? 2 : 1);
    let isOver = false;
    await new Promise<void>((resolve) => {
      const look = () => {
        if (this.#settlings > 0 || (this.#withdrawals > 0 && !isOver)) return;
        clearTimeout(timer);
        this.#onProgress.delete(look);
        resolve();
      };
      const timer = unrefTimeout(() => {
        isOver = true;
        look();
      }, patienceMs);
      this.#onProgress.add(look);
      look();
    });
  }

  saysAgain(): void {
    this.#seconds++;
  }

  ended(errand: Errand, answer: boolean): void {
    if (errand.kind === 'settling') this.#emit(answer ? 'recorded-late' : 'superseded', errand);
    this.#over(errand);
  }

  gaveUp(errand: Errand, error: IdempotencyError): void {
    if (errand.kind === 'settling') {
      this.#emit('store-error', errand, { error });
      this.#emit('given-up', errand, { what: 'outcome', error });
    } else if (!isUnreadable(error)) {
      // A claim on a record that can't be read was never granted.
      this.#emit('given-up', errand, { what: 'withdrawal', error });
    }
    this.#over(errand);
  }

  #add(settling: Settling): boolean {
    const isKept = this.#backlog.add(settling);
    if (isKept) this.#settlings++;
    return isKept;
  }

  #over(errand: Errand): void {
    if (errand.kind === 'settling') {
      this.#settlings--;
      this.#flights.forget(errand.key, errand.lease.token);
    } else {
      if (errand.isSecond) this.#seconds--;
      if (--this.#withdrawals === 0) this.#timeoutMs = 0;
    }
    for (const look of this.#onProgress) look();
  }

  /** By when the ttl is over nobody could be misled any more. */
  #terms(key: StoreKey, { storeTimeoutMs, ttlMs }: RunPolicy, keepAliveMs: number) {
    const now = monotonicMs();
    const until = { giveUpAtMs: now + ttlMs, aliveUntilMs: now + keepAliveMs };
    return { owner: this, key, timeoutMs: storeTimeoutMs, ...until };
  }

  #emit(event: EventName, errand: Errand, more?: Partial<EventDetail>): void {
    const label = { name: errand.key.operation, key: errand.key.key };
    this.events.emit(event, label, errand.kind === 'settling' ? errand.lease : undefined, more);
  }
}
