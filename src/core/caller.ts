import { DuplicateError, isIdempotencyError, OutcomeError, type IdempotencyError } from './errors.js';
import type { Operation } from './operation.js';
import type { Answer } from './outcome.js';
import { LEFT, Patience, type TIMED_OUT } from './patience.js';
import { decide, type Decision } from './policy.js';
import type { StoredRecord } from './record.js';

/** One call of `run`, with what it has learnt so far. */
export class Caller<T> {
  readonly patience: Patience;
  /** The fence of the attempt it waited on. */
  awaitedFence: number | undefined;
  /** The token of the record that policy decided to replace. */
  replacing: string | undefined;
  /** Whether what is replaced must be asked about before the work may run. */
  reconciles = false;
  /** A record in progress that was just seen, so that it need not be claimed to be watched. */
  known: StoredRecord | undefined;

  constructor(readonly op: Operation<T>) {
    this.patience = new Patience(op.policy.waitTimeoutMs, op.signal);
  }

  decide(record: StoredRecord): Decision {
    const { fingerprint, onDuplicate, onAbandoned, policy } = this.op;
    const { concurrent, maxAttempts } = policy;
    const { awaitedFence } = this;
    return decide(record, { fingerprint, concurrent, onDuplicate, onAbandoned, maxAttempts, awaitedFence });
  }

  /** Whether the work runs unprotected after this error. */
  failsOpen(error: unknown): boolean {
    return this.op.policy.onStoreError === 'run' && isIdempotencyError(error, 'STORE_UNAVAILABLE');
  }

  refused(decision: Extract<Decision, { do: 'refuse' }>): Answer<never> {
    const { code, why } = decision;
    return { kind: 'refused', error: this.#error(code, why) };
  }

  gaveUp(how: typeof TIMED_OUT | typeof LEFT): Answer<never> {
    if (how === LEFT) return { kind: 'left', reason: this.op.signal?.reason };
    const why = `it is still running after ${this.op.policy.waitTimeoutMs} ms of waiting`;
    return { kind: 'refused', error: this.#error('IDEMPOTENCY_TIMEOUT', why) };
  }

  #error(code: Refusal, why: string): IdempotencyError {
    const { name, key } = this.op.label;
    const message = `${name} "${key}": ${why}`;
    return code === 'IN_DOUBT' ? new OutcomeError(code, message) : new DuplicateError(code, message);
  }
}

type Refusal = Extract<Decision, { do: 'refuse' }>['code'] | 'IDEMPOTENCY_TIMEOUT';
