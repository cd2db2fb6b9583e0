import { callStore } from '../call-store.js';
import { isUnreadable, StoreError, toStoreError, type IdempotencyError } from '../errors.js';
import { MAX_UNRECORDED_BYTES, MAX_WITHDRAWALS } from '../options.js';
import type { Lease, StoreKey } from '../record.js';
import type { LeaseStore, Settlement } from '../store.js';
import { monotonicMs, unrefTimeout } from '../timers.js';

/** Who is told what became of an errand. */
export interface ErrandOwner {
  /** A withdrawal has undone nothing, and will be said again. */
  saysAgain(): void;
  /** The backlog is done with it. */
  ended(errand: Errand, answer: boolean): void;
  /** The backlog tells it no more: it is of no use any longer, or can't be told. */
  gaveUp(errand: Errand, error: IdempotencyError): void;
}

interface OfErrand {
  readonly owner: ErrandOwner;
  readonly key: StoreKey;
  /** The deadline of each try. */
  readonly timeoutMs: number;
  /** Given up after this moment. */
  readonly giveUpAtMs: number;
  /** An otherwise idle process stays alive for it until then. */
  readonly aliveUntilMs: number;
}

/** A claim that is to be undone. */
export interface Withdrawal extends OfErrand {
  readonly kind: 'withdrawal';
  readonly token: string;
  /** Whether it was said before, and undid nothing. */
  readonly isSecond: boolean;
}

/** An outcome that is to be recorded. */
export interface Settling extends OfErrand {
  readonly kind: 'settling';
  readonly lease: Lease;
  readonly settlement: Settlement;
}

/** Something that the store must be told. Plain data, and nothing of the request that it came from. */
export type Errand = Withdrawal | Settling;

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
/** A store that answers is told so many things at a time. */
const MAX_IN_FLIGHT = 16;
/** Of one call: few enough that the store's other callers do not wait long behind it. */
const MAX_BATCH = 100;
/** Between two tries, so many errands are tried of which the store refuses each: one of them may be the fault, not the store. */
const MAX_REFUSALS = 8;
/** A withdrawal is said again after its deadline, or this, if that is shorter: by then its mark in the store is gone. */
const LONGEST_AGAIN_MS = 60_000;
/** What falls due within so long goes together. */
const GRAIN_MS = 10;
/** What an unrecorded outcome takes beside its texts: its lease, its key, its place in tables. */
const ENTRY_BYTES = 2_000;

const backlogs = new WeakMap<LeaseStore, Backlog>();

/**
 * What one store must still be told, within bounds. While the store does not answer, one errand at a time is tried, ever more
 * rarely: so an outage costs the same however many calls it has failed, and when it is over, what waits goes in batches.
 */
export class Backlog {
  /** The first one is tried next. */
  readonly #ready = new Set<Errand>();
  /** Second sayings, until each one's moment. */
  readonly #later = new Map<Withdrawal, number>();
  #withdrawals = 0;
  #bytes = 0;
  #inFlight = 0;
  /** Whether the last answer was a failure: then one errand at a time finds out whether the store is back. */
  #isDown = false;
  #refusals = 0;
  #retryMs = FIRST_RETRY_MS;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #alarm: ReturnType<typeof setTimeout> | undefined;

  private constructor(private readonly store: LeaseStore) {}

  /** The one of a store: its engines share the bounds, and the one try. */
  static of(store: LeaseStore): Backlog {
    let backlog = backlogs.get(store);
    if (!backlog) backlogs.set(store, (backlog = new Backlog(store)));
    return backlog;
  }

  /** `false` where there is no room for it. */
  add(errand: Errand): boolean {
    if (errand.kind === 'withdrawal') {
      if (this.#withdrawals >= MAX_WITHDRAWALS) return false;
      this.#withdrawals++;
    } else {
      const bytes = settlingBytes(errand);
      if (this.#bytes + bytes > MAX_UNRECORDED_BYTES) return false;
      this.#bytes += bytes;
    }
    this.#ready.add(errand);
    this.#pump();
    return true;
  }

  #pump(): void {
    if (this.#pause) return;
    const most = this.#isDown ? 1 : MAX_IN_FLIGHT;
    while (this.#inFlight < most && this.#ready.size > 0) void this.#send(this.#take());
  }

  /** The next errand, with others that may go along. */
  #take(): Errand[] {
    const batch: Errand[] = [];
    const isMany = this.store.releaseMany !== undefined && !this.#isDown;
    for (const errand of this.#ready) {
      if (batch.length > 0 && errand.kind !== 'withdrawal') continue;
      batch.push(errand);
      this.#ready.delete(errand);
      if (!isMany || batch[0]?.kind !== 'withdrawal' || batch.length === MAX_BATCH) break;
    }
    return batch;
  }

  async #send(batch: readonly Errand[]): Promise<void> {
    this.#inFlight++;
    const results = await this.#tell(batch);
    this.#inFlight--;
    const [first] = results;
    if (first && !first.error) this.#isBack();
    batch.forEach((errand, index) => this.#heard(errand, results[index] ?? UNANSWERED));
    if (results.some(({ error }) => error)) this.#failed(results);
    this.#pump();
  }

  async #tell(batch: readonly Errand[]): Promise<readonly Told[]> {
    const [first] = batch as [Errand];
    const { store } = this;
    const timeoutMs = Math.max(...batch.map((errand) => errand.timeoutMs));
    const operation = first.kind === 'settling' ? 'record an outcome' : 'withdraw a claim';
    try {
      if (batch.length > 1) {
        const command = () => store.releaseMany!(batch as readonly Withdrawal[]);
        const results = await callStore(operation, command, timeoutMs);
        return results.map((result) =>
          result.status === 'fulfilled' ? { answer: result.value } : failure(result.reason, operation),
        );
      }
      const command = (): Promise<boolean> =>
        first.kind === 'settling'
          ? store.settle(first.key, first.lease, first.settlement)
          : store.release(first.key, first.token);
      return [{ answer: await callStore(operation, command, timeoutMs) }];
    } catch (error) {
      const failed = failure(error, operation);
      return batch.map(() => failed);
    }
  }

  #heard(errand: Errand, told: Told): void {
    if (told.error) {
      const isHopeless = isUnreadable(told.error) || monotonicMs() >= errand.giveUpAtMs;
      if (!isHopeless) return void this.#ready.add(errand);
      this.#drop(errand);
      errand.owner.gaveUp(errand, told.error);
    } else if (errand.kind === 'withdrawal' && told.answer !== true && !errand.isSecond) {
      this.#sayAgain({ ...errand, isSecond: true });
    } else {
      this.#drop(errand);
      errand.owner.ended(errand, told.answer === true);
    }
  }

  #drop(errand: Errand): void {
    if (errand.kind === 'withdrawal') this.#withdrawals--;
    else this.#bytes -= settlingBytes(errand);
  }

  #isBack(): void {
    this.#isDown = false;
    this.#refusals = 0;
    this.#retryMs = FIRST_RETRY_MS;
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  /** Waits before the next try, unless the fault may be the errand's: then the next one is tried at once. */
  #failed(results: readonly Told[]): void {
    this.#isDown = true;
    const isRefused = results.some(({ error }) => error && !(error instanceof StoreError && error.transient));
    if (isRefused && ++this.#refusals < Math.min(MAX_REFUSALS, this.#ready.size)) return;
    if (this.#pause) return;
    this.#refusals = 0;
    this.#dropOld();
    if (this.#ready.size === 0) return;
    const delayMs = this.#retryMs * (0.75 + Math.random() / 2);
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
    const resume = () => {
      this.#pause = undefined;
      this.#pump();
    };
    const now = monotonicMs();
    let isUrgent = false;
    for (const { aliveUntilMs } of this.#ready) isUrgent ||= aliveUntilMs > now;
    this.#pause = isUrgent ? setTimeout(resume, delayMs) : unrefTimeout(resume, delayMs);
  }

  #dropOld(): void {
    const now = monotonicMs();
    for (const errand of this.#ready) {
      if (now < errand.giveUpAtMs) continue;
      this.#ready.delete(errand);
      this.#drop(errand);
      errand.owner.gaveUp(errand, UNANSWERED.error);
    }
  }

  #sayAgain(errand: Withdrawal): void {
    errand.owner.saysAgain();
    this.#later.set(errand, monotonicMs() + Math.min(errand.timeoutMs, LONGEST_AGAIN_MS));
    this.#wait();
  }

  #wait(): void {
    if (this.#alarm || this.#later.size === 0) return;
    let nextMs = Infinity;
    for (const dueMs of this.#later.values()) nextMs = Math.min(nextMs, dueMs);
    this.#alarm = unrefTimeout(
      () => {
        this.#alarm = undefined;
        this.#sayDue();
        this.#wait();
      },
      Math.max(0, nextMs - monotonicMs()) + GRAIN_MS,
    );
  }

  #sayDue(): void {
    const now = monotonicMs();
    for (const [errand, dueMs] of this.#later) {
      if (dueMs > now) continue;
      this.#later.delete(errand);
      this.#ready.add(errand);
    }
    this.#pump();
  }
}

/** What became of telling it. */
type Told = { readonly answer: boolean; readonly error?: undefined } | { readonly error: IdempotencyError };

const failure = (error: unknown, operation: string): { error: IdempotencyError } => ({
  error: toStoreError(error, operation),
});

const UNANSWERED = failure('it did not answer in time', 'be told in the background');

function settlingBytes({ key, lease, settlement }: Settling): number {
  let bytes = ENTRY_BYTES + 2 * textBytes(key.address) + textBytes(settlement.payload ?? '');
  for (const { name, payload = '' } of lease.steps) bytes += textBytes(name) + textBytes(payload);
  return bytes;
}

/** As the engine keeps it: one byte a character, or two where one of them needs two. */
function textBytes(text: string): number {
  return /[^\x00-\xff]/.test(text) ? text.length * 2 : text.length;
}
