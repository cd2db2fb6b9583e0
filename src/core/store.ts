import type {
  Grant,
  IdempotencyStatus,
  Lease,
  LeaseTerms,
  RecordedStep,
  StoreKey,
  StoredRecord,
} from './record.js';

export interface ClaimRequest extends LeaseTerms {
  /** The owner token of the attempt: random, one per attempt, 16 characters of `A-Z a-z 0-9 - _`. */
  readonly token: string;
  /**
   * The token of an unsettled or failed record that policy decided to replace. Without it a claim is won only
   * over absence, so that a store decides no policy.
   */
  readonly replacing: string | undefined;
}

export type ClaimAnswer =
  | { readonly kind: 'acquired'; readonly grant: Grant }
  | { readonly kind: 'existing'; readonly record: StoredRecord };

/** How an attempt ends. IN_PROGRESS means that nobody can say: the record is abandoned at once. */
export interface Settlement {
  readonly status: 'COMPLETED' | 'FAILED' | 'IN_PROGRESS';
  readonly final: boolean;
  /** Definite failures of the key, this one included. */
  readonly failures: number;
  /** Well-formed text; undefined records the outcome without a value. */
  readonly payload: string | undefined;
  readonly retentionMs: number;
}

/** What a person puts in the place of a record: a tombstone, or an outcome by hand. */
export type Replacement =
  | { readonly kind: 'forget'; readonly force: boolean }
  | ({ readonly kind: 'resolve'; readonly token: string } & Omit<Settlement, 'failures'>);

/**
 * What the engine asks of a store. Every method is one atomic step on one record; none decides policy, waits,
 * or retries. An unreachable store rejects with a {@link StoreError}; a lost lease is a value, never an error.
 *
 * - **G1** `claim` is one atomic step that returns the lease or the existing record.
 * - **G2** `claim`, `settle`, `renew`, `step` and `release` may be resent: a store recognises the owner token, also the
 *   token of the attempt before.
 * - **G3** A stale writer changes nothing and is told `false`. A write is accepted from the record's own token;
 *   over a non-final record with a lower fence; or over absence until the last granted lease plus retention.
 *   Never over another attempt's newer or final record, nor over a tombstone.
 * - **G4** Expiry is judged by the store's clock.
 * - **G5** A fence is `max(previous + 1, store clock in microseconds)`.
 */
export interface LeaseStore {
  /**
   * Wins over absence, over a tombstone, and over the record named by `replacing` when that is FAILED and not
   * final, or past its lease. A resend of the record's own live claim is granted again with a new lease end. A
   * token that the store has already seen released, withdrawn, settled or overtaken is never granted. Counts a
   * hit, best effort, on a settled record.
   */
  claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer>;
  /** Extends the lease from now; the new lease end on the store's clock, or `false` when it is no longer ours. */
  renew(key: StoreKey, lease: Lease): Promise<number | false>;
  /**
   * Records a step's result under the lease, beside the steps that are there; `false` when the lease is no longer
   * ours. `true` also when the attempt recorded a step of that name before, which is kept. Over absence the record is
   * written again with `lease.steps` and this one. Steps stay until a final outcome, a person's write, or the
   * retention ends them: through renewals, a takeover, an unknown outcome and a failure that is not final.
   */
  step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean>;
  /** Ends the attempt. `true` also when this very settling was done before. Wakes the waiters, best effort. */
  settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean>;
  /**
   * Undoes the claim of `token`: the record is again as the claim found it. Where the token holds nothing, it
   * leaves a mark for a minute, so that a claim which arrives late is not granted. `true` when it undid a claim.
   */
  release(key: StoreKey, token: string): Promise<boolean>;
  /**
   * Many releases at once, each of them a step of its own, for a store that has a cheaper way than one call each. One result
   * for each, in order; what is rejected is said again.
   */
  releaseMany?(
    items: readonly { readonly key: StoreKey; readonly token: string }[],
  ): Promise<readonly PromiseSettledResult<boolean>[]>;
  /** The record, without counting a hit; undefined for absence and for a tombstone. */
  read(key: StoreKey): Promise<StoredRecord | undefined>;
  /** A person's write, with the fence kept. `live` when a running attempt holds the record. */
  override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'>;
  /**
   * Calls `wake` whenever the record may have changed, and again after every reconnect. Resolves when the
   * subscription is confirmed, with the function that ends it. A hint only: waiters read, and poll as well.
   */
  subscribe?(key: StoreKey, wake: () => void): Promise<() => void>;
  /** Whether every run must say whose key it is: what `requireScope` of an instance is without being given. */
  readonly requiresScope?: boolean;
  /** Closes what the store opened itself. */
  close?(): Promise<void>;
}

/** Whether a value has the shape of a {@link LeaseStore}: it is one when it has `claim`. */
export function isLeaseStore(value: unknown): value is LeaseStore {
  return typeof value === 'object' && value !== null && 'claim' in value && typeof value.claim === 'function';
}

/** A record as a simple store is given it: plain data, times in milliseconds since 1970. */
export interface SimpleRecord<T = unknown> {
  key: string;
  status: IdempotencyStatus;
  result?: T;
  error?: unknown;
  createdAt: number;
  expiresAt: number;
  hitCount: number;
}

/**
 * The simple shape of a store, as people write it by hand: it keeps what it is given under a key, until `expiresAt` at
 * least. `KeyValueStore` makes a {@link LeaseStore} of it that is atomic within one process.
 */
export interface IdempotencyStore<T = unknown> {
  /** What `set` was given, also the members that stand in no type; nothing for absence. */
  get(key: string): Promise<SimpleRecord<T> | null | undefined> | SimpleRecord<T> | null | undefined;
  set(key: string, record: SimpleRecord<T>): unknown;
  delete(key: string): unknown;
  clear(): unknown;
}

/** Whether a value has the shape of an {@link IdempotencyStore}. */
export function isIdempotencyStore(value: unknown): value is IdempotencyStore {
  if (typeof value !== 'object' || value === null) return false;
  return ['get', 'set', 'delete', 'clear'].every((name) => typeof Reflect.get(value, name) === 'function');
}
