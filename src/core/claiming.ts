import type { Caller } from './caller.js';
import type { Sight } from './flight.js';
import { IN_DOUBT_RETENTION_MS } from './options.js';
import type { StoredRecord } from './record.js';
import type { ClaimRequest } from './store.js';
import { newToken } from './token.js';

/** What a caller asks the store for, under a new token. */
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
