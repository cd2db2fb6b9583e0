import { callStore } from '../call-store.js';
import { OutcomeError } from '../errors.js';
import type { EventDetail, EventName } from '../events.js';
import { operationTitle, type EngineParts, type Operation } from '../operation.js';
import type { Lease, RecordedStep } from '../record.js';
import { monotonicMs, unrefTimeout } from '../timers.js';

const EXPIRED = 'its length has passed since it was last granted';
const TAKEN = 'another attempt, a person or a tombstone holds the record';

/**
 * The lease of one attempt, and the only place where it changes: it is renewed here at a third of its length, and lost here.
 *
 * It counts as lost (G4) when a renewal was refused, or when its length has passed on this process's monotonic clock since the
 * last granted request was *sent*. The second also covers a blocked event loop and a machine that slept.
 */
export class HeldLease {
  #lease: Lease;
  /** When the last granted request was sent; undefined for work that runs unprotected, which has no lease to lose. */
  #grantedMs: number | undefined;
  readonly #startedMs = monotonicMs();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isRenewing = false;
  #hasEnded = false;
  #lost: OutcomeError | undefined;
  #onLost: (() => void) | undefined;
  #controller: AbortController | undefined;

  /** @param claimSentMs when the claim was sent; undefined for work that runs unprotected */
  constructor(
    private readonly parts: EngineParts,
    private readonly op: Operation<unknown>,
    lease: Lease,
    claimSentMs: number | undefined,
  ) {
    this.#lease = lease;
    this.#grantedMs = claimSentMs;
  }

  /** As it is now: with its latest end, and the steps recorded so far. */
  get lease(): Lease {
    return this.#lease;
  }

  get isProtected(): boolean {
    return this.#grantedMs !== undefined;
  }

  /** Why it is lost; undefined while it is not. */
  get lost(): OutcomeError | undefined {
    return this.#lost;
  }

  /** Whether the attempt may still act, right now. */
  get holds(): boolean {
    return !this.isProtected || (!this.#hasEnded && this.#remainingMs() > 0);
  }

  /** Aborted when the lease is lost. Made when it is first asked for, since most work never looks. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#lost) this.#controller.abort(this.#lost);
    }
    return this.#controller.signal;
  }

  /** Renews it from now on, until {@link end}. */
  keep(onLost: () => void): void {
    this.#onLost = onLost;
    if (this.isProtected) this.#sleep(this.op.policy.leaseMs / 3);
  }

  /** The work is over, or the lease is lost. A renewal that is answered from now on means nothing. */
  end(): void {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
  }

  /** A step was recorded under it. */
  addStep(step: RecordedStep): void {
    this.#lease = { ...this.#lease, steps: [...this.#lease.steps, step] };
  }

  /** @throws OutcomeError LEASE_LOST when the attempt may not act any more */
  assertHolds(): void {
    if (this.holds) return;
    // The clock may show it before the timer does.
    if (!this.#lost && !this.#hasEnded) this.#lose(EXPIRED);
    throw (
      this.#lost ??
      new OutcomeError('LEASE_LOST', `${operationTitle(this.op)} has ended: its steps come too late`)
    );
  }

  /** The store says that the record is another's. */
  refused(): void {
    if (!this.#lost) this.#lose(TAKEN);
  }

  emit(event: EventName, more?: Partial<EventDetail>): void {
    this.parts.events.emit(event, this.op.label, this.#lease, more);
  }

  #remainingMs(): number {
    return this.#grantedMs === undefined
      ? Infinity
      : this.#grantedMs + this.op.policy.leaseMs - monotonicMs();
  }

  #lose(why: string): void {
    this.end();
    const message = `${operationTitle(this.op)} lost its lease while it ran: ${why}; another attempt may run it`;
    const error = new OutcomeError('LEASE_LOST', message);
    this.#lost = error;
    this.#controller?.abort(error);
    this.emit('lease-lost', { error });
    this.#onLost?.();
  }

  #sleep(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = unrefTimeout(() => this.#beat(), Math.max(0, Math.min(ms, this.#remainingMs())));
  }

  #beat(): void {
    if (this.#hasEnded) return;
    if (this.#remainingMs() <= 0) return this.#lose(EXPIRED);
    const isHeldTooLong = monotonicMs() - this.#startedMs >= this.op.policy.maxHoldMs;
    if (!this.#isRenewing && !isHeldTooLong) void this.#renew();
    this.#sleep(this.#remainingMs());
  }

  async #renew(): Promise<void> {
    const { key, policy } = this.op;
    const sentMs = monotonicMs();
    const timeoutMs = Math.max(1, Math.min(policy.storeTimeoutMs, this.#remainingMs()));
    this.#isRenewing = true;
    try {
      const command = () => this.parts.store.renew(key, this.#lease);
      const leaseEndsAtMs = await callStore('renew a lease', command, timeoutMs);
      if (this.#hasEnded) return;
      if (leaseEndsAtMs === false) return this.#lose(TAKEN);
      this.#grantedMs = sentMs;
      this.#lease = { ...this.#lease, leaseEndsAtMs };
      this.#sleep(policy.leaseMs / 3);
    } catch (error) {
      if (this.#hasEnded) return;
      this.emit('store-error', { error });
      this.#sleep(policy.leaseMs / 10);
    } finally {
      this.#isRenewing = false;
    }
  }
}
