import {
  ANY,
  BOOLEAN,
  FUNCTION,
  invalid,
  OBJECT,
  parseCount,
  parseMs,
  readOptions,
  TIMER,
  type OptionTable,
} from '../../core/check.js';
import { emitWarning } from '../../core/warn.js';
import type { Lease, RecordedStep, StoredRecord, StoreKey } from '../../core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../../core/store.js';
import {
  Transactions,
  type Transaction,
  type TransactionDefaults,
  type TransactionOptions,
} from '../../transaction/transactions.js';
import { CLEANUP_BATCH, CleanupTimer, cleanUp } from './cleanup.js';
import { redrawTokensOnConnect, requirePool, poolSize, type PostgresPool } from './client.js';
import { PostgresDatabase } from './database.js';
import { toPostgresError } from './errors.js';
import { PostgresListener } from './listener.js';
import * as operations from './operations.js';
import { LOCKED, waitForRow, unlessLocked } from './row-lock.js';
import { lockedMigration, quotedNames, type PostgresTable } from './schema.js';
import { PostgresTransactions } from './transactional-store.js';

export type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from './client.js';
export type {
  Transaction,
  TransactionDefaults,
  TransactionOptions,
  TransactionResult,
} from '../../transaction/transactions.js';
export { sqlFor, type PostgresTable } from './schema.js';

export interface PostgresStoreOptions extends PostgresTable {
  /**
   * Whether waiters are woken by LISTEN/NOTIFY. It takes one connection of the pool while there are waiters. With `false`, waiters
   * poll, first after 25 ms, later once a second. Use `false` behind a pooler in transaction mode (PgBouncer), or for a database
   * without NOTIFY. If notifications do not arrive, the store notices that at the first wait, warns, and polls.
   * @default true if the pool has room for 3 connections
   */
  listen?: boolean;
  /**
   * Whether statements are prepared once for each connection, which saves most of their cost in the server. Use `false` behind a
   * pooler in transaction mode that keeps no prepared statements (PgBouncer before 1.21). Otherwise the store notices that by
   * itself, and warns.
   * @default true
   */
  prepare?: boolean;
  /**
   * A statement without a connection or an answer fails after this time, and its connection is closed.
   * @default 5000
   */
  timeoutMs?: number;
  /**
   * The defaults of all `transaction()` calls: options of `createIdempotency()`, such as `ttl`, `scope` and `codec`.
   * @default none
   */
  transactions?: TransactionDefaults;
  /**
   * Called if a cleanup of `startCleanup()` failed, if connections keep no prepared statements, or if notifications do not arrive.
   * @default process.emitWarning
   */
  onWarning?: (message: string) => void;
  /** Whether every run on this store needs a `scope`: one without is refused with INVALID_OPTIONS. @default false */
  requireScope?: boolean;
}

export const POSTGRES_OPTIONS = {
  table: ANY,
  schema: ANY,
  listen: BOOLEAN,
  prepare: BOOLEAN,
  timeoutMs: TIMER,
  transactions: OBJECT,
  onWarning: FUNCTION,
  requireScope: BOOLEAN,
} satisfies OptionTable<PostgresStoreOptions>;
/** The listener needs one connection, the work another, and other calls a third. */
const ROOM_FOR_LISTENER = 3;
/** The longest wait for a row lock. Only a transaction that claims a key holds one for longer than a moment. */
const LOCK_MS = 1_000;
const UNPREPARED =
  'the connections of this pool keep no prepared statements, probably because of a pooler in transaction mode: from now on no ' +
  'statements are prepared. To silence this warning, give PostgresStore { prepare: false }';

const NO_NOTIFICATIONS =
  'notifications do not arrive on the connections of this pool, probably because of a pooler in transaction mode: from now on ' +
  'waiters poll. To silence this warning, give PostgresStore { listen: false }';

/**
 * The {@link LeaseStore} in one table of PostgreSQL 12 or later. Every method is one statement and one round trip, and uses the
 * database's clock. Create the table with `createSchema()`, or with the migration that {@link sqlFor} returns.
 *
 * Close the pool yourself, after the store. Guarantees G1 to G5 hold as long as the server keeps what it acknowledged: a failover
 * to an asynchronous replica may lose the last writes.
 *
 * @example
 * const store = new PostgresStore(new Pool({ connectionString }));
 * await store.createSchema();
 */
export class PostgresStore implements LeaseStore {
  /** Wakes waiters by notifications. Undefined if they poll. */
  subscribe?: NonNullable<LeaseStore['subscribe']>;
  readonly requiresScope: boolean;
  readonly #database: PostgresDatabase;
  readonly #listener: PostgresListener | undefined;
  readonly #cleanup: CleanupTimer;
  readonly #run: operations.Run;
  readonly #transactions: Transactions;

  /**
   * @param pool a `Pool` of pg, or an object with its `query()` and `connect()`
   * @throws UsageError INVALID_OPTIONS for an unknown or wrong option, or something that is not a pool
   */
  constructor(pool: PostgresPool, given: PostgresStoreOptions = {}) {
    redrawTokensOnConnect(requirePool(pool));
    const options = readOptions<PostgresStoreOptions>('PostgresStore', POSTGRES_OPTIONS, given);
    checkListen(pool, options);
    this.requiresScope = options.requireScope === true;
    const { listen = poolSize(pool) >= ROOM_FOR_LISTENER, prepare = true, timeoutMs = 5_000 } = options;
    const warn = options.onWarning ?? emitWarning;
    this.#database = new PostgresDatabase(pool, options, {
      timeoutMs,
      notifies: listen,
      prepares: prepare,
      onUnprepared: () => warn(UNPREPARED),
    });
    this.#run = (name, values) => this.#database.run(name, values);
    if (listen) {
      const listener = new PostgresListener(pool, quotedNames(options).literal, timeoutMs, () => {
        delete this.subscribe;
        transactional.stopListening();
        warn(NO_NOTIFICATIONS);
      });
      this.#listener = listener;
      this.subscribe = (key, wake) => listener.subscribe(key.address, wake);
    }
    const transactional = new PostgresTransactions(this, this.#database);
    this.#transactions = new Transactions(this, transactional, options.transactions);
    this.#cleanup = new CleanupTimer(() =>
      this.cleanup().then(
        () => undefined,
        (error: Error) =>
          warn(`the cleanup of expired records failed, and will be tried again: ${error.message}`),
      ),
    );
  }

  async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    const startedMs = performance.now();
    const answer = await waitForRow(this.#database.pool, key.address, async (lockMs) => {
      const waitedUs = (performance.now() - startedMs) * 1_000;
      const row = await operations.claim(this.#run, key, request, lockMs);
      return operations.claimAnswer(row, request.token, row.nowUs - waitedUs);
    });
    if (answer !== LOCKED) return answer;
    return { kind: 'existing', record: await operations.hidden(this.#run, key, request) };
  }

  async renew(key: StoreKey, lease: Lease): Promise<number | false> {
    return await operations.renew(this.#run, key, lease, LOCK_MS);
  }

  async step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    return await operations.step(this.#run, key, lease, step, LOCK_MS);
  }

  async settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    return await operations.settle(this.#run, key, lease, settlement, LOCK_MS);
  }

  async release(key: StoreKey, token: string): Promise<boolean> {
    return await operations.release(this.#run, key, token, LOCK_MS);
  }

  async read(key: StoreKey): Promise<StoredRecord | undefined> {
    return await operations.read(this.#run, key);
  }

  async override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    const run = (lockMs: number) => operations.override(this.#run, key, replacement, lockMs);
    const answer = await unlessLocked(run, LOCK_MS);
    return answer === LOCKED ? 'live' : answer;
  }

  /**
   * Runs the work in a transaction, once for the key: the claim, the rows that the work writes through `tx.query`, and the
   * recorded result are committed together or not at all. A duplicate waits for the first call, and is answered from its record.
   * `createIdempotency({ store }).run()` with the same key, name, scope and prefix shares that record.
   *
   * A crash leaves nothing. If the work fails, its rows are rolled back and the failure is recorded: as final if `remember` says
   * so, otherwise for callers that wait. What the work does outside of `tx` is not undone.
   *
   * @example
   * await store.transaction(order.id, (tx) => tx.query('INSERT INTO orders (id) VALUES ($1)', [order.id]), { name: 'order' });
   * @throws what the work threw, in this call or in the recorded attempt
   * @throws StoreError STORE_UNAVAILABLE if nothing was kept: the next call runs the work again
   * @throws OutcomeError LEASE_LOST if the transaction was inactive for longer than `lease`, and nothing was kept
   * @throws OutcomeError IN_DOUBT if a COMMIT was not answered and the server can't be reached: rows and record were committed
   * together or not at all
   * @throws DuplicateError IDEMPOTENCY_TIMEOUT, CONCURRENT_REQUEST, KEY_REUSED
   */
  async transaction<T>(
    key: string,
    work: (tx: Transaction) => T | Promise<T>,
    options: TransactionOptions<T> = {},
  ): Promise<T> {
    return await this.#transactions.run(key, work, options);
  }

  /**
   * Creates the table if it does not exist, in one transaction. Several processes may do this at once. The database user needs
   * the right to create it only if it does not exist.
   * @throws StoreError STORE_UNAVAILABLE
   */
  async createSchema(): Promise<void> {
    const { pool, timeoutMs, where } = this.#database;
    const query = async (text: string) => {
      try {
        return await pool.query({ text, query_timeout: timeoutMs });
      } catch (error) {
        throw toPostgresError(error);
      }
    };
    const literal = quotedNames(where).literal;
    const { rows } = await query(`SELECT to_regclass(${literal})::text AS there`);
    if ((rows[0] as { there: string | null }).there !== null) return;
    await query(lockedMigration(where));
  }

  /**
   * Deletes expired records, a thousand at a time, and returns their number. Several instances may do this at once without
   * waiting for each other. Only the size of the table depends on it, because an expired record counts as absent.
   * @throws StoreError STORE_UNAVAILABLE
   */
  async cleanup({ batch = CLEANUP_BATCH }: { batch?: number } = {}): Promise<number> {
    return await cleanUp(this.#database, parseCount('batch', batch));
  }

  /** Runs a cleanup every `everyMs` milliseconds, until `stopCleanup()` or `close()`. It does not keep the process alive. */
  startCleanup(everyMs: number): void {
    this.#cleanup.start(parseMs('the interval of startCleanup()', everyMs));
  }

  stopCleanup(): void {
    void this.#cleanup.stop();
  }

  /** Stops the cleanup, and closes the listener's connection. End the pool yourself, after this. */
  async close(): Promise<void> {
    await Promise.all([this.#cleanup.stop(), this.#listener?.close()]);
  }
}

function checkListen(pool: PostgresPool, { listen }: PostgresStoreOptions): void {
  if (listen === true && poolSize(pool) < 2)
    throw invalid(
      'listen needs a connection of its own: give the pool room for more than one, or set listen: false',
    );
}
