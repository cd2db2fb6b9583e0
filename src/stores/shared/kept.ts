import {
  NO_STEPS,
  type AbandonedRule,
  type Lease,
  type Notes,
  type StoreKey,
  type StoredRecord,
} from '../../core/record.js';
import type { ClaimAnswer } from '../../core/store.js';

/**
 * A record as memory, DynamoDB and KeyValueStore keep it: stores that read a record, decide, and write it if it has not changed.
 */
export interface Kept {
  readonly digest: string;
  readonly status: StoredRecord['status'] | 'TOMBSTONE';
  readonly final: boolean;
  readonly token: string;
  readonly previousToken: string | undefined;
  readonly previousEnd: 'settled' | 'abandoned' | 'withdrawn' | undefined;
  readonly fence: number;
  readonly attempt: number;
  readonly failures: number;
  readonly fingerprint: string | undefined;
  readonly onAbandoned: AbandonedRule;
  readonly notes: Notes | undefined;
  /** The end of the lease while the record is in progress; else 0. */
  readonly leaseEndsAtMs: number;
  readonly createdAtMs: number;
  readonly startedAtMs: number;
  readonly settledAtMs: number | undefined;
  readonly expiresAtMs: number;
  readonly payload: string | undefined;
  readonly steps: Lease['steps'];
  /** The record that the claim replaced. A release restores it. */
  readonly prior: Kept | undefined;
  hitCount: number;
}

/** The answer to a claim that was granted. */
export function granted(kept: Kept): ClaimAnswer {
  const { token, fence, attempt, failures, previousToken, createdAtMs, startedAtMs, leaseEndsAtMs, steps } =
    kept;
  const previousEnd = kept.previousEnd === 'withdrawn' ? undefined : kept.previousEnd;
  const grant = {
    ...{ token, fence, attempt, failures, previousToken, previousEnd },
    ...{ createdAtMs, startedAtMs, leaseEndsAtMs, steps },
  };
  return { kind: 'acquired', grant };
}

/** What a new attempt takes over from the record that it replaces. */
export function lineage(replaced: Kept | undefined, now: number) {
  if (!replaced)
    return {
      ...{ attempt: 1, failures: 0, previousToken: undefined, previousEnd: undefined },
      ...{ createdAtMs: now, startedAtMs: now, steps: NO_STEPS },
    };
  return {
    attempt: replaced.attempt + 1,
    failures: replaced.failures,
    previousToken: replaced.token,
    previousEnd: replaced.status === 'FAILED' ? ('settled' as const) : ('abandoned' as const),
    createdAtMs: replaced.createdAtMs,
    startedAtMs: now,
    steps: replaced.steps,
  };
}

/** A record in progress, made from its owner's lease: for a write where the record is missing. */
export function rewritten(
  key: StoreKey,
  lease: Omit<Lease, 'leaseMs' | 'unsettledRetentionMs' | 'leaseEndsAtMs'>,
): Kept {
  const { token, previousToken, previousEnd, fence, attempt, failures } = lease;
  const { fingerprint, onAbandoned, notes, createdAtMs, startedAtMs, steps } = lease;
  return {
    ...{ token, previousToken, previousEnd, fence, attempt, failures, fingerprint, onAbandoned, notes },
    ...{ createdAtMs, startedAtMs, steps },
    digest: key.digest,
    status: 'IN_PROGRESS',
    final: false,
    leaseEndsAtMs: 0,
    settledAtMs: undefined,
    expiresAtMs: 0,
    payload: undefined,
    prior: undefined,
    hitCount: 0,
  };
}

/** The record with a mark that `token` was withdrawn, so that a late claim of it is not granted. */
export function withdrawn(kept: Kept, token: string): Kept {
  return { ...kept, previousToken: token, previousEnd: 'withdrawn' };
}

/** @param judgedMs the time by which the end of the lease is judged */
export function toStoredRecord(kept: Kept, judgedMs: number): StoredRecord {
  const { status, final, token, fence, attempt, failures, fingerprint, onAbandoned } = kept;
  const { createdAtMs, startedAtMs, settledAtMs, expiresAtMs, hitCount, notes, payload } = kept;
  return {
    ...{ final, token, fence, attempt, failures, fingerprint, onAbandoned, notes },
    ...{ createdAtMs, startedAtMs, settledAtMs, expiresAtMs, hitCount, payload },
    restored: kept.previousEnd === 'withdrawn',
    // A tombstone is answered only to a claim that arrives after its own withdrawal. There is nothing to replay.
    status: status === 'TOMBSTONE' ? 'FAILED' : status,
    leaseRemainingMs: status === 'IN_PROGRESS' ? kept.leaseEndsAtMs - judgedMs : 0,
    format: 'twiceshy',
  };
}
