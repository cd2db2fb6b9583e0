/** Every code an error of this library can carry, with the family it belongs to. */
export const ERROR_CODES = {
  CONCURRENT_REQUEST: 'duplicate',
  DUPLICATE_EXECUTION: 'duplicate',
  IDEMPOTENCY_TIMEOUT: 'duplicate',
  KEY_REUSED: 'duplicate',
  LIMITED: 'limit',
  INVALID_KEY: 'usage',
  INVALID_OPTIONS: 'usage',
  PAYLOAD_TOO_LARGE: 'usage',
  IN_DOUBT: 'outcome',
  RESULT_UNAVAILABLE: 'outcome',
  LEASE_LOST: 'outcome',
  STORE_UNAVAILABLE: 'store',
  CORRUPT_RECORD: 'store',
  RECORD_TOO_NEW: 'store',
} as const;
export type ErrorCode = keyof typeof ERROR_CODES;
type CodesOf<Family> = { [C in ErrorCode]: (typeof ERROR_CODES)[C] extends Family ? C : never }[ErrorCode];

// A brand, since `instanceof` fails between the ESM and the CommonJS copy, and names are no identity.
const BRAND = Symbol.for('twiceshy.error');

/** The base of all errors of this library. Tell them apart by `code`, which is stable. */
export class IdempotencyError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/** The call itself was wrong: an option, or a key. Nothing was run. */
export class UsageError extends IdempotencyError {
  constructor(code: CodesOf<'usage'>, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.name = 'UsageError';
  }
}

/** A duplicate was refused, or waited in vain. The operation was not run by this call. */
export class DuplicateError extends IdempotencyError {
  constructor(code: CodesOf<'duplicate'>, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.name = 'DuplicateError';
  }
}

/** The call was not let in: by `admit`, or because its scope has used up its share of the store. Nothing was run. */
export class LimitError extends IdempotencyError {
  /** When to come again, in milliseconds from now. */
  readonly retryAfterMs: number;

  constructor(code: CodesOf<'limit'>, message: string, options?: ErrorOptions & { retryAfterMs?: number }) {
    super(code, message, options);
    this.name = 'LimitError';
    this.retryAfterMs = options?.retryAfterMs ?? LIMITED_RETRY_MS;
  }
}
const LIMITED_RETRY_MS = 1_000;

/** When a call that was not let in may come again, whichever copy of the library refused it. */
export const limitedRetryMs = (error: IdempotencyError): number =>
  'retryAfterMs' in error && typeof error.retryAfterMs === 'number' ? error.retryAfterMs : LIMITED_RETRY_MS;

/** There is no recorded outcome to give: in doubt, without a value, or the lease was lost. */
export class OutcomeError extends IdempotencyError {
  /** With LEASE_LOST: what this attempt's own work came to, when it had ended by then. */
  readonly result?: unknown;

  constructor(code: CodesOf<'outcome'>, message: string, options?: ErrorOptions & { result?: unknown }) {
    super(code, message, options);
    this.name = 'OutcomeError';
    if (options && 'result' in options) this.result = options.result;
  }
}

/** The store could not be asked, or its record can't be read. */
export class StoreError extends IdempotencyError {
  /** Whether the same command may do better in a moment: the connection broke, the server is loading. */
  readonly transient: boolean;
  /**
   * Whether the command certainly did not reach the store, and never will, so that there is nothing to undo. A store says so
   * only where it knows: of its own connection, not of a client that may keep the command and send it later.
   */
  readonly neverSent: boolean;

  constructor(
    code: CodesOf<'store'>,
    message: string,
    options?: ErrorOptions & { transient?: boolean; neverSent?: boolean },
  ) {
    super(code, message, options);
    this.name = 'StoreError';
    this.transient = options?.transient ?? false;
    this.neverSent = options?.neverSent ?? false;
  }
}

/** Whether `error` is one of ours (whichever copy of the library threw it), and of `code` where one is given. */
export function isIdempotencyError(error: unknown, code?: ErrorCode): error is IdempotencyError {
  if (typeof error !== 'object' || error === null || !(BRAND in error)) return false;
  return code === undefined || ('code' in error && error.code === code);
}

/** Whether the record that stands there can't be read: no further try would change that. */
export const isUnreadable = (error: unknown): boolean =>
  isIdempotencyError(error, 'CORRUPT_RECORD') || isIdempotencyError(error, 'RECORD_TOO_NEW');

/** Whether the command certainly never reached the store. */
export const wasNeverSent = (error: unknown): boolean =>
  isIdempotencyError(error) && 'neverSent' in error && error.neverSent === true;

/** The refusal of a record that belongs to another prefix, scope or name (G10). */
export function anotherIdentity(address: string): UsageError {
  return new UsageError(
    'INVALID_KEY',
    `another identity's record stands at ${JSON.stringify(address)}: its prefix, scope and name read the same as yours once ` +
      'joined by ":". Give one of the two another prefix, scope or name',
  );
}

/** The refusal of a record that a newer version of this library wrote: it is left alone until this process is upgraded. */
export function tooNew(address: string, format: number): StoreError {
  return new StoreError(
    'RECORD_TOO_NEW',
    `the record at ${JSON.stringify(address)} was written by a newer version of twiceshy (format ${format}), which this version ` +
      'cannot read and leaves alone: upgrade this process, and then call again',
  );
}

/** Any error as a {@link StoreError}, the foreign one as its cause. */
export function toStoreError(error: unknown, operation: string): IdempotencyError {
  if (isIdempotencyError(error)) return error;
  // Not String(): of an object without a prototype that throws.
  const reason = error instanceof Error ? error.message : typeof error === 'string' ? error : typeof error;
  return new StoreError('STORE_UNAVAILABLE', `the store failed to ${operation}: ${reason}`, { cause: error });
}
