import { UsageError } from '../core/errors.js';

/** What a value that is about to be recorded is. */
export interface RedactFacts {
  /** The name of the operation: as given, of the function, of the task, or `POST /orders` of a route. */
  readonly operation: string;
  /**
   * `result`: what the work returned; of a route its answer `{ status, headers, body }`; of a task its Result as plain data.
   * `error`: what it threw; of a route also an answer that says that it failed. `step`: what a step returned.
   */
  readonly kind: 'result' | 'error' | 'step';
  /** The name of the step. */
  readonly step?: string;
}

/** Gives what is recorded in the place of a value. */
export type Redact = (value: unknown, facts: RedactFacts) => unknown;

/** The hook was of no help, so that nothing of the value is recorded. `cause` is what it threw. */
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
    'codec.redact is no function: give (value, facts) => what is recorded',
  );
}

/** @throws RedactError for whatever is no answer: the plain value must not be recorded by accident */
export function redacted(redact: Redact, value: unknown, facts: RedactFacts): unknown {
  let answer: unknown;
  try {
    answer = redact(value, facts);
    if (isThenable(answer)) Promise.resolve(answer).catch(() => undefined);
  } catch (cause) {
    // Without its message: that of a JSON.parse, say, quotes the value.
    throw new RedactError('threw', { cause });
  }
  if (isThenable(answer)) throw new RedactError('returned a promise');
  // Most likely a branch without a return.
  if (answer === undefined && value !== undefined) throw new RedactError('returned undefined');
  return answer;
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'then') === 'function';
}
