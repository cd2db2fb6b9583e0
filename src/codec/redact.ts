import { UsageError } from '../core/errors.js';

/** What `redact` is told about a value that is about to be recorded. */
export interface RedactFacts {
  /** The name of the operation: the option `name`, the function's or task's name, or `POST /orders` for a route. */
  readonly operation: string;
  /**
   * `result`: what the work returned; for a route its answer `{ status, headers, body }`, for a task its Result as plain data.
   * `error`: what it threw; for a route also an answer that reports a failure. `step`: what a step returned.
   */
  readonly kind: 'result' | 'error' | 'step';
  /** The name of the step. */
  readonly step?: string;
}

/** Returns what is recorded instead of a value. */
export type Redact = (value: unknown, facts: RedactFacts) => unknown;

/** `redact` failed, so nothing of the value is recorded. `cause` is what it threw. */
class RedactError extends Error {
  readonly path = 'redact';

  constructor(what: string, options?: ErrorOptions) {
    super(`redact ${what}, so nothing of the value is recorded`, options);
    this.name = 'RedactError';
  }
}

/** @throws UsageError `INVALID_OPTIONS` */
export function checkRedact(redact: unknown): void {
  if (redact === undefined || typeof redact === 'function') return;
  throw new UsageError(
    'INVALID_OPTIONS',
    'codec.redact must be a function: (value, facts) => what to record',
  );
}

/** @throws RedactError if the hook throws, or returns a promise or nothing: the original must not be recorded by accident */
export function redacted(redact: Redact, value: unknown, facts: RedactFacts): unknown {
  let answer: unknown;
  try {
    answer = redact(value, facts);
    if (isThenable(answer)) Promise.resolve(answer).catch(() => undefined);
  } catch (cause) {
    // Without the message of the cause, which may quote the value, as that of JSON.parse does.
    throw new RedactError('threw', { cause });
  }
  if (isThenable(answer)) throw new RedactError('returned a promise');
  // Most likely a code path without a return.
  if (answer === undefined && value !== undefined) throw new RedactError('returned undefined');
  return answer;
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'then') === 'function';
}
