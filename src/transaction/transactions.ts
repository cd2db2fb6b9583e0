import { Adapter } from '../idempotency/adapter.js';
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

/** What a query came to. */
export interface TransactionResult<Row> {
  rows: Row[];
  rowCount: number | null;
}

/** What the work of a transaction is given: the attempt that it is, and the connection that it has. */
export interface Transaction extends Omit<Attempt, 'step'> {
  /**
   * A query in this transaction, as pg's `client.query()` takes it: text and values, or one of its config objects. The
   * queries run one after the other. BEGIN, COMMIT and ROLLBACK are refused; savepoints of your own are yours.
   */
  query<Row = Record<string, unknown>>(
    query: string | object,
    values?: unknown[],
  ): Promise<TransactionResult<Row>>;
}

/**
 * The options of `run()`, but for `onStoreError` and `storeTimeout`: there is no running without the store here, and the store
 * has its own `timeoutMs`. The `lease` is how long the server lets the session be silent, once the process that has it does
 * not answer for it any more.
 */
export type TransactionOptions<T> = Omit<RunOptions<T>, 'onStoreError' | 'storeTimeout'>;

/** What all transactions of a store have in common: the options of `createIdempotency()` that make sense here. */
export type TransactionDefaults = Omit<IdempotencyOptions, 'store' | 'onStoreError' | 'storeTimeout'>;

/** An open transaction, as a store has it. */
interface Session {
  /** Why there is no outcome, once there is none. */
  readonly failure: IdempotencyError | undefined;
  /** Whether the work ended the transaction itself: then what it wrote is not bound to the record. */
  readonly endedByWork: boolean;
  query(query: string | object, values?: unknown[]): Promise<object>;
}

/** A store whose claims begin transactions, and whose settling commits them. */
export interface TransactionalStore extends LeaseStore {
  session(token: string): Session | undefined;
}

/** The store bounds its own calls: no COMMIT is given up half-way. */
const UNBOUNDED_MS = 3_600_000;

// Each table is that of the neutral API, without what makes no sense here.
const { onStoreError: _, storeTimeout: _2, ...RUN } = RUN_OPTIONS;
const { onStoreError: _3, storeTimeout: _4, store: _5, ...INSTANCE } = INSTANCE_OPTIONS;
const { onStoreError: _6, storeTimeout: _7, store: _8, ...INHERITED } = RUN_INHERITANCE;

export const TRANSACTION_OPTIONS = RUN satisfies OptionTable<TransactionOptions<never>>;
export const TRANSACTION_DEFAULTS = INSTANCE satisfies OptionTable<TransactionDefaults>;
/** What becomes of the options that all transactions have in common. */
export const TRANSACTION_INHERITANCE = INHERITED satisfies InheritanceTable<TransactionDefaults>;

/** The transactional mode: the engine, on a store whose records are visible once they are committed. */
export class Transactions {
  readonly #adapter: Adapter;
  readonly #defaults: TransactionDefaults;
  readonly #note: (message: string) => void;

  /**
   * @param plain the store as everybody else has it
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
    // Silent, since its words for a lost lease are not true of a transaction, and every caller gets the reason as an error.
    const requireScope = read.requireScope === true || plain.requiresScope === true;
    this.#adapter = new Adapter(
      bare({ ...read, requireScope, store, storeTimeout: UNBOUNDED_MS, logger: {} }),
    );
    const { keysInLogs } = read;
    const warn = warnThrough(read.logger);
    this.#note = onceEach((message) => warn(`twiceshy: ${message}`));
    notes.forEach(this.#note);
    this.#adapter.events.on('no-value', (told) => {
      const detail = inLogs(told, keysInLogs);
      const { name, key, path = 'it' } = detail;
      warn(
        `twiceshy: ${name} "${key}" was committed without the value of its result, because of ${path}`,
        detail,
      );
    });
    this.#adapter.events.on('dropped-members', (told) => {
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
    const place = this.#adapter.place(checkKey(key), { prefix, name, scope });
    if (holdsKey(this.plain, place)) {
      const why = 'the work that runs under this key runs the same key again; it would wait for itself';
      throw new UsageError('INVALID_KEY', `${name} "${key}": ${why}`);
    }
    let session: Session | undefined;
    let thrown: unknown;
    const inTransaction = async (attempt: Attempt): Promise<T> => {
      const open = (session = this.#sessionOf(attempt));
      try {
        // Also for a run() inside of the work, which asks the store itself.
        return await enterAttempt(attempt, this.plain, place, () => work(transactionOf(attempt, open)));
      } catch (error) {
        thrown = error;
        throw error;
      }
    };
    const answer = await runWith(this.#adapter, where, key, inTransaction, options).then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    );
    // Where nothing of the attempt was kept, the engine looks for what else stands there; the session knows why.
    const isOwnError = 'error' in answer && answer.error === thrown;
    if (session?.failure && (session.endedByWork || ('error' in answer && !isOwnError)))
      throw session.failure;
    if ('error' in answer) throw reasonOf(answer.error);
    return answer.result;
  }

  #sessionOf(attempt: Attempt): Session {
    const session = attempt instanceof RunningAttempt ? this.store.session(attempt.token) : undefined;
    if (session) return session;
    throw new StoreError('STORE_UNAVAILABLE', 'the transaction ended before its work began', {
      transient: true,
    });
  }
}

function transactionOf(attempt: Attempt, session: Session): Transaction {
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

/** What the store ended the resending of a claim with hides what that was about. */
function reasonOf(error: unknown): unknown {
  const isWrapped = isIdempotencyError(error, 'STORE_UNAVAILABLE') && error.cause instanceof StoreError;
  return isWrapped ? error.cause : error;
}
