/**
 * The record: what a store keeps for one key. Everything else in this library is about moving it from one
 * state to the next without two callers ever disagreeing about it.
 *
 * ```
 * (absent) --claim--> IN_PROGRESS --settle--> COMPLETED        final
 *                         |       --settle--> FAILED           final: replayed; or not: the next caller runs
 *                         |       --release-> as the claim found it
 *                         |       --unknown-> abandoned at once
 *                         `--lease runs out-> abandoned: IN_PROGRESS past its lease; `onAbandoned` decides
 * ```
 */

/** The three statuses of a record, spelled once. */
export const IdempotencyStatus = {
  IN_PROGRESS: 'IN_PROGRESS',
  COMPLETED: 'COMPLETED',
  FAILED: 'FAILED',
} as const;
export type IdempotencyStatus = (typeof IdempotencyStatus)[keyof typeof IdempotencyStatus];

/**
 * What may be done with an abandoned record, from lax to strict. It is kept in the record: a later caller may
 * be stricter than the claim was, never laxer.
 */
export const ABANDONED_RULES = ['retry', 'reconcile', 'block'] as const;
export type AbandonedRule = (typeof ABANDONED_RULES)[number];

/**
 * Which record: the parts of its identity, and where a store keeps it. Two identities never share a record: the digest
 * stands in the record and must match.
 */
export interface StoreKey {
  /** Stands first in the address: one service, or one environment. */
  readonly prefix: string;
  /** The tenant, as it is stored (HTTP stores a hash); undefined for none. */
  readonly scope: string | undefined;
  /** The name of the operation. */
  readonly operation: string;
  /** The idempotency key as the caller gave it. */
  readonly key: string;
  /** The parts joined by ":", which is what a store finds the record by. Two identities may read the same here. */
  readonly address: string;
  /** Six characters over prefix, scope and operation: they tell apart identities whose addresses read the same. */
  readonly digest: string;
}

/**
 * The identity as one text: equal for two keys only if all their parts are. What shares an answer, or decides who waits for
 * whom, goes by this and never by the address alone.
 */
export const keyIdentity = (key: StoreKey): string => key.digest + key.address;

/** What a record can tell about its attempt, for people and for traces. Never compared, and absent unless it was given. */
export interface Notes {
  /** The W3C `traceparent` of the run that does the work: at most 64 ASCII characters. Kept with the outcome. */
  readonly traceparent?: string | undefined;
  /** Which process runs the attempt: at most 128 characters. Gone once it has settled. */
  readonly holder?: string | undefined;
  /** What was asked, in the user's own choice: at most 512 bytes. Kept with the outcome. */
  readonly facts?: string | undefined;
}

/** What stays of the notes once an attempt has settled: nobody holds it any more. */
export function settledNotes(notes: Notes | undefined): Notes | undefined {
  if (!notes) return undefined;
  const { traceparent, facts } = notes;
  if (traceparent === undefined && facts === undefined) return undefined;
  return { ...(traceparent !== undefined && { traceparent }), ...(facts !== undefined && { facts }) };
}

/**
 * A record as a store answered it. `leaseRemainingMs` was judged by the store's clock (G4), so that nobody
 * compares the clocks of two machines.
 */
export interface StoredRecord {
  readonly status: IdempotencyStatus;
  /** Whether the status is the last word. A FAILED record that is not final is run again by the next caller. */
  readonly final: boolean;
  /** The owner token of the attempt that wrote the record. */
  readonly token: string;
  /**
   * The fencing token: grows with every attempt of the key (G5). A record that a release restored keeps the fence of the
   * attempt that was undone, so that the next attempt gets a higher one.
   */
  readonly fence: number;
  /** Whether a later attempt claimed this record and was undone: then the fence is that attempt's, the rest is not. */
  readonly restored: boolean;
  /** 1 for the first attempt of the key. */
  readonly attempt: number;
  /** Definite failures so far: what a derived key is renewed by. */
  readonly failures: number;
  readonly fingerprint: string | undefined;
  readonly onAbandoned: AbandonedRule;
  /** Milliseconds until the lease ends, 0 or less when it is over; 0 for a settled record. */
  readonly leaseRemainingMs: number;
  /** When the first attempt of the key was claimed. */
  readonly createdAtMs: number;
  /** When this attempt was claimed. */
  readonly startedAtMs: number;
  readonly settledAtMs: number | undefined;
  readonly expiresAtMs: number;
  readonly hitCount: number;
  readonly notes: Notes | undefined;
  /** The encoded result or error; undefined when it was recorded without a value, or is not settled. */
  readonly payload: string | undefined;
  /** `recipe`: a JSON record of the plain recipe, honoured as completed and never modified. */
  readonly format: 'twiceshy' | 'recipe';
}

/** The recorded result of a step: a later attempt gets it back instead of running the step. */
export interface RecordedStep {
  readonly name: string;
  /** The encoded result; undefined when the step was recorded as done without its value. */
  readonly payload: string | undefined;
}

export const NO_STEPS: readonly RecordedStep[] = [];

/** What a won claim grants. */
export interface Grant {
  readonly token: string;
  readonly fence: number;
  readonly attempt: number;
  readonly failures: number;
  /** The attempt before this one, kept so that its resent commands are recognised (G2). */
  readonly previousToken: string | undefined;
  /** How the attempt before this one ended. */
  readonly previousEnd: 'settled' | 'abandoned' | undefined;
  /** When the first attempt of the key was claimed, on the store's clock. */
  readonly createdAtMs: number;
  /** When this attempt was claimed, on the store's clock. */
  readonly startedAtMs: number;
  /** On the store's clock. */
  readonly leaseEndsAtMs: number;
  /** The steps that earlier attempts recorded; in a running attempt's lease, its own as well. */
  readonly steps: readonly RecordedStep[];
}

/** A grant with the terms it was claimed under: all that is needed to write the record again over absence. */
export interface Lease extends Grant, LeaseTerms {}

export interface LeaseTerms {
  /** How long a lease lasts from its claim or renewal. */
  readonly leaseMs: number;
  /** How long an unsettled record stays visible after its lease ended. */
  readonly unsettledRetentionMs: number;
  readonly onAbandoned: AbandonedRule;
  /** 22 characters of `A-Z a-z 0-9 - _`; undefined where the call has no payload. */
  readonly fingerprint: string | undefined;
  readonly notes?: Notes | undefined;
}

/** Explicit, since it is on the path of every first run, where spreading costs more than all the rest. */
export function grantedLease(terms: LeaseTerms, grant: Grant): Lease {
  return {
    leaseMs: terms.leaseMs,
    unsettledRetentionMs: terms.unsettledRetentionMs,
    onAbandoned: terms.onAbandoned,
    fingerprint: terms.fingerprint,
    notes: terms.notes,
    token: grant.token,
    fence: grant.fence,
    attempt: grant.attempt,
    failures: grant.failures,
    previousToken: grant.previousToken,
    previousEnd: grant.previousEnd,
    createdAtMs: grant.createdAtMs,
    startedAtMs: grant.startedAtMs,
    leaseEndsAtMs: grant.leaseEndsAtMs,
    steps: grant.steps,
  };
}

/** Whether a record is past its lease without a settled outcome. */
export function isAbandoned(record: StoredRecord): boolean {
  return record.status === IdempotencyStatus.IN_PROGRESS && record.leaseRemainingMs <= 0;
}

/** Whether an attempt holds the record right now. */
export function isLive(record: StoredRecord): boolean {
  return record.status === IdempotencyStatus.IN_PROGRESS && record.leaseRemainingMs > 0;
}

/**
 * The states of a record as people see them.
 * - `running`: an attempt holds the lease.
 * - `abandoned`: the lease is over without an outcome; the next call runs the work again.
 * - `in-doubt`: the same, but nobody can say whether the work took effect. A reconcile function or a person decides.
 * - `completed`, `failed`: what every duplicate gets. `retryable`: a failure after which the next call runs.
 */
export type RecordState = 'running' | 'abandoned' | 'in-doubt' | 'completed' | 'failed' | 'retryable';

/** @param maxAttempts after so many attempts nothing is run again */
export function recordState(record: StoredRecord, maxAttempts: number): RecordState {
  const isExhausted = record.attempt >= maxAttempts;
  switch (record.status) {
    case 'COMPLETED':
      return 'completed';
    case 'FAILED':
      return record.final || isExhausted ? 'failed' : 'retryable';
    case 'IN_PROGRESS':
      if (!isAbandoned(record)) return 'running';
      return record.onAbandoned === 'retry' && !isExhausted ? 'abandoned' : 'in-doubt';
  }
}
