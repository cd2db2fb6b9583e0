import { invalid, LONGEST_TIMER_MS } from '../../core/check.js';
import { OutcomeError, StoreError, UsageError, type IdempotencyError } from '../../core/errors.js';
import {
  connectWithin,
  type PostgresClient,
  type PostgresPool,
  type PostgresQuery,
  type PostgresResult,
} from './client.js';
import {
  errorCode,
  IDLE_IN_TRANSACTION,
  IN_FAILED_TRANSACTION,
  isNotOurTransaction,
  isRefusal,
  toPostgresError,
} from './errors.js';

const SAVEPOINT = 'twiceshy_work';

/**
 * Statements that would end the transaction, as far as the beginning of the text shows. They are refused before they are sent.
 * Hidden ones are noticed when the attempt ends, because the savepoint of the work is missing then. ROLLBACK TO is allowed.
 */
const ENDS_IT =
  /^\s*(?:begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b/i;

/** The state of the transaction. `unknown`: COMMIT was sent, and there was no answer. */
export type SessionState = 'open' | 'committing' | 'committed' | 'gone' | 'unknown';

/**
 * One transaction on one connection, from BEGIN to COMMIT. Queries run one after another. When the transaction has ended, the
 * connection goes back to the pool; if it is not known how it ended, the connection is closed.
 */
export class PostgresSession {
  state: SessionState = 'open';
  /** The reason why the transaction has no outcome; undefined as long as it may have one. */
  failure: IdempotencyError | undefined;
  /** Whether the work ended the transaction itself, so that its rows may be committed without the record. */
  endedByWork = false;
  /** The error that the connection failed with when COMMIT was sent. */
  lostBy: unknown;
  #turn: Promise<unknown> = Promise.resolve();
  #inFlight = 0;
  #released = false;

  private constructor(
    private readonly client: PostgresClient,
    private readonly timeoutMs: number,
  ) {
    // Also while no query runs: an error event without a listener would end the process.
    client.on('error', this.#onError);
    client.on('end', this.#onEnd);
  }

  /**
   * @param silenceMs the server ends the transaction if it gets no query for so long
   * @throws what the driver throws
   */
  static async begin(pool: PostgresPool, silenceMs: number, timeoutMs: number): Promise<PostgresSession> {
    const session = new PostgresSession(await connectWithin(pool, timeoutMs), timeoutMs);
    const silence = Math.ceil(Math.min(silenceMs, LONGEST_TIMER_MS));
    try {
      // Read committed, whatever the default is: a claim that has waited for a row must see its newest version.
      await session.control(
        `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = ${silence}`,
      );
      return session;
    } catch (error) {
      session.#close(error);
      throw error;
    }
  }

  /** Sets a savepoint before the work, so that the work can be undone without the claim. */
  async enterWork(): Promise<void> {
    await this.control(`SET LOCAL lock_timeout TO DEFAULT; SAVEPOINT ${SAVEPOINT}`);
  }

  async undoWork(): Promise<void> {
    await this.control(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`).catch((error: unknown) => this.#notice(error));
  }

  /** Runs a query of the work. Throws what the driver throws. */
  async query(query: string | object, values?: unknown[]): Promise<PostgresResult> {
    const config = typeof query === 'string' ? { text: query } : (query as PostgresQuery);
    if (ENDS_IT.test(config.text)) {
      throw invalid(
        `the work must not end the transaction (${config.text.trim().slice(0, 20)}): it is committed when the work returns, ` +
          'and rolled back when it throws',
      );
    }
    if (this.state !== 'open') throw this.failure ?? ended();
    return plainResult(await this.send(values ? { ...config, values } : config));
  }

  /** Sends queries one after another, because a connection runs one at a time. */
  send(query: PostgresQuery): Promise<PostgresResult> {
    this.#inFlight++;
    const answer = this.#turn.then(() => {
      if (this.#released) throw this.failure ?? ended();
      return this.client.query(query);
    });
    this.#turn = answer.then(
      () => this.#inFlight--,
      () => this.#inFlight--,
    );
    return answer;
  }

  async control(text: string): Promise<PostgresResult> {
    return await this.send({ text, query_timeout: this.timeoutMs });
  }

  /** Sends a query if none is running, so that the server does not end the transaction for inactivity. */
  ping(): void {
    if (this.#inFlight > 0 || this.state !== 'open') return;
    this.control('SELECT 1').catch((error: unknown) => {
      if (errorCode(error) !== IN_FAILED_TRANSACTION) this.lose(error);
    });
  }

  /**
   * Commits the work and its record.
   * @returns whether it was committed; undefined if that is not known
   */
  commitWork(): Promise<boolean | undefined> {
    // In one message: if the savepoint does not exist, the COMMIT is not executed.
    return this.commit(`RELEASE SAVEPOINT ${SAVEPOINT}; COMMIT`);
  }

  /** Commits a transaction in which no work ran. */
  async commit(text = 'COMMIT'): Promise<boolean | undefined> {
    this.state = 'committing';
    try {
      const { command } = lastResult(await this.control(text));
      // The answer to the COMMIT of a transaction in which a statement failed. It is not an error.
      if (command === 'ROLLBACK') return this.#refused(undefined);
      this.state = 'committed';
      this.#close(undefined);
      return true;
    } catch (error) {
      if (isNotOurTransaction(error)) return await this.#noticed(error);
      if (isRefusal(error)) return this.#refused(error);
      this.state = 'unknown';
      this.lostBy = error;
      this.#close(error);
      return undefined;
    }
  }

  /** Undoes the work. Never fails: if the statement can't be sent, closing the connection undoes the work too. */
  async rollbackWork(): Promise<void> {
    await this.rollback(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}; ROLLBACK`);
  }

  /** Undoes a transaction in which no work ran. */
  async rollback(text = 'ROLLBACK'): Promise<void> {
    if (this.#released) return;
    this.state = 'gone';
    try {
      await this.control(text);
      this.#close(undefined);
    } catch (error) {
      if (isNotOurTransaction(error)) await this.#noticed(error);
      else this.#close(error);
    }
  }

  /** Ends the session without an outcome. The connection is closed, which rolls the transaction back. */
  lose(cause: unknown): void {
    if (this.state !== 'open') return;
    this.state = 'gone';
    this.failure = lossError(cause);
    this.#close(cause);
  }

  async #notice(error: unknown): Promise<never> {
    if (isNotOurTransaction(error)) await this.#noticed(error);
    throw error;
  }

  /** The server says that the savepoint does not exist: the work has ended the transaction. */
  async #noticed(cause: unknown): Promise<false> {
    this.endedByWork = true;
    this.failure = new UsageError('INVALID_OPTIONS', ENDED_BY_WORK, { cause });
    // Ends a transaction that the work may have begun afterwards.
    await this.rollback();
    return false;
  }

  #refused(cause: unknown): false {
    this.state = 'gone';
    const why = cause instanceof Error ? cause.message : 'a statement of the transaction had failed';
    const { transient } = toPostgresError(cause) as StoreError;
    const message = `the server refused to commit: ${why}. Nothing was kept, neither rows nor record; the next call runs it again`;
    this.failure = new StoreError('STORE_UNAVAILABLE', message, { cause, transient });
    this.#close(undefined);
    return false;
  }

  readonly #onError = (error: unknown): void => this.lose(error);
  readonly #onEnd = (): void => this.lose(new Error('the connection was closed'));

  #close(broken: unknown): void {
    if (this.#released) return;
    this.#released = true;
    this.client.removeListener('end', this.#onEnd);
    this.client.release(broken === undefined ? undefined : true);
    // After release(), which adds the pool's own listener.
    this.client.removeListener('error', this.#onError);
  }
}

function lossError(cause: unknown): IdempotencyError {
  const kept = 'Nothing was kept, neither rows nor record; the next call runs it again';
  if (errorCode(cause) === IDLE_IN_TRANSACTION) {
    const message = `the transaction was inactive for longer than its lease, and the server ended it. ${kept}`;
    return new OutcomeError('LEASE_LOST', message, { cause });
  }
  if (errorCode(cause) === IN_FAILED_TRANSACTION) {
    const message =
      `a query of the work failed, and the work caught the error and went on: PostgreSQL can't commit such a transaction. ${kept}. ` +
      'Let the error through, or set a SAVEPOINT before a query that may fail';
    return new StoreError('STORE_UNAVAILABLE', message, { cause });
  }
  const { message, transient } = toPostgresError(cause) as StoreError;
  return new StoreError('STORE_UNAVAILABLE', `${message}. ${kept}`, { cause, transient });
}

export const ENDED_BY_WORK =
  'the work ended the transaction itself, by a COMMIT or ROLLBACK inside its SQL. What it wrote before a COMMIT or after a ROLLBACK is ' +
  'kept, even if the work failed';

/** The last result: for a text of several statements, pg returns one for each. */
function lastResult(result: PostgresResult | readonly PostgresResult[]): PostgresResult {
  const results: readonly PostgresResult[] = Array.isArray(result) ? result : [result];
  return results.at(-1) ?? { rows: [] };
}

/** The result as plain data, so that the work may return it and it can be recorded. pg's Result is a class instance. */
function plainResult(result: PostgresResult): PostgresResult {
  if (Array.isArray(result)) return result.map(plainResult) as unknown as PostgresResult;
  return { rows: result.rows, rowCount: result.rowCount ?? null };
}

const ended = (): UsageError =>
  invalid('the transaction has ended: a query of the work came too late; await every query');
