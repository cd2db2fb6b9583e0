import { errorMessage } from '../../core/check.js';
import { isIdempotencyError, StoreError, type IdempotencyError } from '../../core/errors.js';

/** The row is locked by a transaction that has not ended. */
export const LOCK_NOT_AVAILABLE = '55P03';
/** The server ended a session that was inactive inside a transaction. */
export const IDLE_IN_TRANSACTION = '25P03';
/** A statement was sent after another one of the transaction had failed. */
export const IN_FAILED_TRANSACTION = '25P02';
/** Among others: the queue of NOTIFY is full. */
export const LIMIT_EXCEEDED = '54000';
const NO_TRANSACTION = '25P01';
const NO_SUCH_SAVEPOINT = '3B001';
const SERIALIZATION_FAILURE = '40001';
const DEADLOCK = '40P01';
const NO_SUCH_STATEMENT = '26000';
const STATEMENT_EXISTS = '42P05';

/** Advice by SQLSTATE, or by its first two characters for a whole class. */
const ADVICE: Readonly<Record<string, string>> = {
  '42P01': 'run createSchema() once, or the migration that sqlFor() prints, with the same table and schema',
  '42703': 'the table is not one that sqlFor() prints: run that migration, or give another table',
  '42804': 'the table is not one that sqlFor() prints: run that migration, or give another table',
  '42P10': 'the table lacks its primary key on "key": run the migration that sqlFor() prints',
  '3F000': 'create the schema, or run the migration that sqlFor() prints',
  '3D000': "check the database's name in the pool's options",
  '42501': 'give this user SELECT, INSERT, UPDATE and DELETE on the table, and USAGE on its schema',
  '28': "check the user and the password in the pool's options",
  '22P05': 'use a database whose encoding is UTF8',
  '22021': 'use a database whose encoding is UTF8',
  '53100': 'the disk of the server is full',
  '23': 'the table is not one that sqlFor() prints, or its constraints were changed',
};

/** Errors that may go away in a moment: the connection broke, the server starts or stops, is full, or is not the primary. */
const TRANSIENT_STATES =
  /^(08...|57P0[1235]|57014|53[023]00|25006|25P03|26000|40001|40P01|42P05|55P03|55006|58000|58030)$/;
const TRANSIENT_CODES =
  /^(ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/;
const TRANSIENT_MESSAGES =
  /connection terminated|connection error|not queryable|connection ended|read timeout|timeout exceeded when trying to connect|client was closed|timeout expired/i;

/** The SQLSTATE of a server error, or the code of a socket error. */
export function errorCode(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** Whether the statement failed because of a conflict with others: it can simply be repeated. */
export function isConflict(error: unknown): boolean {
  const code = errorCode(error);
  return code === SERIALIZATION_FAILURE || code === DEADLOCK;
}

/** Whether our savepoint, or the transaction, does not exist any more. */
export function isNotOurTransaction(error: unknown): boolean {
  const code = errorCode(error);
  return code === NO_TRANSACTION || code === NO_SUCH_SAVEPOINT;
}

/** Whether the statement was prepared in another session than this one. It was not executed. */
export function isUnprepared(error: unknown): boolean {
  const code = errorCode(error);
  return code === NO_SUCH_STATEMENT || code === STATEMENT_EXISTS;
}

/** Whether the server refused the statement and the session continues: then the statement certainly had no effect. */
export function isRefusal(error: unknown): boolean {
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  return (
    typeof code === 'string' &&
    /^[0-9A-Z]{5}$/.test(code) &&
    !/^(08|57P)/.test(code) &&
    severity !== 'FATAL' &&
    severity !== 'PANIC'
  );
}

/** Converts any failure of a statement into an error of this library. */
export function toPostgresError(error: unknown): IdempotencyError {
  if (isIdempotencyError(error)) return error;
  const code = errorCode(error) ?? '';
  const text = errorMessage(error);
  if (/after calling end on the pool/.test(text)) {
    const message = 'the pool was ended: close the store and what uses it first, then the pool';
    return new StoreError('STORE_UNAVAILABLE', message, { cause: error });
  }
  const advice = ADVICE[code] ?? ADVICE[code.slice(0, 2)];
  if (advice !== undefined) {
    return new StoreError('STORE_UNAVAILABLE', `PostgreSQL refused: ${text}; ${advice}`, { cause: error });
  }
  const transient =
    TRANSIENT_STATES.test(code) || TRANSIENT_CODES.test(code) || TRANSIENT_MESSAGES.test(text);
  const message = `PostgreSQL is unavailable: ${text}`;
  return new StoreError('STORE_UNAVAILABLE', message, { cause: error, transient });
}
