import {
  NO_STEPS,
  type AbandonedRule,
  type Lease,
  type StoreKey,
  type StoredRecord,
} from '../../core/record.js';
import type { ClaimAnswer, Settlement } from '../../core/store.js';

/** A record as the memory store keeps it. */
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
  /** While in progress. */
  readonly leaseEndsAtMs: number;
  readonly createdAtMs: number;
  readonly settledAtMs: number | undefined;
  readonly expiresAtMs: number;
  readonly payload: string | undefined;
  readonly steps: Lease['steps'];
  /** What the claim replaced, so that it can be undone. */
  readonly prior: Kept | undefined;
  hitCount: number;
}

/** The wall clock at the start of the process, moved on by the monotonic one. */
export function nowMs(): number {
  return Math.floor(performance.timeOrigin + performance.now());
}

/** Whether a claim that names `replacing` may replace the record. */
export function isOpen(found: Kept, replacing: string | undefined): boolean {
  if (found.status === 'TOMBSTONE') return true;
  if (found.token !== replacing) return false;
  return found.status === 'IN_PROGRESS' ? found.leaseEndsAtMs <= nowMs() : !found.final;
}

export function granted(kept: Kept): ClaimAnswer {
  const { token, fence, attempt, failures, previousToken, createdAtMs, leaseEndsAtMs, steps } = kept;
  const previousEnd = kept.previousEnd === 'withdrawn' ? undefined : kept.previousEnd;
  const grant = {
    ...{ token, fence, attempt, failures, previousToken, previousEnd },
    ...{ createdAtMs, leaseEndsAtMs, steps },
  };
  return { kind: 'acquired', grant };
}

export function lineage(replaced: Kept | undefined, now: number) {
  if (!replaced)
    return {
      ...{ attempt: 1, failures: 0, previousToken: undefined, previousEnd: undefined },
      ...{ createdAtMs: now, steps: NO_STEPS },
    };
  return {
    attempt: replaced.attempt + 1,
    failures: replaced.failures,
    previousToken: replaced.token,
    previousEnd: replaced.status === 'FAILED' ? ('settled' as const) : ('abandoned' as const),
    createdAtMs: replaced.createdAtMs,
    steps: replaced.steps,
  };
}

/** A record in progress as its owner knows it, to be written over absence. */
export function rewritten(
  key: StoreKey,
  lease: Omit<Lease, 'leaseMs' | 'unsettledRetentionMs' | 'leaseEndsAtMs'>,
): Kept {
  const { token, previousToken, previousEnd, fence, attempt, failures } = lease;
  const { fingerprint, onAbandoned, createdAtMs, steps } = lease;
  return {
    ...{ token, previousToken, previousEnd, fence, attempt, failures, fingerprint, onAbandoned, createdAtMs },
    steps,
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

/** The record after its attempt ended: IN_PROGRESS is abandoned at once. */
export function ended(running: Kept, settlement: Settlement, unsettledRetentionMs: number): Kept {
  const { status, final, failures, payload, retentionMs } = settlement;
  const now = nowMs();
  const settled = {
    ...running,
    ...{ status, final, failures, prior: undefined, steps: final ? NO_STEPS : running.steps },
  };
  if (status === 'IN_PROGRESS') {
    return { ...settled, payload: undefined, leaseEndsAtMs: now, expiresAtMs: now + unsettledRetentionMs };
  }
  return { ...settled, payload, leaseEndsAtMs: 0, settledAtMs: now, expiresAtMs: now + retentionMs };
}

/** Marked so that a late claim of `token` is not granted. */
export function withdrawn(kept: Kept, token: string): Kept {
  return { ...kept, previousToken: token, previousEnd: 'withdrawn' };
}

export function asRecord(kept: Kept): StoredRecord {
  const { status, final, token, fence, attempt, failures, fingerprint, onAbandoned } = kept;
  const { createdAtMs, settledAtMs, expiresAtMs, hitCount, payload } = kept;
  return {
    ...{ final, token, fence, attempt, failures, fingerprint, onAbandoned },
    ...{ createdAtMs, settledAtMs, expiresAtMs, hitCount, payload },
    // Only a claim that comes after its own withdrawal meets a tombstone here: there is nothing to replay.
    status: status === 'TOMBSTONE' ? 'FAILED' : status,
    leaseRemainingMs: status === 'IN_PROGRESS' ? kept.leaseEndsAtMs - nowMs() : 0,
    format: 'twiceshy',
  };
}
