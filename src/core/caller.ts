import type { Visit } from './admission.js';
import { DuplicateError, isIdempotencyError, OutcomeError, type IdempotencyError } from './errors.js';
import type { Operation } from './operation.js';
import type { Answer } from './outcome.js';
import { LEFT, Patience, type TIMED_OUT } from './patience.js';
import type { RunEnd } from './events.js';
import { decide, type Awaited, type Decision } from './policy.js';
import { identityOf, type StoredRecord } from './record.js';
import { monotonicMs } from './timers.js';

/** One call of `run`, with what it has learnt so far. */
export class Caller<T> {
  readonly patience: Patience;
  /** What it shares a flight by. */
  readonly identity: string;
  readonly #startedMs = monotonicMs();
  /** How it met an attempt that it did not run itself; undefined when it met none, or only a settled record. */
  followed: 'joined' | 'waited' | undefined;
  /** Whether its end was told. A caller that left may be given an answer later, which is no second end. */
  #isOver = false;
  /** The attempt it waited on. */
  awaited: Awaited | undefined;
  /** The token of the record that policy decided to replace. */
  replacing: string | undefined;
  /** Whether what is replaced must be asked about before the work may run. */
  reconciles = false;
  /** A record in progress that was just seen, so that it need not be claimed to be watched. */
  known: StoredRecord | undefined;
  /** The running attempt that it waited for last, as it was then. */
  waitedFor: StoredRecord | undefined;

  /** Where calls are counted: this one. */
  visit: Visit | undefined;

  constructor(readonly op: Operation<T>) {
    this.identity = identityOf(op.key);
    this.patience = new Patience(op.policy.waitTimeoutMs, op.signal);
  }

  decide(record: StoredRecord): Decision {
    const { fingerprint, onDuplicate, onAbandoned, policy } = this.op;
    const { concurrent, maxAttempts } = policy;
    const { awaited } = this;
    return decide(record, { fingerprint, concurrent, onDuplicate, onAbandoned, maxAttempts, awaited });
  }

  /** Whether the work runs unprotected after this error. */
  failsOpen(error: unknown): boolean {
    return this.op.policy.onStoreError === 'run' && isIdempotencyError(error, 'STORE_UNAVAILABLE');
  }

  refused(decision: Extract<Decision, { do: 'refuse' }>, record: StoredRecord): Answer<never> {
    const { code, why } = decision;
    return { kind: 'refused', error: this.#error(code, why), record };
  }

  gaveUp(how: typeof TIMED_OUT | typeof LEFT): Answer<never> {
    if (how === LEFT) return { kind: 'left', reason: this.op.signal?.reason };
    const why = `it is still running after ${this.op.policy.waitTimeoutMs} ms of waiting`;
    return { kind: 'refused', error: this.#error('IDEMPOTENCY_TIMEOUT', why), record: this.waitedFor };
  }

  /** Calls `tell` with the name of the end that an answer is, and how long the call took: once. */
  end(answer: Answer<T>, tell: (outcome: RunEnd, durationMs: number) => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    tell(endOf(answer, this.followed), monotonicMs() - this.#startedMs);
  }

  #error(code: Refusal, why: string): IdempotencyError {
    const { name, key } = this.op.label;
    const message = `${name} "${key}": ${why}`;
    return code === 'IN_DOUBT' ? new OutcomeError(code, message) : new DuplicateError(code, message);
  }
}

function endOf<T>(answer: Answer<T>, followed: 'joined' | 'waited' | undefined): RunEnd {
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

type Refusal = Extract<Decision, { do: 'refuse' }>['code'] | 'IDEMPOTENCY_TIMEOUT';
