/** What users of the neutral API give and get. */
import type { CodecOptions } from '../codec/index.js';
import type { Admit } from '../core/admission.js';
import type { Attempt } from '../core/attempt/attempt.js';
import type { EventName, Listener, Stats } from '../core/events.js';
import type { Operation } from '../core/operation.js';
import type { CommonOptions, Remember } from '../core/options.js';
import type { IdempotencyStatus, RecordState } from '../core/record.js';
import type { LeaseStore } from '../core/store.js';
import type { KeysInLogs, Logger } from './logging.js';

/** What a reconcile function found out about an abandoned attempt. */
export type Reconciled<T> = 'run' | { readonly completed: T } | { readonly failed: unknown };

/**
 * What is done with an abandoned record. `retry` runs the work again (at-least-once); `block` refuses with IN_DOUBT
 * until a person calls `resolve`; a function asks the provider what happened, under the new lease.
 */
export type OnAbandoned<T> =
  'retry' | 'block' | ((attempt: Attempt) => Reconciled<T> | Promise<Reconciled<T>>);

/** Which record: what stands beside the key. */
export interface Namespaced {
  /** Stands first in every address. @default 'idempotency' */
  prefix?: string;
  /** The operation. Two operations never share a record. @default the instance's; one of the two must be given */
  name?: string;
  /** The tenant whose keys these are. @default none */
  scope?: string;
}

export interface RunOptions<T> extends CommonOptions, Namespaced {
  /** Fingerprinted: the same key with another payload is refused with KEY_REUSED. @default none */
  payload?: unknown;
  /** Aborting it ends this caller's waiting, never the work. @default none */
  signal?: AbortSignal;
  /** Which failures are final. @default 'none' */
  remember?: Remember<unknown>;
  /** What is done after a crash, when nobody knows whether the effect happened. @default 'retry' */
  onAbandoned?: OnAbandoned<T>;
}

export interface IdempotencyOptions extends CommonOptions, Namespaced {
  /** Where the records are: a `RedisStore`, for example. */
  store: LeaseStore;
  /** Whether a run without a `scope` is refused with INVALID_OPTIONS, in every face. @default false, or what the store says */
  requireScope?: boolean;
  /** Which failures are final. @default 'none' */
  remember?: Remember<unknown>;
  /** How class instances in results are treated. @default refused, with the path named */
  codec?: CodecOptions;
  /**
   * A secret of 16 characters or more: the scope is stored as its HMAC-SHA256 under it, so that who reads the store can't
   * test guesses. Records are then at other addresses: a new or another pepper finds none of those that were written before.
   * @default none: the scope is stored as it is; HTTP stores its hash
   */
  pepper?: string;
  /** Any subset of debug, info, warn, error. @default warnings go to process.emitWarning */
  logger?: Logger;
  /**
   * Asked before each call, duplicates included, whether it is let in: `false`, or in how many milliseconds to come again,
   * refuses it with LIMITED. {@link inFlightPerScope} and {@link waitersPerKey} make such functions. @default all are let in
   */
  admit?: Admit;
  /**
   * How keys stand in what goes to the logger, or to the process as a warning. `'hash'`: the first 16 hex digits of their
   * SHA-256. Events, callbacks and errors of the caller have them as they are. @default 'plain'
   */
  keysInLogs?: KeysInLogs;
}

/**
 * One engine on one store, with its defaults: made by `createIdempotency()`. The HTTP adapters and consumers take it as their
 * `idempotency`.
 */
export interface Idempotency {
  /**
   * Runs the work once for the key, and gives every duplicate the same answer.
   * @throws UsageError INVALID_KEY, INVALID_OPTIONS: also where neither the call nor the instance has a `name`
   * @throws IdempotencyError what stands in its `code`; or what the work threw, recorded or its own
   */
  run<T>(key: string, work: (attempt: Attempt) => T | Promise<T>, options?: RunOptions<T>): Promise<T>;
  /** The record of a key, or undefined. Counts no hit. Needs the `name` of the run. */
  get<T = unknown>(key: string, where?: Namespaced): Promise<IdempotencyRecord<T> | undefined>;
  /**
   * Settles a key by hand: what a person decides about an outcome in doubt. `false` when there is no record.
   * @throws DuplicateError CONCURRENT_REQUEST while an attempt runs
   */
  resolve(
    key: string,
    outcome: { result: unknown } | { error: unknown },
    where?: Namespaced,
  ): Promise<boolean>;
  /**
   * Forgets a key, so that the next call runs. `false` when there is no record. The fence is kept, so that a late
   * writer does not bring the record back.
   * @throws DuplicateError CONCURRENT_REQUEST while an attempt runs, unless forced
   */
  forget(key: string, options?: Namespaced & { force?: boolean }): Promise<boolean>;
  /** What happened in this process so far: to one operation, or to all together. */
  stats(name?: string): Stats;
  /** Listens to an event; the returned function ends it. */
  on(event: EventName, listener: Listener): () => void;
  /**
   * Refuses new runs, and waits for running work and unrecorded results, 10 s at most. Releases nothing: what still
   * runs keeps its lease. The store is the caller's to close.
   */
  close(): Promise<void>;
}

/** A record that answered a call. Where its `status` is FAILED, there is an `error` and no `result`. */
export interface CacheHit<T = unknown> extends IdempotencyRecord<T> {
  result: T;
}

/** A record as people see it. Times are milliseconds since 1970. */
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

/** What a face asks for: an operation whose address, fingerprint and label are not made yet. */
export interface FaceOperation<T> extends Omit<Operation<T>, 'key' | 'label' | 'fingerprint'> {
  readonly key: unknown;
  readonly name: string;
  readonly scope?: string | undefined;
  readonly prefix?: string | undefined;
  readonly payload?: unknown;
}
