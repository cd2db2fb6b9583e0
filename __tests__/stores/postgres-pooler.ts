import type { Pool } from 'pg';
import type {
  PostgresClient,
  PostgresPool,
  PostgresQuery,
  PostgresResult,
} from '../../src/stores/postgres/store.js';
import type { PrivatePostgres } from '../support/postgres-server.js';

/**
 * What a pooler in transaction mode makes of connections: each transaction, also one of a single statement, is on whichever
 * session comes next, so that nothing set on a session is there for the next statement.
 */
export class TransactionPooler implements PostgresPool {
  readonly options = { max: 10 };
  readonly #sessions: Pool[];
  #next = 0;

  constructor(server: PrivatePostgres, sessions = 6) {
    this.#sessions = Array.from({ length: sessions }, () => server.pool({ max: 1 }));
  }

  async query(query: PostgresQuery): Promise<PostgresResult> {
    refuseSessionState(query);
    return await this.#session().query(query);
  }

  async connect(): Promise<PostgresClient> {
    let inTransaction: PostgresClient | undefined;
    const leave = (destroy?: Error | boolean): void => {
      inTransaction?.release(destroy);
      inTransaction = undefined;
    };
    return {
      query: async (query) => {
        refuseSessionState(query);
        if (/^BEGIN\b/.test(query.text)) inTransaction = await this.#session().connect();
        if (!inTransaction) return await this.query(query);
        const result = await inTransaction.query(query);
        if (/^(COMMIT|ROLLBACK)$/.test(query.text)) leave();
        return result;
      },
      release: leave,
      on: () => undefined,
      removeListener: () => undefined,
    };
  }

  #session(): Pool {
    this.#next = (this.#next + 1) % this.#sessions.length;
    return this.#sessions[this.#next]!;
  }
}

function refuseSessionState({ text, ...rest }: PostgresQuery): void {
  if ('name' in rest) throw Object.assign(new Error('no such prepared statement'), { code: '26000' });
  if (/^\s*(LISTEN|UNLISTEN|PREPARE|SET (?!LOCAL))/i.test(text))
    throw new Error(`a pooler in transaction mode can't keep this: ${text}`);
}
