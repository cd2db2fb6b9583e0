import type { Lease, StoreKey, StoredRecord } from '../../src/core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Settlement } from '../../src/core/store.js';

/** A store under test, and what its clock needs to go on where that is not the real one. */
export interface ContractSubject {
  readonly store: LeaseStore;
  advance?(ms: number): Promise<void>;
  close?(): Promise<void>;
}

export const LEASE_MS = 200;
export const UNSETTLED_MS = 5_000;
let counter = 0;

/** One store and one fresh key, with the steps that the tests are made of. */
export class Bench {
  readonly store: LeaseStore;
  readonly key: StoreKey = freshKey();
  readonly #advance: (ms: number) => Promise<void>;

  constructor(subject: ContractSubject) {
    this.store = subject.store;
    this.#advance =
      subject.advance?.bind(subject) ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  }

  async claim(overrides: Partial<ClaimRequest> = {}): Promise<Lease> {
    const request = newRequest(overrides);
    const answer = await this.store.claim(this.key, request);
    if (answer.kind !== 'acquired') throw new Error(`expected a lease, got ${JSON.stringify(answer.record)}`);
    return leaseOf(answer, request);
  }

  async refused(overrides: Partial<ClaimRequest> = {}): Promise<StoredRecord> {
    const answer = await this.store.claim(this.key, newRequest(overrides));
    if (answer.kind !== 'existing') throw new Error('expected the existing record, got a lease');
    return answer.record;
  }

  settle(lease: Lease, overrides: Partial<Settlement> = {}): Promise<boolean> {
    return this.store.settle(this.key, lease, settlement(overrides));
  }

  async failed(overrides: Partial<ClaimRequest> = {}): Promise<Lease> {
    const lease = await this.claim(overrides);
    await this.settle(lease, {
      status: 'FAILED',
      final: false,
      failures: lease.failures + 1,
      payload: 'why',
    });
    return lease;
  }

  /** A lease that ran out. */
  async abandoned(overrides: Partial<ClaimRequest> = {}): Promise<Lease> {
    const lease = await this.claim({ leaseMs: 50, ...overrides });
    await this.untilAbandoned();
    return lease;
  }

  async untilAbandoned(): Promise<void> {
    await this.until(async () => ((await this.store.read(this.key))?.leaseRemainingMs ?? 1) <= 0);
  }

  async untilGone(): Promise<void> {
    await this.until(async () => (await this.store.read(this.key)) === undefined);
  }

  async until(condition: () => boolean | Promise<boolean>): Promise<void> {
    for (let round = 0; round < 1_000; round++) {
      if (await condition()) return;
      await this.#advance(5);
    }
    throw new Error('waited in vain');
  }
}

export function freshKey(address = `contract:Task:${process.pid}-${Date.now()}-${++counter}`): StoreKey {
  return { address, digest: 'abc-_1' };
}

export function newToken(): string {
  return `token-${(++counter).toString(36).padStart(10, '0')}`;
}

export function newRequest(overrides: Partial<ClaimRequest>): ClaimRequest {
  return {
    token: newToken(),
    replacing: undefined,
    leaseMs: LEASE_MS,
    unsettledRetentionMs: UNSETTLED_MS,
    onAbandoned: 'retry',
    fingerprint: undefined,
    ...overrides,
  };
}

function leaseOf(answer: Extract<ClaimAnswer, { kind: 'acquired' }>, request: ClaimRequest): Lease {
  const { leaseMs, unsettledRetentionMs, onAbandoned, fingerprint } = request;
  return { ...answer.grant, leaseMs, unsettledRetentionMs, onAbandoned, fingerprint };
}

export function settlement(overrides: Partial<Settlement> = {}): Settlement {
  return {
    status: 'COMPLETED',
    final: true,
    failures: 0,
    payload: '"done"',
    retentionMs: 60_000,
    ...overrides,
  };
}

/** The part of a record that does not depend on when it was looked at. */
export function lasting(record: StoredRecord | undefined): Partial<StoredRecord> {
  if (!record) return {};
  const { status, final, token, fence, attempt, failures, payload, fingerprint, onAbandoned, createdAtMs } =
    record;
  return { status, final, token, fence, attempt, failures, payload, fingerprint, onAbandoned, createdAtMs };
}

/** The same store at a key where the lease's record is lost: a server that came back without data. */
export class LostBench {
  readonly store: LeaseStore;
  readonly key = freshKey();

  constructor(
    bench: Bench,
    private readonly lease: Lease,
  ) {
    this.store = bench.store;
  }

  settle(overrides: Partial<Settlement>): Promise<boolean> {
    return this.store.settle(this.key, this.lease, settlement(overrides));
  }
}
