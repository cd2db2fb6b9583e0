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
  codeOf,
  IDLE_IN_TRANSACTION,
  IN_FAILED_TRANSACTION,
  isNotOurTransaction,
  isRefusal,
  toPostgresError,
} from './errors.js';

const SAVEPOINT = 'twiceshy_work';

/**
 * What would end the transaction under our hands, as far as the beginning of a text shows it: refused before it is sent. All
 * else is noticed when the attempt ends, since the savepoint of the work is gone then. A ROLLBACK TO is the work's own affair.
 */
const ENDS_IT =
  /^\s*(?:begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b/i;

/** Where the transaction is. `unknown`: the COMMIT was sent, and nobody has heard of it. */
export type SessionState = 'open' | 'committing' | 'committed' | 'gone' | 'unknown';

/**
 * One connection in one transaction, from BEGIN to COMMIT. Its queries run one after the other. The connection goes back to
 * the pool when the transaction has ended, or is closed when nobody can say how.
 */
export class PostgresSession {
  state: SessionState = 'open';
  /** Why there is no outcome, once there is none. */
  failure: IdempotencyError | undefined;
  /** Whether the work ended the transaction itself, so that what it wrote may have been kept. */
  endedByWork = false;
  /** What a COMMIT was answered with instead of an answer. */
  lostBy: unknown;
  #turn: Promise<unknown> = Promise.resolve();
  #inFlight = 0;
  #released = false;

  private constructor(
    private readonly client: PostgresClient,
    private readonly timeoutMs: number,
  ) {
    // Also while nothing is asked: without a listener, this would end the process.
    client.on('error', this.#onError);
    client.on('end', this.#onEnd);
  }

  /**
   * @param silenceMs how long the server lets the session be silent inside of the transaction before it ends it
   * @throws what the driver throws
   */
  static async begin(pool: PostgresPool, silenceMs: number, timeoutMs: number): Promise<PostgresSession> {
    const session = new PostgresSession(await connectWithin(pool, timeoutMs), timeoutMs);
    const silence = Math.ceil(Math.min(silenceMs, LONGEST_TIMER_MS));
    try {
      // Read committed: a claim that has waited for a row sees what became of it, whatever the sessions' default is.
      await session.control(
        `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = ${silence}`,
      );
      return session;
    } catch (error) {
      session.#close(error);
      throw error;
    }
  }

  /** From here on the work's: what it does can be undone without undoing the claim. */
  async enterWork(): Promise<void> {
    await this.control(`SET LOCAL lock_timeout TO DEFAULT; SAVEPOINT ${SAVEPOINT}`);
  }

  async undoWork(): Promise<void> {
    await this.control(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`).catch((error: unknown) => this.#notice(error));
  }

  /** A query of the work's; throws what the driver throws. */
  async query(query: string | object, values?: unknown[]): Promise<PostgresResult> {
    const config = typeof query === 'string' ? { text: query } : (query as PostgresQuery);
    if (ENDS_IT.test(config.text)) {
      throw invalid(
        `the work of a transaction may not end it (${config.text.trim().slice(0, 20)}): it is committed when the work returns, ` +
          'and rolled back when it throws',
      );
    }
    if (this.state !== 'open') throw this.failure ?? ended();
    return plainResult(await this.send(values ? { ...config, values } : config));
  }

  /** One after the other, since a connection does one thing at a time. */
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

  /** Breaks the silence, unless a query does. */
  ping(): void {
    if (this.#inFlight > 0 || this.state !== 'open') return;
    this.control('SELECT 1').catch((error: unknown) => {
      if (codeOf(error) !== IN_FAILED_TRANSACTION) this.lose(error);
    });
  }

  /**
   * Commits what the work did, with its record.
   * @returns whether it was committed; undefined when nobody can say
   */
  commitWork(): Promise<boolean | undefined> {
    // One message: where the savepoint is gone, the COMMIT is not executed.
    return this.commit(`RELEASE SAVEPOINT ${SAVEPOINT}; COMMIT`);
  }

  /** The same of a transaction in which there was no work. */
  async commit(text = 'COMMIT'): Promise<boolean | undefined> {
    this.state = 'committing';
    try {
      const { command } = lastOf(await this.control(text));
      // A transaction in which something failed is answered so, without an error.
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

  /** Leaves nothing of the work. Never fails: where it can't be said, the connection is closed, which says it. */
  async rollbackWork(): Promise<void> {
    await this.rollback(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}; ROLLBACK`);
  }

  /** The same of a transaction in which there was no work. */
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

  /** There will be no outcome. The connection is closed, and with it goes all that was done. */
  lose(cause: unknown): void {
    if (this.state !== 'open') return;
    this.state = 'gone';
    this.failure = lossOf(cause);
    this.#close(cause);
  }

  async #notice(error: unknown): Promise<never> {
    if (isNotOurTransaction(error)) await this.#noticed(error);
    throw error;
  }

  /** The server says that the savepoint of the work is gone: the transaction that we began has ended. */
  async #noticed(cause: unknown): Promise<false> {
    this.endedByWork = true;
    this.failure = new UsageError('INVALID_OPTIONS', ENDED_BY_WORK, { cause });
    // Of a transaction that the work began in the place of ours.
    await this.rollback();
    return false;
  }

  #refused(cause: unknown): false {
    this.state = 'gone';
    const why = cause instanceof Error ? cause.message : 'a statement of it had failed';
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
    // After the pool has put up its own.
    this.client.removeListener('error', this.#onError);
  }
}

function lossOf(cause: unknown): IdempotencyError {
  const kept = 'Nothing was kept, neither rows nor record; the next call runs it again';
  if (codeOf(cause) === IDLE_IN_TRANSACTION) {
    const message = `the transaction was silent for longer than its lease, and the server ended it. ${kept}`;
    return new OutcomeError('LEASE_LOST', message, { cause });
  }
  if (codeOf(cause) === IN_FAILED_TRANSACTION) {
    const message =
      `a query of the work had failed, and the work went on as if it had not: the transaction can't be committed. ${kept}. ` +
      'Let the error through, or put a SAVEPOINT before a query that may fail';
    return new StoreError('STORE_UNAVAILABLE', message, { cause });
  }
  const { message, transient } = toPostgresError(cause) as StoreError;
  return new StoreError('STORE_UNAVAILABLE', `${message}. ${kept}`, { cause, transient });
}

export const ENDED_BY_WORK =
  'the work ended the transaction itself, by a COMMIT or ROLLBACK inside of its SQL. What it wrote before a COMMIT or after a ROLLBACK is ' +
  'kept, also where the work failed';

/** pg answers a text of several statements with a result for each. */
function lastOf(result: PostgresResult | readonly PostgresResult[]): PostgresResult {
  const results: readonly PostgresResult[] = Array.isArray(result) ? result : [result];
  return results.at(-1) ?? { rows: [] };
}

/** Plain data, so that work may return it and a duplicate is given the same: pg's Result is an instance with methods. */
function plainResult(result: PostgresResult): PostgresResult {
  if (Array.isArray(result)) return result.map(plainResult) as unknown as PostgresResult;
  return { rows: result.rows, rowCount: result.rowCount ?? null };
}

const ended = (): UsageError =>
  invalid('the transaction has ended: a query of the work came too late; await every query');
