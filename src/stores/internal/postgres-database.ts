import type { PostgresPool, PostgresQuery, PostgresResult } from './postgres-client.js';
import { codeOf, isConflict, LIMIT_EXCEEDED, toPostgresError } from './postgres-errors.js';
import { namesOf, type PostgresTable } from './postgres-schema.js';
import type { Value } from './postgres-template.js';
import { statementsFor, type StatementName, type Statements } from './postgres.sql.js';

/** How often a statement that fell victim to others is sent again at once: one of them gets through each time. */
const CONFLICTS = 30;

export type Values = Partial<Record<Value, string | number | boolean | null>>;

/** The pool, or the connection of a transaction. */
export interface Executor {
  query(query: PostgresQuery): Promise<PostgresResult>;
}

/** One table, and what is asked of it. */
export class PostgresDatabase {
  readonly #statements: Statements;

  constructor(
    readonly pool: PostgresPool,
    readonly where: PostgresTable,
    /** The longest that an answer is waited for: then the connection is dropped. */
    readonly timeoutMs: number,
    private readonly notifies: boolean,
  ) {
    this.#statements = statementsFor(namesOf(where));
  }

  /**
   * One statement on a connection of the pool, in a transaction of its own.
   * @throws StoreError STORE_UNAVAILABLE
   */
  async run(name: StatementName, values: Values): Promise<Record<string, unknown>[]> {
    for (let conflicts = 0; ; conflicts++) {
      try {
        return await this.runOn(this.pool, name, values, this.timeoutMs);
      } catch (error) {
        // Sessions may be serializable by default. Every statement knows itself by its token, so that it may be repeated.
        if (!isConflict(error) || conflicts === CONFLICTS) throw toPostgresError(error);
      }
    }
  }

  /** The same inside of somebody's transaction; throws what the driver throws. */
  async runOn(
    executor: Executor,
    name: StatementName,
    values: Values,
    timeoutMs: number,
  ): Promise<Record<string, unknown>[]> {
    try {
      return await this.#send(executor, this.notifies ? 'waking' : 'silent', name, values, timeoutMs);
    } catch (error) {
      // A full queue of wake-ups stops nobody from settling. It shows at the commit, so that here, nothing was done.
      if (!this.notifies || codeOf(error) !== LIMIT_EXCEEDED) throw error;
      return await this.#send(executor, 'silent', name, values, timeoutMs);
    }
  }

  async #send(
    executor: Executor,
    kind: keyof Statements,
    name: StatementName,
    values: Values,
    timeoutMs: number,
  ): Promise<Record<string, unknown>[]> {
    const statement = this.#statements[kind][name];
    const bounded = { ...values, lock_ms: lockWithin(values.lock_ms, timeoutMs) };
    const { rows } = await executor.query({
      text: statement.text,
      values: statement.values.map((value) => bounded[value] ?? null),
      query_timeout: timeoutMs,
    });
    return rows as Record<string, unknown>[];
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
