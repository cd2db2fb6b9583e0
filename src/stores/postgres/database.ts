import { onConnection, type PostgresPool, type PostgresQuery, type PostgresResult } from './client.js';
import { codeOf, isConflict, isRefusal, isUnprepared, LIMIT_EXCEEDED, toPostgresError } from './errors.js';
import { namesOf, type PostgresTable } from './schema.js';
import type { Value } from './template.js';
import { statementsFor, type StatementName, type Statements } from './statements.sql.js';

/** How often a statement that fell victim to others is sent again at once: one of them gets through each time. */
const CONFLICTS = 30;

export type Values = Partial<Record<Value, string | number | boolean | null>>;

/** A connection, or the transaction on one. */
export interface Executor {
  query(query: PostgresQuery): Promise<PostgresResult>;
}

export interface DatabaseSettings {
  /** The longest that an answer is waited for: then the connection is dropped. */
  readonly timeoutMs: number;
  /** Whether waiters are woken. */
  readonly notifies: boolean;
  /** Whether connections keep the plans of the statements, which cost more than all the rest of them. */
  readonly prepares: boolean;
  /** Told once, when a connection turned out to keep none. */
  readonly onUnprepared: () => void;
}

/** One table, and what is asked of it. */
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
    this.#statements = statementsFor(namesOf(where));
    this.#prepares = settings.prepares;
  }

  /**
   * One statement on a connection of the pool, in a transaction of its own.
   * @throws StoreError STORE_UNAVAILABLE
   */
  async run(name: StatementName, values: Values): Promise<Record<string, unknown>[]> {
    for (let conflicts = 0; ; conflicts++) {
      try {
        return await onConnection(this.pool, this.timeoutMs, isRefusal, (client) =>
          this.runOn(client, name, values),
        );
      } catch (error) {
        // Sessions may be serializable by default. Every statement knows itself by its token, so that it may be repeated.
        const mayRepeat = isConflict(error) || isUnprepared(error);
        if (!mayRepeat || conflicts === CONFLICTS) throw toPostgresError(error);
      }
    }
  }

  /** The same inside of somebody's transaction; throws what the driver throws. */
  async runOn(executor: Executor, name: StatementName, values: Values): Promise<Record<string, unknown>[]> {
    const { notifies } = this.#settings;
    try {
      return await this.#send(executor, notifies ? 'waking' : 'silent', name, values);
    } catch (error) {
      if (isUnprepared(error)) this.#stopPreparing();
      // A full queue of wake-ups stops nobody from settling. It shows at the commit, so that here, nothing was done.
      if (!notifies || codeOf(error) !== LIMIT_EXCEEDED) throw error;
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
 * A wait for a row ends at the server before its answer is given up here. Otherwise the connection is dropped, and its session
 * stays in the queue for the row beside the one that takes its place, until the server has no more to give.
 */
function lockWithin(lockMs: Values['lock_ms'], timeoutMs: number): string | null {
  if (lockMs === null || lockMs === undefined) return null;
  return String(Math.min(Number(lockMs), Math.ceil(timeoutMs / 2)));
}
