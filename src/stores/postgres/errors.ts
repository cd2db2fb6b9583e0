import { messageOf } from '../../core/check.js';
import { isIdempotencyError, StoreError, type IdempotencyError } from '../../core/errors.js';

/** The row is held by a transaction that has not ended. */
export const LOCK_NOT_AVAILABLE = '55P03';
/** The server ended a session that was silent inside of a transaction. */
export const IDLE_IN_TRANSACTION = '25P03';
/** A statement after another one of the transaction had failed. */
export const IN_FAILED_TRANSACTION = '25P02';
/** Among others, what NOTIFY says when its queue is full. */
export const LIMIT_EXCEEDED = '54000';
const NO_TRANSACTION = '25P01';
const NO_SUCH_SAVEPOINT = '3B001';
const SERIALIZATION_FAILURE = '40001';
const DEADLOCK = '40P01';
const NO_SUCH_STATEMENT = '26000';
const STATEMENT_EXISTS = '42P05';

/** What each SQLSTATE means for the one who must do something about it; a class of them by its first two characters. */
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

/** What may do better in a moment: the connection broke, the server starts, stops, is full or not the primary. */
const TRANSIENT_STATES =
  /^(08...|57P0[1235]|57014|53[023]00|25006|25P03|26000|40001|40P01|42P05|55P03|55006|58000|58030)$/;
const TRANSIENT_CODES =
  /^(ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/;
const TRANSIENT_MESSAGES =
  /connection terminated|connection error|not queryable|connection ended|read timeout|timeout exceeded when trying to connect|client was closed|timeout expired/i;

/** The SQLSTATE, or the code of the socket's error. */
export function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** Whether the statement alone was the victim of others: the same one may just be sent again. */
export function isConflict(error: unknown): boolean {
  const code = codeOf(error);
  return code === SERIALIZATION_FAILURE || code === DEADLOCK;
}

/** Whether a savepoint is asked for that the transaction has not, or there is no transaction. */
export function isNotOurTransaction(error: unknown): boolean {
  const code = codeOf(error);
  return code === NO_TRANSACTION || code === NO_SUCH_SAVEPOINT;
}

/** Whether this is not the session that the statement was prepared on: nothing was done. */
export function isUnprepared(error: unknown): boolean {
  const code = codeOf(error);
  return code === NO_SUCH_STATEMENT || code === STATEMENT_EXISTS;
}

/** Whether the server itself answered, in a session that goes on: what it refused was certainly not done. */
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

/** Any failure of a statement as an error of ours. */
export function toPostgresError(error: unknown): IdempotencyError {
  if (isIdempotencyError(error)) return error;
  const code = codeOf(error) ?? '';
  const told = messageOf(error);
  if (/after calling end on the pool/.test(told)) {
    const message = 'the pool was ended: close the store and what uses it first, then the pool';
    return new StoreError('STORE_UNAVAILABLE', message, { cause: error });
  }
  const advice = ADVICE[code] ?? ADVICE[code.slice(0, 2)];
  if (advice !== undefined) {
    return new StoreError('STORE_UNAVAILABLE', `PostgreSQL refused: ${told}; ${advice}`, { cause: error });
  }
  const transient =
    TRANSIENT_STATES.test(code) || TRANSIENT_CODES.test(code) || TRANSIENT_MESSAGES.test(told);
  const message = `PostgreSQL could not be asked: ${told}`;
  return new StoreError('STORE_UNAVAILABLE', message, { cause: error, transient });
}
