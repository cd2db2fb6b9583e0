/** The public types of the API that all adapters share. */
import type { CodecOptions } from '../codec/index.js';
import type { Admit } from '../core/admission.js';
import type { Attempt } from '../core/attempt/attempt.js';
import type { EventName, Listener, Stats } from '../core/events.js';
import type { Operation } from '../core/operation.js';
import type { CommonOptions, Remember } from '../core/options.js';
import type { IdempotencyStatus, RecordState } from '../core/record.js';
import type { LeaseStore } from '../core/store.js';
import type { KeysInLogs, Logger } from './logging.js';

/**
 * What a reconcile function found out about an abandoned attempt. `'run'`: nothing happened, so run the work. The other two
 * record the outcome without running anything.
 */
export type Reconciled<T> = 'run' | { readonly completed: T } | { readonly failed: unknown };

/**
 * What happens to an abandoned record: its attempt lost the lease without an outcome, after a crash for example. `retry` runs
 * the work again (at-least-once). `block` refuses with IN_DOUBT until a person calls `resolve`. A function is called under the
 * new lease, to ask the provider what happened.
 */
export type OnAbandoned<T> =
  'retry' | 'block' | ((attempt: Attempt) => Reconciled<T> | Promise<Reconciled<T>>);

/** What identifies a record, besides the key. */
export interface Namespaced {
  /** The first part of every address. @default 'idempotency' */
  prefix?: string;
  /** The name of the operation. Two operations never share a record. Required here or in the instance. @default the instance's */
  name?: string;
  /** The tenant that the key belongs to. @default none */
  scope?: string;
}

export interface RunOptions<T> extends CommonOptions, Namespaced {
  /** Its fingerprint is recorded: the same key with another payload is refused with KEY_REUSED. @default none */
  payload?: unknown;
  /** Aborting it ends this caller's wait, never the work. @default none */
  signal?: AbortSignal;
  /** Which failures are final. Others may run again under the same key. @default 'none' */
  remember?: Remember<unknown>;
  /** What happens after a crash; see {@link OnAbandoned}. @default 'retry' */
  onAbandoned?: OnAbandoned<T>;
}

export interface IdempotencyOptions extends CommonOptions, Namespaced {
  /** Where the records are kept. */
  store: LeaseStore;
  /** Whether every run needs a `scope`: one without is refused with INVALID_OPTIONS, in every adapter. @default the store's */
  requireScope?: boolean;
  /** Which failures are final. Others may run again under the same key. @default 'none' */
  remember?: Remember<unknown>;
  /**
   * How values are recorded: class instances, errors, redaction.
   * @default class instances are refused, and the error names the path
   */
  codec?: CodecOptions;
  /**
   * A secret of at least 16 characters. The scope is stored as its HMAC-SHA256 under this secret, so that somebody who reads the
   * store can't test guesses. It changes the addresses: with a new pepper no earlier record is found.
   * @default none: the scope is stored as it is, and as a hash by the HTTP adapters
   */
  pepper?: string;
  /** Any subset of debug, info, warn, error. @default warnings go to process.emitWarning */
  logger?: Logger;
  /**
   * Called before each call, duplicates included, to decide whether it may start. `false`, or a number of milliseconds after
   * which to retry, refuses it with LIMITED. {@link inFlightPerScope} and {@link waitersPerKey} make such functions.
   * @default every call may start
   */
  admit?: Admit;
  /**
   * How keys appear in logged and process warnings. `'hash'`: as the first 16 hex digits of their SHA-256. Events, callbacks and
   * the errors that callers get have the plain keys. @default 'plain'
   */
  keysInLogs?: KeysInLogs;
}

/**
 * Runs operations once per key on one store, with default options. Made by `createIdempotency()`. HTTP adapters and consumers
 * take it as their option `idempotency`.
 */
export interface Idempotency {
  /**
   * Runs the work once for the key, and gives every duplicate the same answer.
   * @throws UsageError INVALID_KEY, INVALID_OPTIONS; also if neither the call nor the instance has a `name`
   * @throws IdempotencyError see its `code`; or what the work threw, in this call or in the recorded attempt
   */
  run<T>(key: string, work: (attempt: Attempt) => T | Promise<T>, options?: RunOptions<T>): Promise<T>;
  /** The record of a key, or undefined. It needs the `name` of the run, and does not count as a hit. */
  get<T = unknown>(key: string, where?: Namespaced): Promise<IdempotencyRecord<T> | undefined>;
  /**
   * Records the outcome of a key by hand, for example after a person has looked into one that is in doubt. `false` if there is
   * no record.
   * @throws DuplicateError CONCURRENT_REQUEST while an attempt runs
   */
  resolve(
    key: string,
    outcome: { result: unknown } | { error: unknown },
    where?: Namespaced,
  ): Promise<boolean>;
  /**
   * Forgets a key, so that the next call runs. `false` if there is no record. The fencing token is kept for a while, so that an
   * earlier attempt that is late can't write the record again.
   * @throws DuplicateError CONCURRENT_REQUEST while an attempt runs, unless forced
   */
  forget(key: string, options?: Namespaced & { force?: boolean }): Promise<boolean>;
  /** Counters of this process: of one operation, or of all together. */
  stats(name?: string): Stats;
  /** Adds a listener to an event. Call the returned function to remove it. */
  on(event: EventName, listener: Listener): () => void;
  /**
   * Refuses new runs, and waits at most 10 s for running work and for results that are not recorded yet. Work that still runs
   * then keeps its lease. It does not close the store.
   */
  close(): Promise<void>;
}

/** A record that answered a call. If its `status` is FAILED, it has an `error` and no `result`. */
export interface CacheHit<T = unknown> extends IdempotencyRecord<T> {
  result: T;
}

/** A record as users see it. Times are milliseconds since 1970. */
export interface IdempotencyRecord<T = unknown> {
  key: string;
  status: IdempotencyStatus;
  /** What a person should know: who acts next. */
  state: RecordState;
  result?: T;
  error?: unknown;
  createdAt: number;
  expiresAt: number;
  hitCount: number;
  attempt: number;
  fence: number;
  /** While it is IN_PROGRESS: when the lease ends, or has ended, by the clock of this process. */
  leaseEndsAt?: number;
}

/** An operation as an adapter requests it: not checked yet, without address and fingerprint. */
export interface AdapterOperation<T> extends Omit<Operation<T>, 'key' | 'label' | 'fingerprint'> {
  readonly key: unknown;
  readonly name: string;
  readonly scope?: string | undefined;
  readonly prefix?: string | undefined;
  readonly payload?: unknown;
}
