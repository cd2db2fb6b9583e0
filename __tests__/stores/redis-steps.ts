import type { Lease, StoreKey } from '../../src/core/record.js';
import type { ClaimRequest, LeaseStore, Settlement } from '../../src/core/store.js';
import { keyAt } from '../support/keys.js';

let counter = 0;

export const KEY: StoreKey = keyAt('idempotency:ChargeTask:order-1', 'abcdef');
export const DONE: Settlement = {
  ...{ status: 'COMPLETED', final: true, failures: 0 },
  ...{ payload: '"done"', retentionMs: 60_000 },
};

export function request(overrides: Partial<ClaimRequest> = {}): ClaimRequest {
  return {
    token: `token-${String(++counter).padStart(10, '0')}`,
    ...{ replacing: undefined, leaseMs: 5_000, unsettledRetentionMs: 60_000 },
    ...{ onAbandoned: 'retry', fingerprint: undefined },
    ...overrides,
  };
}

export async function claim(store: LeaseStore, key: StoreKey): Promise<Lease> {
  const terms = request();
  const answer = await store.claim(key, terms);
  if (answer.kind !== 'acquired') throw new Error('expected a lease');
  return { ...terms, ...answer.grant };
}
