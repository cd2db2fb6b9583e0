import { Runtime } from '../idempotency/runtime.js';
import { enterAttempt, holdsKey } from '../idempotency/current-attempt.js';
import type { IdempotencyOptions, RunOptions } from '../idempotency/api.js';
import type { Attempt } from '../core/attempt/attempt.js';
import { RunningAttempt } from '../core/attempt/running-attempt.js';
import { isIdempotencyError, StoreError, UsageError, type IdempotencyError } from '../core/errors.js';
import { bare, inherit, readOptions, type InheritanceTable, type OptionTable } from '../core/check.js';
import { checkWork, requireName } from '../core/options.js';
import type { LeaseStore } from '../core/store.js';
import { runWith } from '../idempotency/idempotency.js';
import { droppedMembers, inLogs, onceEach, warnThrough } from '../idempotency/logging.js';
import { INSTANCE_OPTIONS, RUN_INHERITANCE, RUN_OPTIONS } from '../idempotency/options.js';
import { checkKey } from '../keys/index.js';

/** The result of a query. */
export interface TransactionResult<Row> {
  rows: Row[];
  rowCount: number | null;
}

/** The argument of a transaction's work: the attempt, and queries in the transaction. */
export interface Transaction extends Omit<Attempt, 'step'> {
  /**
   * Runs a query in this transaction, with the arguments of pg's `client.query()`: text and values, or a config object. Queries
   * run one after another. BEGIN, COMMIT and ROLLBACK are refused; you may use savepoints.
   */
  query<Row = Record<string, unknown>>(
    query: string | object,
    values?: unknown[],
  ): Promise<TransactionResult<Row>>;
}

/**
 * The options of `run()`, without `onStoreError` and `storeTimeout`: the work needs the store's database, and the store has its
 * own `timeoutMs`. `lease` is the time after which the server ends the transaction of a process that has stopped responding.
 */
export type TransactionOptions<T> = Omit<RunOptions<T>, 'onStoreError' | 'storeTimeout'>;

/** The default options of all transactions of a store: those of `createIdempotency()` that apply here. */
export type TransactionDefaults = Omit<IdempotencyOptions, 'store' | 'onStoreError' | 'storeTimeout'>;

/** An open transaction of a store. */
interface Session {
  /** The reason why the transaction has no outcome; undefined as long as it may have one. */
  readonly failure: IdempotencyError | undefined;
  /** Whether the work ended the transaction itself: then its rows are not committed together with the record. */
  readonly endedByWork: boolean;
  query(query: string | object, values?: unknown[]): Promise<object>;
}

/** A store whose claims begin transactions, and which commits them with the outcome. */
export interface TransactionalStore extends LeaseStore {
  session(token: string): Session | undefined;
}

/** The engine's deadline for store calls, so long that the store's own applies: nobody stops waiting in the middle of a COMMIT. */
const UNBOUNDED_MS = 3_600_000;

// Each table is that of the neutral API, without what makes no sense here.
const { onStoreError: _, storeTimeout: _2, ...RUN } = RUN_OPTIONS;
const { onStoreError: _3, storeTimeout: _4, store: _5, ...INSTANCE } = INSTANCE_OPTIONS;
const { onStoreError: _6, storeTimeout: _7, store: _8, ...INHERITED } = RUN_INHERITANCE;

export const TRANSACTION_OPTIONS = RUN satisfies OptionTable<TransactionOptions<never>>;
export const TRANSACTION_DEFAULTS = INSTANCE satisfies OptionTable<TransactionDefaults>;
/** How a call of `transaction()` uses the store's option `transactions`. */
export const TRANSACTION_INHERITANCE = INHERITED satisfies InheritanceTable<TransactionDefaults>;

/** Runs work in transactions: the engine on a store whose records become visible when they are committed. */
export class Transactions {
  readonly #runtime: Runtime;
  readonly #defaults: TransactionDefaults;
  readonly #note: (message: string) => void;

  /**
   * @param plain the store outside of transactions
   * @throws UsageError INVALID_OPTIONS
   */
  constructor(
    private readonly plain: LeaseStore,
    private readonly store: TransactionalStore,
    defaults: TransactionDefaults = {},
  ) {
    const notes: string[] = [];
    const read = readOptions('transactions', TRANSACTION_DEFAULTS, defaults, (note) => notes.push(note));
    this.#defaults = read;
    // No logger: the warnings about lost leases do not fit transactions, and every caller gets the reason as an error.
    const requireScope = read.requireScope === true || plain.requiresScope === true;
    this.#runtime = new Runtime(
      bare({ ...read, requireScope, store, storeTimeout: UNBOUNDED_MS, logger: {} }),
    );
    const { keysInLogs } = read;
    const warn = warnThrough(read.logger);
    this.#note = onceEach((message) => warn(`twiceshy: ${message}`));
    notes.forEach(this.#note);
    this.#runtime.events.on('no-value', (told) => {
      const detail = inLogs(told, keysInLogs);
      const { name, key, path = 'it' } = detail;
      warn(
        `twiceshy: ${name} "${key}" was committed without the value of its result, because of ${path}`,
        detail,
      );
    });
    this.#runtime.events.on('dropped-members', (told) => {
      const detail = inLogs(told, keysInLogs);
      warn(`twiceshy: ${detail.name} "${detail.key}" ${droppedMembers(detail)}`, detail);
    });
  }

  async run<T>(
    key: string,
    work: (tx: Transaction) => T | Promise<T>,
    given: TransactionOptions<T>,
  ): Promise<T> {
    const where = 'transaction()';
    const own = readOptions<TransactionOptions<T>>(where, TRANSACTION_OPTIONS, given, this.#note);
    const options = inherit(where, TRANSACTION_INHERITANCE, this.#defaults, own);
    checkWork(work);
    const { prefix, scope } = options;
    const name = requireName(where, options.name);
    const place = this.#runtime.place(checkKey(key), { prefix, name, scope });
    if (holdsKey(this.plain, place)) {
      const why = 'the work under this key called the same key again, and would wait for itself';
      throw new UsageError('INVALID_KEY', `${name} "${key}": ${why}`);
    }
    let session: Session | undefined;
    let thrown: unknown;
    const inTransaction = async (attempt: Attempt): Promise<T> => {
      const open = (session = this.#openSession(attempt));
      try {
        // Also entered for the plain store, so that a run() inside the work notices that it holds this key.
        return await enterAttempt(attempt, this.plain, place, () => work(toTransaction(attempt, open)));
      } catch (error) {
        thrown = error;
        throw error;
      }
    };
    const answer = await runWith(this.#runtime, where, key, inTransaction, options).then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    );
    // If nothing of the attempt was kept, the engine reports what it finds in the store. The session has the actual reason.
    const isOwnError = 'error' in answer && answer.error === thrown;
    if (session?.failure && (session.endedByWork || ('error' in answer && !isOwnError)))
      throw session.failure;
    if ('error' in answer) throw unwrapReason(answer.error);
    return answer.result;
  }

  #openSession(attempt: Attempt): Session {
    const session = attempt instanceof RunningAttempt ? this.store.session(attempt.token) : undefined;
    if (session) return session;
    throw new StoreError('STORE_UNAVAILABLE', 'the transaction ended before its work began', {
      transient: true,
    });
  }
}

function toTransaction(attempt: Attempt, session: Session): Transaction {
  return {
    key: attempt.key,
    fence: attempt.fence,
    attempt: attempt.attempt,
    get signal() {
      return attempt.signal;
    },
    deriveKey: attempt.deriveKey,
    query: <Row>(query: string | object, values?: unknown[]) =>
      session.query(query, values) as Promise<TransactionResult<Row>>,
  };
}

/** The store's own error, if it gave up resending a claim. The error around it does not say what went wrong. */
function unwrapReason(error: unknown): unknown {
  const isWrapped = isIdempotencyError(error, 'STORE_UNAVAILABLE') && error.cause instanceof StoreError;
  return isWrapped ? error.cause : error;
}
