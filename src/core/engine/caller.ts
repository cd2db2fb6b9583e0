import type { Visit } from '../admission.js';
import { decide, type Awaited, type Decision } from '../decision.js';
import {
  DuplicateError,
  isIdempotencyError,
  OutcomeError,
  StoreError,
  type IdempotencyError,
} from '../errors.js';
import type { RunEnd } from '../events.js';
import { operationTitle, type Operation } from '../operation.js';
import type { Answer } from '../outcome.js';
import { keyIdentity, type StoredRecord } from '../record.js';
import { monotonicMs, timerMs } from '../timers.js';

/** Why a caller stopped waiting. */
export const TIMED_OUT = Symbol('timed out');
export const LEFT = Symbol('left');
type GaveUp = typeof TIMED_OUT | typeof LEFT;

/** How a caller met an attempt that it did not run itself. */
export type Followed = 'joined' | 'waited';

/**
 * One call of `run`: how long it waits, what it waited on, and how it ends. Waiting is bounded for this caller only: never
 * the work, nor anybody else.
 */
export class Caller<T> {
  /** What it shares a flight by. */
  readonly identity: string;
  readonly #startedMs = monotonicMs();
  /** In all, from its first wait on. */
  #deadlineMs: number | undefined;
  #followed: Followed | undefined;
  /** The attempt that it waited on: its failure, or a newer one's, is this caller's answer. */
  #awaited: Awaited | undefined;
  /** The running record that it waited on last. */
  #waitedOn: StoredRecord | undefined;
  #hasEnded = false;

  /** @param visit where calls are counted: this one; undefined where none are */
  constructor(
    readonly op: Operation<T>,
    readonly visit: Visit | undefined,
  ) {
    this.identity = keyIdentity(op.key);
  }

  get isAborted(): boolean {
    return this.op.signal?.aborted === true;
  }

  decide(record: StoredRecord): Decision {
    const { fingerprint, onDuplicate, onAbandoned, policy } = this.op;
    const { concurrent, maxAttempts } = policy;
    return decide(record, {
      fingerprint,
      concurrent,
      onDuplicate,
      onAbandoned,
      maxAttempts,
      awaited: this.#awaited,
    });
  }

  /** It waits on the attempt of this record. */
  waitsOn(record: StoredRecord): void {
    this.#waitedOn = record;
    if (!this.#awaited || record.fence >= this.#awaited.fence)
      this.#awaited = { fence: record.fence, token: record.token };
  }

  follows(how: Followed): void {
    this.#followed = how;
  }

  /** Whether the work runs unprotected after this error. */
  failsOpen(error: unknown): boolean {
    return this.op.policy.onStoreError === 'run' && isIdempotencyError(error, 'STORE_UNAVAILABLE');
  }

  /** The promise's value, or why this caller did not wait for it. The promise must not reject. */
  within<R>(promise: Promise<R>): Promise<R | GaveUp> {
    this.#deadlineMs ??= monotonicMs() + this.op.policy.waitTimeoutMs;
    const remainingMs = this.#deadlineMs - monotonicMs();
    return remainingMs <= 0 ? Promise.resolve(TIMED_OUT) : this.#race(promise, remainingMs);
  }

  /** Its answer, or that it left before there was one. */
  unlessLeft(answer: Promise<Answer<T>>): Promise<Answer<T>> {
    return this.#race(answer, undefined).then((end) => (typeof end === 'symbol' ? this.gaveUp(end) : end));
  }

  refused(decision: Extract<Decision, { do: 'refuse' }>, record: StoredRecord): Answer<never> {
    return { kind: 'refused', error: this.#error(decision.code, decision.why), record };
  }

  gaveUp(how: GaveUp): Answer<never> {
    if (how === LEFT) return { kind: 'left', reason: this.op.signal?.reason };
    const why = `it is still running after ${this.op.policy.waitTimeoutMs} ms of waiting`;
    return { kind: 'refused', error: this.#error('IDEMPOTENCY_TIMEOUT', why), record: this.#waitedOn };
  }

  /** It waited for a claim that the store did not answer. */
  unanswered(): Answer<never> {
    const why = `the store did not answer a claim of this key within ${this.op.policy.waitTimeoutMs} ms of waiting`;
    const error = new StoreError('STORE_UNAVAILABLE', `${operationTitle(this.op)}: ${why}`, {
      transient: true,
    });
    return { kind: 'refused', error };
  }

  /** Calls `tell` with how it ended, and how long it took: once. A caller that left may be given an answer later, which is no second end. */
  end(answer: Answer<T>, tell: (outcome: RunEnd, durationMs: number) => void): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    tell(runEnd(answer, this.#followed), monotonicMs() - this.#startedMs);
  }

  #race<R>(promise: Promise<R>, timeoutMs: number | undefined): Promise<R | GaveUp> {
    const { signal } = this.op;
    if (signal?.aborted) return Promise.resolve(LEFT);
    return new Promise((resolve, reject) => {
      const finish = (value: R | GaveUp) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', leave);
        resolve(value);
      };
      const leave = () => finish(LEFT);
      // Keeps the process alive: somebody waits.
      const timer =
        timeoutMs === undefined ? undefined : setTimeout(() => finish(TIMED_OUT), timerMs(timeoutMs));
      signal?.addEventListener('abort', leave, { once: true });
      promise.then(finish, reject);
    });
  }

  #error(code: Refusal, why: string): IdempotencyError {
    const message = `${operationTitle(this.op)}: ${why}`;
    return code === 'IN_DOUBT' ? new OutcomeError(code, message) : new DuplicateError(code, message);
  }
}

type Refusal = Extract<Decision, { do: 'refuse' }>['code'] | 'IDEMPOTENCY_TIMEOUT';

function runEnd<T>(answer: Answer<T>, followed: Followed | undefined): RunEnd {
  switch (answer.kind) {
    case 'ran':
      return answer.tookOver ? 'took-over' : 'ran';
    case 'duplicate':
      return answer.lost ? 'lost' : (followed ?? 'replayed');
    case 'refused':
      return answer.lost ? 'lost' : 'refused';
    case 'left':
      return 'left';
  }
}
