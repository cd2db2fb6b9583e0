import type {
  Grant,
  IdempotencyStatus,
  Lease,
  LeaseTerms,
  RecordedStep,
  StoreKey,
  StoredRecord,
} from './record.js';

/** How long a store remembers, at the least, a token that was withdrawn where it held nothing. */
export const MARK_MS = 60_000;
/** How long a tombstone stays, at the least, where a person forgot a record: see {@link LeaseStore.override}. */
export const TOMBSTONE_MS = 3_600_000;

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
  /**
   * Well-formed text; undefined records the outcome without a value. An unknown outcome has none, whatever is given. It
   * is often JSON, and is given back character for character all the same: a JSON column that sorts keys or rewrites
   * numbers is no place for it.
   */
  readonly payload: string | undefined;
  /**
   * How long the outcome stays, counted from the settling. For an unknown outcome it only bounds a write over absence:
   * that record stays for `unsettledRetentionMs` of the lease, counted from the settling as well.
   */
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
 *
 * Several processes use one store, each through an instance of its own. So nothing that these guarantees need is kept in an
 * instance, and all instances judge by one clock, or by clocks whose distance the store allows for.
 *
 * **What a store is given.** A token has 16 characters, a digest 6 and a fingerprint 22, all of `A-Z a-z 0-9 - _`. The limits
 * of {@link Notes} are kept by the caller. An address may hold any character. A store that has no room for one that long
 * rejects with a UsageError INVALID_KEY.
 *
 * **Records of others.** The digest of a record is kept with it. Where the key's own digest is another one, `claim`, `read`
 * and `override` reject with a UsageError INVALID_KEY; the other methods may reject in the same way, or answer `false`. Nothing
 * is changed.
 *
 * **Records that can't be read.** A record of a newer format is a StoreError RECORD_TOO_NEW, and what is no record at all is
 * CORRUPT_RECORD. Either is left as it is until a person forgets or resolves it, which answers `done`.
 */
export interface LeaseStore {
  /**
   * Wins over absence, over a tombstone, and over the record named by `replacing` when that is FAILED and not
   * final, or past its lease. Counts a hit, best effort, on a settled record.
   *
   * - A resend of the claim that holds the record is granted again, with the same fence and a new lease end. That is so after
   *   the lease has ended too, as long as nobody has taken the record over.
   * - A token that the store has already seen released, withdrawn, settled or overtaken is never granted. Where only its
   *   mark or a tombstone is left, the answer is `existing`, with a record that is FAILED and not final, has no payload and no
   *   lease, and says in `expiresAtMs` how long the token is remembered.
   * - `createdAtMs` is the moment of the key's first claim, and every later attempt has it too. After absence or a
   *   tombstone the key begins anew: `attempt` is 1, and `createdAtMs` is now. `failures` are counted on after a tombstone.
   */
  claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer>;
  /**
   * Sets the lease's end to now plus `lease.leaseMs`, and the record's to `lease.unsettledRetentionMs` after that, also where
   * this is earlier than before. The new lease end on the store's clock, or `false` when the lease is no longer ours.
   */
  renew(key: StoreKey, lease: Lease): Promise<number | false>;
  /**
   * Records a step's result under the lease, beside the steps that are there; `false` when the lease is no longer
   * ours. `true` also when the attempt recorded a step of that name before, which is kept: the answer to a resend. The
   * attempt before the one that runs is told so too, as long as its step is there; a new step of it is refused. Over absence
   * the record is written again with `lease.steps` and this one. Steps stay until a final outcome, a person's write, or the
   * retention ends them: through renewals, a takeover, an unknown outcome and a failure that is not final.
   */
  step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean>;
  /**
   * Ends the attempt. `true` also when the attempt was settled before, which is kept: the answer to a resend. Wakes the
   * waiters, best effort.
   *
   * `lease.fence` is 0 and `lease.leaseEndsAtMs` is Infinity where the claim was never answered and the work ran all the same. Over
   * the record of its token the store then keeps that record's fence; over absence it makes one (G5).
   */
  settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean>;
  /**
   * Undoes the claim of `token`: the record is again as the claim found it, with its value, steps, attempts and expiry. Two
   * things stay: the fence of the attempt that was undone, so that the next one is higher, and its token, which is not
   * granted again. What a first claim leaves is read as absence; the definite failures of the key are kept there.
   *
   * Where the token holds nothing, it leaves a mark, so that a claim which arrives late is not granted: beside a record that
   * is over and not final, or in a place of its own for {@link MARK_MS}. `true` when it undid a claim.
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
  /**
   * A person's write. `absent` over absence and over a tombstone; `live` when a running attempt holds the record, which
   * only a forced forgetting replaces. The attempt that is replaced is still recognised, and can write no more.
   *
   * - `forget` leaves a tombstone for {@link TOMBSTONE_MS}, or for as long as the record would have stayed where that is
   *   longer. It is read as absence, keeps the fence and the definite failures, and can be written over by claims alone.
   * - `resolve` puts an outcome in place, with a fence that is higher, no steps and no hits. Attempts, failures,
   *   fingerprint, `createdAtMs` and notes (but for the holder) stay.
   */
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
