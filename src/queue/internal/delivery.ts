import { isIdempotencyError, retryAfterOf, type ErrorCode } from '../../core/errors.js';
import type { Answer } from '../../core/outcome.js';
import type { StoredRecord } from '../../core/record.js';

/** What is to become of a message. */
export type Delivery<R = unknown> =
  /** It is finished: here (`replayed: false`), or by an earlier delivery, whose result this is. */
  | {
      readonly action: 'ack';
      readonly replayed: boolean;
      /** What the handler returned; undefined as well where it could not be recorded or can't be read. */
      readonly result: R | undefined;
    }
  /** It is not finished: it must come again, not before `delayMs` have passed. */
  | {
      readonly action: 'retry';
      readonly delayMs: number;
      /** Whether an attempt has failed. If not, nothing ran: it is running elsewhere, or the store can't be asked. */
      readonly failed: boolean;
      readonly error: unknown;
    }
  /** It must not come again by itself: it goes where a person finds it, such as a dead-letter queue. */
  | { readonly action: 'drop'; readonly error: unknown };

/** By what the table below judges, beside the answer. */
export interface Terms {
  readonly leaseMs: number;
  readonly retryDelayMs: number;
  readonly maxAttempts: number;
  readonly decode: (record: StoredRecord) => unknown;
}

/** The longest a failing message waits, unless the first delay was longer already. */
const MAX_BACKOFF_MS = 60_000;

/**
 * What a refusal means for a message. `lease`: it comes again when a dead owner's lease has run out; `soon`: after the
 * first delay; `told`: after what the error says. Nothing that is not known to be finished is ever acknowledged.
 */
const REFUSALS: Readonly<Record<ErrorCode, 'ack' | 'lease' | 'soon' | 'told' | 'drop'>> = {
  CONCURRENT_REQUEST: 'lease',
  IDEMPOTENCY_TIMEOUT: 'lease',
  LEASE_LOST: 'lease',
  STORE_UNAVAILABLE: 'soon',
  LIMITED: 'told',
  // Another process, or this one once it is upgraded, can read the record.
  RECORD_TOO_NEW: 'soon',
  // Only a person can help: another payload under the key, no key, nobody knows the outcome, an unreadable record.
  KEY_REUSED: 'drop',
  INVALID_KEY: 'drop',
  INVALID_OPTIONS: 'drop',
  PAYLOAD_TOO_LARGE: 'drop',
  IN_DOUBT: 'drop',
  CORRUPT_RECORD: 'drop',
  // It was done.
  DUPLICATE_EXECUTION: 'ack',
  RESULT_UNAVAILABLE: 'ack',
};

/** The table: from the engine's answer to the fate of the message. Pure. */
export function toDelivery<R>(answer: Answer<R>, terms: Terms): Delivery<R> {
  switch (answer.kind) {
    case 'ran':
      return afterRun(answer, terms);
    case 'duplicate':
      return afterRecord(answer.record, terms);
    case 'refused':
      return afterRefusal(answer.error.code, answer.error, terms);
    case 'left':
      return { action: 'retry', delayMs: terms.retryDelayMs, failed: false, error: answer.reason };
  }
}

/** What an error means that came before the engine was asked, or that nobody foresaw. */
export function afterRefusal<R>(
  code: ErrorCode | undefined,
  error: unknown,
  { leaseMs, retryDelayMs }: Terms,
): Delivery<R> {
  switch (code === undefined ? 'soon' : REFUSALS[code]) {
    case 'ack':
      return { action: 'ack', replayed: true, result: undefined };
    case 'lease':
      return { action: 'retry', delayMs: leaseMs, failed: false, error };
    case 'soon':
      return { action: 'retry', delayMs: retryDelayMs, failed: false, error };
    case 'told': {
      const delayMs = isIdempotencyError(error) ? retryAfterOf(error) : retryDelayMs;
      return { action: 'retry', delayMs, failed: false, error };
    }
    case 'drop':
      return { action: 'drop', error };
  }
}

function afterRun<R>({ outcome, attempt }: Extract<Answer<R>, { kind: 'ran' }>, terms: Terms): Delivery<R> {
  switch (outcome.kind) {
    case 'completed':
      // Also where the store could not be told in time: a redelivery is what could do it twice.
      return { action: 'ack', replayed: false, result: outcome.value };
    case 'failed':
      if (outcome.final) return { action: 'drop', error: outcome.error };
      return afterFailure(outcome.error, attempt, terms);
    case 'unknown':
      // The next delivery is decided by onAbandoned.
      return afterFailure(outcome.error, attempt, terms);
    case 'released':
      return { action: 'retry', delayMs: terms.retryDelayMs, failed: true, error: outcome.error };
  }
}

function afterRecord<R>(record: StoredRecord, terms: Terms): Delivery<R> {
  const value = readValue(record, terms);
  switch (record.status) {
    case 'COMPLETED':
      return { action: 'ack', replayed: true, result: value.read as R | undefined };
    case 'FAILED': {
      const error = value.unreadable ?? value.read;
      return record.final ? { action: 'drop', error } : afterFailure(error, record.attempt, terms);
    }
    case 'IN_PROGRESS':
      return { action: 'retry', delayMs: terms.leaseMs, failed: false, error: undefined };
  }
}

/** One more try, later each time; none when the attempts of the key are used up, whichever process made them. */
function afterFailure<R>(error: unknown, attempt: number, terms: Terms): Delivery<R> {
  if (attempt >= terms.maxAttempts) return { action: 'drop', error };
  const longestMs = Math.max(MAX_BACKOFF_MS, terms.retryDelayMs);
  const delayMs = Math.min(terms.retryDelayMs * 2 ** (attempt - 1), longestMs);
  return { action: 'retry', delayMs, failed: true, error };
}

function readValue(record: StoredRecord, { decode }: Terms): { read?: unknown; unreadable?: unknown } {
  try {
    return { read: decode(record) };
  } catch (unreadable) {
    return { unreadable };
  }
}
