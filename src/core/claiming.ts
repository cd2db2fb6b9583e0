/** What a claim asks for, and how its record looks before the store has said a word about its end. */
import type { Caller } from './caller.js';
import type { Sight } from './flight.js';
import { IN_DOUBT_RETENTION_MS } from './options.js';
import { leaseOf, NO_STEPS, type Grant, type Lease, type StoredRecord } from './record.js';
import type { ClaimRequest } from './store.js';
import { newToken } from './token.js';

/** What stands in for a grant when the store could not be asked: fence 0 says so. */
const UNPROTECTED: Omit<Grant, 'token' | 'createdAtMs' | 'startedAtMs'> = {
  fence: 0,
  attempt: 1,
  failures: 0,
  previousToken: undefined,
  previousEnd: undefined,
  leaseEndsAtMs: Infinity,
  steps: NO_STEPS,
};

/** The lease of an attempt that runs although the store could not be asked. */
export function unprotectedLease(request: ClaimRequest): Lease {
  const nowMs = Date.now();
  return leaseOf(request, { ...UNPROTECTED, token: request.token, createdAtMs: nowMs, startedAtMs: nowMs });
}

export function claimRequest<T>({ op, replacing }: Caller<T>): ClaimRequest {
  const { policy, onAbandoned, fingerprint, notes } = op;
  return {
    token: newToken(),
    replacing,
    leaseMs: policy.leaseMs,
    unsettledRetentionMs: onAbandoned === 'retry' ? policy.ttlMs : IN_DOUBT_RETENTION_MS,
    onAbandoned,
    fingerprint,
    notes,
  };
}

export const sightOf = (record: StoredRecord): Sight => ({ kind: 'record', record });

/** An attempt of this process, as its joiners see it. */
export function inProgress(lease: Lease): StoredRecord {
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
