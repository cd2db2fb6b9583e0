import { isIdempotencyError, limitedRetryMs, type ErrorCode } from '../../core/errors.js';
import type { Answer } from '../../core/outcome.js';
import type { StoredRecord } from '../../core/record.js';

/** What to do with a message. */
export type Delivery<R = unknown> =
  /** Acknowledge it: it was processed now (`replayed: false`), or by an earlier delivery, whose result this is. */
  | {
      readonly action: 'ack';
      readonly replayed: boolean;
      /** What the handler returned. Also undefined if it could not be recorded, or can't be read. */
      readonly result: R | undefined;
    }
  /** Let it come again, at the earliest after `delayMs`: it is not finished. */
  | {
      readonly action: 'retry';
      readonly delayMs: number;
      /** Whether an attempt has failed. If not, nothing ran here: it runs elsewhere, or the store is unavailable. */
      readonly failed: boolean;
      readonly error: unknown;
    }
  /** Do not deliver it again. Move it where a person finds it, such as a dead-letter queue. */
  | { readonly action: 'drop'; readonly error: unknown };

/** What {@link toDelivery} needs besides the answer. */
export interface Terms {
  readonly leaseMs: number;
  readonly retryDelayMs: number;
  readonly maxAttempts: number;
  readonly decode: (record: StoredRecord) => unknown;
}

/** The longest delay of a failing message, unless `retryDelay` is longer. */
const MAX_BACKOFF_MS = 60_000;

/**
 * What a refusal means for a message. `lease`: it comes again when the lease of a crashed owner would have ended. `soon`: after
 * `retryDelay`. `stated`: after the time that the error states. A message is only acknowledged if it is known to be finished.
 */
const REFUSALS: Readonly<Record<ErrorCode, 'ack' | 'lease' | 'soon' | 'stated' | 'drop'>> = {
  CONCURRENT_REQUEST: 'lease',
  IDEMPOTENCY_TIMEOUT: 'lease',
  LEASE_LOST: 'lease',
  STORE_UNAVAILABLE: 'soon',
  LIMITED: 'stated',
  // Another process can read the record, or this one after an upgrade.
  RECORD_TOO_NEW: 'soon',
  // These need a person: another payload under the key, no key, an outcome in doubt, a record that can't be read.
  KEY_REUSED: 'drop',
  INVALID_KEY: 'drop',
  INVALID_OPTIONS: 'drop',
  PAYLOAD_TOO_LARGE: 'drop',
  IN_DOUBT: 'drop',
  CORRUPT_RECORD: 'drop',
  // These mean that the message was processed.
  DUPLICATE_EXECUTION: 'ack',
  RESULT_UNAVAILABLE: 'ack',
};

/** What to do with a message, by the engine's answer. A pure function. */
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

/** What to do after an error, also one from before the engine was called. An unknown error is retried. */
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
    case 'stated': {
      const delayMs = isIdempotencyError(error) ? limitedRetryMs(error) : retryDelayMs;
      return { action: 'retry', delayMs, failed: false, error };
    }
    case 'drop':
      return { action: 'drop', error };
  }
}

function afterRun<R>({ outcome, attempt }: Extract<Answer<R>, { kind: 'ran' }>, terms: Terms): Delivery<R> {
  switch (outcome.kind) {
    case 'completed':
      // Also if the outcome could not be recorded in time: a redelivery could run it a second time.
      return { action: 'ack', replayed: false, result: outcome.value };
    case 'failed':
      if (outcome.final) return { action: 'drop', error: outcome.error };
      return afterFailure(outcome.error, attempt, terms);
    case 'unknown':
      // onAbandoned decides what the next delivery does.
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

/** Retry with growing delays, or drop if the attempts of the key are used up. Attempts of all processes count. */
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
