import { grantedLease, NO_STEPS, settledNotes, type Lease, type StoredRecord } from '../record.js';
import type { ClaimRequest, Settlement } from '../store.js';

/** Records as callers of this process see them, without asking the store. */

/** The lease of work that runs although the store could not be asked. Fence 0 says so. */
export function unprotectedLease(request: ClaimRequest): Lease {
  const nowMs = Date.now();
  return grantedLease(request, {
    token: request.token,
    fence: 0,
    attempt: 1,
    failures: 0,
    previousToken: undefined,
    previousEnd: undefined,
    createdAtMs: nowMs,
    startedAtMs: nowMs,
    leaseEndsAtMs: Infinity,
    steps: NO_STEPS,
  });
}

/** An attempt that runs. */
export function runningRecord(lease: Lease): StoredRecord {
  return {
    ...lease,
    status: 'IN_PROGRESS',
    final: false,
    restored: false,
    notes: lease.notes,
    leaseRemainingMs: lease.leaseMs,
    settledAtMs: undefined,
    expiresAtMs: lease.leaseEndsAtMs + lease.unsettledRetentionMs,
    hitCount: 0,
    payload: undefined,
    format: 'twiceshy',
  };
}

/** An attempt that has ended. */
export function settledRecord(lease: Lease, settlement: Settlement): StoredRecord {
  const nowMs = Date.now();
  return {
    ...lease,
    ...settlement,
    restored: false,
    notes: settledNotes(lease.notes),
    leaseRemainingMs: 0,
    settledAtMs: settlement.status === 'IN_PROGRESS' ? undefined : nowMs,
    expiresAtMs: nowMs + settlement.retentionMs,
    hitCount: 0,
    format: 'twiceshy',
  };
}
