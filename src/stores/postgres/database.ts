import { onConnection, type PostgresPool, type PostgresQuery, type PostgresResult } from './client.js';
import { errorCode, isConflict, isRefusal, isUnprepared, LIMIT_EXCEEDED, toPostgresError } from './errors.js';
import { quotedNames, type PostgresTable } from './schema.js';
import type { Value } from './template.js';
import { statementsFor, type StatementName, type Statements } from './statements.sql.js';

/** How often a statement is repeated after a conflict with others. One of the conflicting statements succeeds each time. */
const CONFLICTS = 30;

export type Values = Partial<Record<Value, string | number | boolean | null>>;

/** A connection, or the transaction on one. */
export interface Executor {
  query(query: PostgresQuery): Promise<PostgresResult>;
}

export interface DatabaseSettings {
  /** The longest wait for an answer. After it the connection is closed. */
  readonly timeoutMs: number;
  /** Whether statements send notifications. */
  readonly notifies: boolean;
  /** Whether statements are prepared. Planning costs more than all the rest of a statement. */
  readonly prepares: boolean;
  /** Called once, if a connection does not keep prepared statements. */
  readonly onUnprepared: () => void;
}

/** Runs the statements on one table. */
export class PostgresDatabase {
  readonly pool: PostgresPool;
  readonly where: PostgresTable;
  readonly timeoutMs: number;
  readonly #settings: DatabaseSettings;
  readonly #statements: Statements;
  #prepares: boolean;

  constructor(pool: PostgresPool, where: PostgresTable, settings: DatabaseSettings) {
    this.pool = pool;
    this.where = where;
    this.timeoutMs = settings.timeoutMs;
    this.#settings = settings;
    this.#statements = statementsFor(quotedNames(where));
    this.#prepares = settings.prepares;
  }

  /**
   * Runs a statement on a connection of the pool, in its own transaction.
   * @throws StoreError STORE_UNAVAILABLE
   */
  async run(name: StatementName, values: Values): Promise<Record<string, unknown>[]> {
    for (let conflicts = 0; ; conflicts++) {
      try {
        return await onConnection(this.pool, this.timeoutMs, isRefusal, (client) =>
          this.runOn(client, name, values),
        );
      } catch (error) {
        // Conflicts happen if sessions are serializable by default. Repeating is safe, because a statement recognises its token.
        const mayRepeat = isConflict(error) || isUnprepared(error);
        if (!mayRepeat || conflicts === CONFLICTS) throw toPostgresError(error);
      }
    }
  }

  /** Runs a statement inside a transaction. Throws what the driver throws. */
  async runOn(executor: Executor, name: StatementName, values: Values): Promise<Record<string, unknown>[]> {
    const { notifies } = this.#settings;
    try {
      return await this.#send(executor, notifies ? 'waking' : 'silent', name, values);
    } catch (error) {
      if (isUnprepared(error)) this.#stopPreparing();
      // The queue of notifications is full. The error comes at the commit, so nothing was written: repeat without notifying.
      if (!notifies || errorCode(error) !== LIMIT_EXCEEDED) throw error;
      return await this.#send(executor, 'silent', name, values);
    }
  }

  async #send(
    executor: Executor,
    kind: keyof Statements,
    name: StatementName,
    values: Values,
  ): Promise<Record<string, unknown>[]> {
    const statement = this.#statements[kind][name];
    const bounded = { ...values, lock_ms: lockWithin(values.lock_ms, this.timeoutMs) };
    const { rows } = await executor.query({
      ...(this.#prepares ? { name: statement.name } : {}),
      text: statement.text,
      values: statement.values.map((value) => bounded[value] ?? null),
      query_timeout: this.timeoutMs,
    });
    return rows as Record<string, unknown>[];
  }

  #stopPreparing(): void {
    if (!this.#prepares) return;
    this.#prepares = false;
    this.#settings.onUnprepared();
  }
}

/**
 * The wait for a row lock must end in the server before the client's timeout. Otherwise the client closes the connection while its
 * session still waits for the row, and opens another one, until the server has no sessions left.
 */
function lockWithin(lockMs: Values['lock_ms'], timeoutMs: number): string | null {
  if (lockMs === null || lockMs === undefined) return null;
  return String(Math.min(Number(lockMs), Math.ceil(timeoutMs / 2)));
}
