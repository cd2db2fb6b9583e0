import { callStore } from './calls.js';
import type { RunPolicy } from './options.js';
import { monotonicMs, unrefTimeout } from './timers.js';

/** Whose lease it is. */
export interface Leaseholder {
  readonly policy: RunPolicy;
  /** The new lease end, or `false` when the record is no longer ours. */
  renew(): Promise<number | false>;
  renewed(leaseEndsAtMs: number): void;
  lose(why: string): void;
  failed(error: unknown): void;
}

/**
 * Renews a lease at a third of its length. It holds the lease lost (G4) when a renewal was refused, or when the
 * lease's length has passed on this process's monotonic clock since the last granted request was *sent*, so also
 * after the event loop was blocked or the machine slept.
 */
export class Heartbeat {
  readonly #startedMs = monotonicMs();
  #grantedMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  #renewing = false;

  constructor(
    private readonly holder: Leaseholder,
    claimSentMs: number,
  ) {
    this.#grantedMs = claimSentMs;
  }

  /** Whether the lease can still be relied on, right now. */
  get holds(): boolean {
    return !this.#stopped && this.#remainingMs() > 0;
  }

  start(): void {
    this.#sleep(this.holder.policy.leaseMs / 3);
  }

  /** Settling began, or the lease is lost: an answer that arrives from now on means nothing. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #remainingMs(): number {
    return this.#grantedMs + this.holder.policy.leaseMs - monotonicMs();
  }

  #sleep(ms: number): void {
    this.#timer = unrefTimeout(() => this.#beat(), Math.max(0, Math.min(ms, this.#remainingMs())));
  }

  #beat(): void {
    if (this.#stopped) return;
    if (this.#remainingMs() <= 0) return this.lose('its length has passed since it was last granted');
    const heldTooLong = monotonicMs() - this.#startedMs >= this.holder.policy.maxHoldMs;
    if (!this.#renewing && !heldTooLong) this.#renew();
    this.#sleep(this.#remainingMs());
  }

  #renew(): void {
    this.#renewing = true;
    const sentMs = monotonicMs();
    const timeoutMs = Math.max(1, Math.min(this.holder.policy.storeTimeoutMs, this.#remainingMs()));
    callStore('renew a lease', () => this.holder.renew(), timeoutMs).then(
      (leaseEndsAtMs) => this.#renewed(leaseEndsAtMs, sentMs),
      (error: unknown) => this.#unanswered(error),
    );
  }

  #renewed(leaseEndsAtMs: number | false, sentMs: number): void {
    this.#renewing = false;
    if (this.#stopped) return;
    if (leaseEndsAtMs === false)
      return this.lose('another attempt, a person or a tombstone holds the record');
    this.#grantedMs = sentMs;
    this.holder.renewed(leaseEndsAtMs);
    this.#again(this.holder.policy.leaseMs / 3);
  }

  #unanswered(error: unknown): void {
    this.#renewing = false;
    if (this.#stopped) return;
    this.holder.failed(error);
    this.#again(this.holder.policy.leaseMs / 10);
  }

  #again(ms: number): void {
    clearTimeout(this.#timer);
    this.#sleep(ms);
  }

  /** Whoever found out says so here. */
  lose(why: string): void {
    this.stop();
    this.holder.lose(why);
  }
}
