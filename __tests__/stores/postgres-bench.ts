import { Pool } from 'pg';
import {
  PostgresStore,
  type PostgresStoreOptions,
  type Transaction,
} from '../../src/stores/postgres/store.js';
import { deferred } from '../support/deferred.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';
import { startProxy, type Proxy } from './postgres-proxy.js';

let keys = 0;

/** A server with the store's table and one of the user's, and what the tests about transactions are made of. */
export class Bench {
  readonly #stores: PostgresStore[] = [];
  readonly #proxies: Proxy[] = [];
  readonly #pools: Pool[] = [];

  private constructor(
    readonly server: PrivatePostgres,
    readonly pool: Pool,
  ) {}

  static async start(): Promise<Bench> {
    const server = await startPostgres();
    const pool = server.pool();
    await new PostgresStore(pool).createSchema();
    await pool.query('CREATE TABLE orders (key text NOT NULL, attempt integer, part text)');
    return new Bench(server, pool);
  }

  async stop(): Promise<void> {
    await this.reset();
    await this.server.stop();
  }

  /** Closes what a test has opened. */
  async reset(): Promise<void> {
    await Promise.all(this.#stores.splice(0).map((store) => store.close()));
    await Promise.all(this.#proxies.splice(0).map((proxy) => proxy.stop()));
    await Promise.all(this.#pools.splice(0).map((pool) => pool.end()));
  }

  key = (): string => `order-${++keys}`;

  /** A store on a pool of its own, as another process has it. */
  store(options: PostgresStoreOptions & { max?: number; url?: string } = {}): PostgresStore & { pool: Pool } {
    const { max = 10, url = this.server.url, ...rest } = options;
    const pool = new Pool({ connectionString: url, max });
    pool.on('error', () => undefined);
    this.#pools.push(pool);
    const store = Object.assign(
      new PostgresStore(pool, { ...rest, transactions: { name: 'run', ...rest.transactions } }),
      { pool },
    );
    this.#stores.push(store);
    return store;
  }

  async proxy(): Promise<Proxy> {
    const proxy = await startProxy(this.server.url);
    this.#proxies.push(proxy);
    return proxy;
  }

  /** What the user has for the key. */
  async orders(key: string): Promise<number> {
    const { rows } = await this.pool.query<{ count: string }>('SELECT count(*) FROM orders WHERE key = $1', [
      key,
    ]);
    return Number(rows[0]?.count);
  }

  /** What is recorded for the key. */
  async record(key: string): Promise<{ status: string; attempt: number; failures: number } | undefined> {
    const { rows } = await this.pool.query<{ status: string; attempt: number; failures: number }>(
      'SELECT status, attempt, failures FROM idempotency_records WHERE key = $1 AND status <> $2',
      [`idempotency:run:${key}`, 'TOMBSTONE'],
    );
    return rows[0];
  }

  /** Waits for something that the database shows. */
  async until(what: string, condition: string): Promise<void> {
    for (const givenUpMs = Date.now() + 15_000; Date.now() < givenUpMs;) {
      const { rows } = await this.pool.query<{ yes: boolean }>(`SELECT (${condition}) AS yes`);
      if (rows[0]?.yes) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`waited in vain for ${what}`);
  }

  /** Until so many wait for a row that somebody has. */
  untilWaiting = (count: number): Promise<void> =>
    this.until(`${count} waiters`, `${LOCK_WAITERS} >= ${count}`);
}

const LOCK_WAITERS = `(SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock')`;

/** Work that writes one order, and then waits to be let go. */
export function heldWork(key: string) {
  const begun = deferred<Transaction>();
  const held = deferred<void>();
  let runs = 0;
  return {
    begun: begun.promise,
    letGo: () => held.resolve(),
    get runs() {
      return runs;
    },
    work: async (tx: Transaction) => {
      runs++;
      await order(tx, key);
      begun.resolve(tx);
      await held.promise;
      return { order: key, attempt: tx.attempt };
    },
  };
}

export async function order(tx: Transaction, key: string): Promise<void> {
  await tx.query('INSERT INTO orders (key, attempt) VALUES ($1, $2)', [key, tx.attempt]);
}
