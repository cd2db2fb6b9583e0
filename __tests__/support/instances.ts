import type { IdempotencyOptions } from '../../src/idempotency/api.js';
import { createIdempotency, type Idempotency } from '../../src/idempotency/idempotency.js';
import type { EventDetail, EventName } from '../../src/core/events.js';
import type { ClaimRequest } from '../../src/core/store.js';
import { newToken } from '../../src/core/token.js';
import { composeNamespace, storeKey } from '../../src/keys/index.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { FaultyStore } from './faulty-store.js';

export interface TestProcess extends Idempotency {
  readonly faulty: FaultyStore;
}

const SILENT = {};

/** One memory store, and any number of "processes" on it that share nothing else. */
export function world() {
  const store = new InMemoryStore();
  const process = (options: Partial<IdempotencyOptions> = {}): TestProcess => {
    const faulty = new FaultyStore(store);
    const idempotency = createIdempotency({ store: faulty, name: 'charge', logger: SILENT, ...options });
    return Object.assign(idempotency, { faulty });
  };
  return { store, process };
}

export function placeOf(key: string, name = 'charge') {
  return storeKey(composeNamespace({ prefix: 'idempotency', scope: undefined, name }), key);
}

function claimRequest(more: Partial<ClaimRequest> = {}): ClaimRequest {
  return {
    token: newToken(),
    replacing: undefined,
    leaseMs: 20_000,
    unsettledRetentionMs: 86_400_000,
    onAbandoned: 'retry',
    fingerprint: undefined,
    ...more,
  };
}

/** An owner that claimed the key and died, so long ago that its lease is over. */
export async function crashedOwner(
  store: InMemoryStore,
  key: string,
  more: Partial<ClaimRequest> = {},
): Promise<void> {
  await store.claim(placeOf(key), claimRequest({ leaseMs: 1, ...more }));
  await leaseEnd(store, key);
}

async function leaseEnd(store: InMemoryStore, key: string): Promise<void> {
  while (((await store.read(placeOf(key)))?.leaseRemainingMs ?? 0) > 0)
    await new Promise((r) => setTimeout(r, 1));
}

/** The next event of that name. */
export function nextEvent(idempotency: Idempotency, event: EventName): Promise<EventDetail> {
  return new Promise((resolve) => {
    const off = idempotency.on(event, (detail) => {
      off();
      resolve(detail);
    });
  });
}
