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
import { redrawTokensOf, requirePool, sizeOf, type PostgresPool } from './client.js';
import { PostgresDatabase } from './database.js';
import { toPostgresError } from './errors.js';
import { PostgresListener } from './listener.js';
import * as operations from './operations.js';
import { answerOf, hidden } from './operations.js';
import { LOCKED, patiently, unlessLocked } from './row-lock.js';
import { lockedMigration, namesOf, type PostgresTable } from './schema.js';
import { PostgresTransactions } from './transactional-store.js';

export type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from './client.js';
export type { Transaction, TransactionDefaults, TransactionOptions } from '../../transaction/transactions.js';
export { sqlFor, type PostgresTable } from './schema.js';

export interface PostgresStoreOptions extends PostgresTable {
  /**
   * Whether waiters are woken by LISTEN/NOTIFY, which takes one connection of the pool while somebody waits. With `false`
   * waiters poll, from 25 ms on to once a second: say so behind a pooler in transaction mode (PgBouncer), or for a
   * database without NOTIFY. Where notifications do not arrive, the store finds out at the first wait, polls, and warns.
   * @default true where the pool has room for 3 connections
   */
  listen?: boolean;
  /**
   * Whether statements are prepared once a connection, which saves most of what they cost the server. With `false` they are
   * planned anew each time: say so behind a pooler in transaction mode that keeps no prepared statements (PgBouncer before 1.21).
   * There the store finds out by itself, and warns.
   * @default true
   */
  prepare?: boolean;
  /**
   * A statement that has no connection or no answer for so long fails, and its connection is closed.
   * @default 5000
   */
  timeoutMs?: number;
  /**
   * What all `transaction()`s have in common: the options of `createIdempotency()`, such as `ttl`, `scope` and `codec`.
   * @default none
   */
  transactions?: TransactionDefaults;
  /**
   * Told when a cleanup of `startCleanup()` failed, and when connections keep no prepared statements or pass no
   * notifications on.
   * @default process.emitWarning
   */
  onWarning?: (message: string) => void;
  /** Whether every run on this store must say whose key it is: one without a `scope` is INVALID_OPTIONS. @default false */
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
/** One for the listener, one for the owner, one for the others. */
const ROOM_FOR_LISTENER = 3;
/** Only a transaction that claims a key holds a row for longer than a moment. */
const LOCK_MS = 1_000;
const UNPREPARED =
  'the connections of this pool keep no prepared statements, as behind a pooler in transaction mode: from now on none are ' +
  'prepared. Give PostgresStore { prepare: false } to say so from the start';

const DEAF =
  'the connections of this pool pass no notifications on, as behind a pooler in transaction mode: from now on waiters poll. Give ' +
  'PostgresStore { listen: false } to say so from the start';

/**
 * The {@link LeaseStore} in one table of PostgreSQL 12 or later: every method one statement on the database's clock, one round
 * trip each. The table is made by `createSchema()`, or by the migration that {@link sqlFor} prints.
 *
 * The pool is the caller's, who closes it after the store. Guarantees G1 to G5 hold as long as the server keeps what it
 * acknowledged: a failover to an asynchronous replica may lose the last writes.
 */
export class PostgresStore implements LeaseStore {
  /** How waiters are woken, where they are. */
  subscribe?: NonNullable<LeaseStore['subscribe']>;
  readonly requiresScope: boolean;
  readonly #database: PostgresDatabase;
  readonly #listener: PostgresListener | undefined;
  readonly #cleanup: CleanupTimer;
  readonly #run: operations.Run;
  readonly #transactions: Transactions;

  /**
   * @param pool a `Pool` of pg, or what has its `query()` and `connect()`
   * @throws UsageError INVALID_OPTIONS for what is no pool, and for an unknown or impossible option
   */
  constructor(pool: PostgresPool, given: PostgresStoreOptions = {}) {
    redrawTokensOf(requirePool(pool));
    const options = readOptions<PostgresStoreOptions>('PostgresStore', POSTGRES_OPTIONS, given);
    checkListen(pool, options);
    this.requiresScope = options.requireScope === true;
    const { listen = sizeOf(pool) >= ROOM_FOR_LISTENER, prepare = true, timeoutMs = 5_000 } = options;
    const warn = options.onWarning ?? emitWarning;
    this.#database = new PostgresDatabase(pool, options, {
      timeoutMs,
      notifies: listen,
      prepares: prepare,
      onUnprepared: () => warn(UNPREPARED),
    });
    this.#run = (name, values) => this.#database.run(name, values);
    if (listen) {
      const listener = new PostgresListener(pool, namesOf(options).literal, timeoutMs, () => {
        delete this.subscribe;
        transactional.stopListening();
        warn(DEAF);
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
    const answer = await patiently(this.#database.pool, key.address, async (lockMs) => {
      const waitedUs = (performance.now() - startedMs) * 1_000;
      const row = await operations.claim(this.#run, key, request, lockMs);
      return answerOf(row, request.token, row.nowUs - waitedUs);
    });
    if (answer !== LOCKED) return answer;
    return { kind: 'existing', record: await hidden(this.#run, key, request) };
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
    const attempt = (lockMs: number) => operations.override(this.#run, key, replacement, lockMs);
    const answer = await unlessLocked(attempt, LOCK_MS);
    return answer === LOCKED ? 'live' : answer;
  }

  /**
   * Runs the work in a transaction, once for the key: the claim, the rows that the work writes through `tx.query`, and the
   * recorded result commit together or not at all. A duplicate waits for the row of the first one, and is then answered from
   * its record; `createIdempotency({ store }).run()` of the same key, name, scope and prefix shares that record.
   *
   * A crash leaves nothing. A failure rolls back what the work wrote, and is recorded: as final where `remember` says so, and
   * else for those who wait. What is done elsewhere than through `tx` is not undone.
   *
   * @throws what the work threw, recorded or its own
   * @throws StoreError STORE_UNAVAILABLE when nothing was kept: the next call runs it again
   * @throws OutcomeError LEASE_LOST when the session was silent for longer than `lease`, and nothing was kept
   * @throws OutcomeError IN_DOUBT when a COMMIT was not answered and the server could not be asked since: rows and record were
   * kept together or not at all
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
   * Makes the table where it is missing, in one transaction; many may do it at once. The user needs the right to create it, and
   * none where it is there.
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
    const literal = namesOf(where).literal;
    const { rows } = await query(`SELECT to_regclass(${literal})::text AS there`);
    if ((rows[0] as { there: string | null }).there !== null) return;
    await query(lockedMigration(where));
  }

  /**
   * Deletes the records whose retention is over, a thousand at a time, and says how many. Many instances may do it at once:
   * none waits for another. Nothing depends on it but the size of the table, since an expired record counts as absent.
   * @throws StoreError STORE_UNAVAILABLE
   */
  async cleanup({ batch = CLEANUP_BATCH }: { batch?: number } = {}): Promise<number> {
    return await cleanUp(this.#database, parseCount('batch', batch));
  }

  /** Cleans up every `everyMs` milliseconds, until `stopCleanup()` or `close()`. It never keeps a process alive. */
  startCleanup(everyMs: number): void {
    this.#cleanup.start(parseMs('the interval of startCleanup()', everyMs));
  }

  stopCleanup(): void {
    void this.#cleanup.stop();
  }

  /** Ends the cleanup, and gives the listener's connection back. The pool is the caller's to end, after this. */
  async close(): Promise<void> {
    await Promise.all([this.#cleanup.stop(), this.#listener?.close()]);
  }
}

function checkListen(pool: PostgresPool, { listen }: PostgresStoreOptions): void {
  if (listen === true && sizeOf(pool) < 2)
    throw invalid(
      'listen takes one connection for itself: give the pool room for more than one, or say listen: false',
    );
}
