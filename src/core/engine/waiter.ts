import { callStore } from '../call-store.js';
import { isLive, type StoreKey, type StoredRecord } from '../record.js';
import type { LeaseStore } from '../store.js';
import { unrefTimeout } from '../timers.js';

/** Poll intervals: dense where nobody wakes us, a mere safety net where somebody does. */
const UNPUSHED = { firstMs: 25, growth: 1.5, longestMs: 1_000 };
const PUSHED = { firstMs: 1_000, growth: 2, longestMs: 5_000 };
/** After a read that failed, which may have used up the one wake-up there was. */
const AGAIN = { firstMs: 25, growth: 2, longestMs: 1_000 };

export interface Watched {
  readonly store: LeaseStore;
  readonly key: StoreKey;
  readonly storeTimeoutMs: number;
  /** Whether this is what was waited for. */
  readonly until: (record: StoredRecord | undefined) => boolean;
  readonly onEnd: (record: StoredRecord | undefined) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * How a duplicate waits: it subscribes, awaits the confirmation, reads again, and then sleeps until a wake-up,
 * the lease's end, or the next poll. It bounds nothing itself: its callers have their own timeouts, keep the
 * process alive, and stop it when the last of them has left.
 */
export class Waiter {
  #polling = PUSHED;
  #pollMs = PUSHED.firstMs;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #unsubscribe: (() => void) | undefined;
  #ended = false;
  #reading = false;
  #readAgain = false;
  /** Why the last read failed; undefined when it was answered. */
  readError: unknown;
  /** When to read again after reads that failed; undefined after one that was answered. */
  #againMs: number | undefined;

  constructor(private readonly watched: Watched) {}

  /** @param leaseRemainingMs what is left of the lease that was seen, if one was */
  start(leaseRemainingMs: number | undefined): void {
    this.#sleep(leaseRemainingMs);
    void this.#subscribe();
  }

  stop(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }

  /** Looks now: something may have changed. */
  wake(): void {
    void this.#read();
  }

  async #subscribe(): Promise<void> {
    const { store, key, onError } = this.watched;
    if (!store.subscribe) return this.#pollDensely();
    try {
      const unsubscribe = await store.subscribe(key, () => this.wake());
      if (this.#ended) return unsubscribe();
      this.#unsubscribe = unsubscribe;
      // The record may have changed between the claim and the confirmation.
      await this.#read();
    } catch (error) {
      onError(error);
      this.#pollDensely();
    }
  }

  #pollDensely(): void {
    this.#polling = UNPUSHED;
    this.#pollMs = UNPUSHED.firstMs;
    if (!this.#ended && !this.#reading) this.#sleep(undefined);
  }

  async #read(): Promise<void> {
    if (this.#ended) return;
    // A wake-up during a read may be about something that the read was too early to see.
    if (this.#reading) return void (this.#readAgain = true);
    this.#reading = true;
    clearTimeout(this.#timer);
    const { store, key, storeTimeoutMs, onError } = this.watched;
    let leaseRemainingMs: number | undefined;
    do {
      this.#readAgain = false;
      try {
        const record = await callStore('read a record', () => store.read(key), storeTimeoutMs);
        if (this.#ended) return;
        if (this.watched.until(record)) return this.#end(record);
        this.#againMs = this.readError = undefined;
        leaseRemainingMs = record && isLive(record) ? record.leaseRemainingMs : undefined;
      } catch (error) {
        const againMs = this.#againMs === undefined ? AGAIN.firstMs : this.#againMs * AGAIN.growth;
        this.#againMs = Math.min(againMs, AGAIN.longestMs);
        this.readError = error;
        onError(error);
      }
    } while (this.#readAgain && !this.#ended);
    this.#reading = false;
    if (!this.#ended) this.#sleep(leaseRemainingMs);
  }

  #end(record: StoredRecord | undefined): void {
    this.stop();
    this.watched.onEnd(record);
  }

  #sleep(leaseRemainingMs: number | undefined): void {
    clearTimeout(this.#timer);
    // One millisecond past the end, since a store counts the end itself as still held.
    const leaseEndMs = leaseRemainingMs === undefined ? Infinity : Math.max(1, leaseRemainingMs + 1);
    const jitteredPollMs = this.#pollMs * (0.9 + Math.random() / 5);
    this.#pollMs = Math.min(this.#pollMs * this.#polling.growth, this.#polling.longestMs);
    const soonestMs = Math.min(leaseEndMs, jitteredPollMs, this.#againMs ?? Infinity);
    this.#timer = unrefTimeout(() => this.wake(), soonestMs);
  }
}
