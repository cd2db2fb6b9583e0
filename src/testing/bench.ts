import { grantedLease, type Lease, type StoreKey, type StoredRecord } from '../core/record.js';
import type { ClaimRequest, LeaseStore, Replacement, Settlement } from '../core/store.js';
import { newToken } from '../core/token.js';
import type { ContractPart, ContractSubject, ContractTerms } from './options.js';

/** Declares one test of the contract. It is skipped if any of its parts is skipped. */
export type ContractTest = (
  title: string,
  body: (bench: Bench) => Promise<void>,
  ...parts: ContractPart[]
) => void;

const ROUND_MS = 5;
const REAL_TIME = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
let addresses = 0;

/** One store and one key, with the operations that the contract's tests use. */
export class Bench {
  readonly store: LeaseStore;

  /** @param instances receives the stores that `another()` opens, to be closed after the test */
  constructor(
    private readonly subject: ContractSubject,
    readonly terms: ContractTerms,
    readonly key: StoreKey = freshKey(),
    private readonly instances: LeaseStore[] = [],
  ) {
    this.store = subject.store;
  }

  /** The same store with another key: for a record that never existed, or was lost. */
  elsewhere(key: StoreKey = freshKey()): Bench {
    return new Bench(this.subject, this.terms, key, this.instances);
  }

  /**
   * The same key through another instance of the store.
   * @throws Error if the factory provides none, so that no test is skipped silently
   */
  async another(): Promise<Bench> {
    const { subject, terms, key } = this;
    const store = await subject.another?.();
    if (!store) {
      const advice = 'Where the store has none, pass { skip: { "several instances": "<why>" } }';
      throw new Error(`the factory's subject has no another(), which opens a second instance. ${advice}`);
    }
    if (store === this.store)
      throw new Error('another() returned the store itself: it must return another instance');
    this.instances.push(store);
    const advance = subject.advance?.bind(subject);
    return new Bench({ store, ...(advance && { advance }) }, terms, key);
  }

  request(overrides: Partial<ClaimRequest> = {}): ClaimRequest {
    return {
      token: newToken(),
      replacing: undefined,
      leaseMs: this.terms.leaseMs,
      unsettledRetentionMs: this.terms.unsettledMs,
      onAbandoned: 'retry',
      fingerprint: undefined,
      ...overrides,
    };
  }

  async claim(overrides: Partial<ClaimRequest> = {}): Promise<Lease> {
    const request = this.request(overrides);
    const answer = await this.store.claim(this.key, request);
    if (answer.kind !== 'acquired') throw new Error(`expected a lease, got ${JSON.stringify(answer.record)}`);
    return grantedLease(request, answer.grant);
  }

  async refused(overrides: Partial<ClaimRequest> = {}): Promise<StoredRecord> {
    const answer = await this.store.claim(this.key, this.request(overrides));
    if (answer.kind !== 'existing') throw new Error('expected the existing record, got a lease');
    return answer.record;
  }

  settle(lease: Lease, overrides: Partial<Settlement> = {}): Promise<boolean> {
    return this.store.settle(this.key, lease, settlement(overrides));
  }

  renew(lease: Lease): Promise<number | false> {
    return this.store.renew(this.key, lease);
  }

  step(lease: Lease, name: string, payload: string | undefined = name): Promise<boolean> {
    return this.store.step(this.key, lease, { name, payload });
  }

  release(token: string): Promise<boolean> {
    return this.store.release(this.key, token);
  }

  read(): Promise<StoredRecord | undefined> {
    return this.store.read(this.key);
  }

  override(replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    return this.store.override(this.key, replacement);
  }

  forget(force = false): Promise<'done' | 'absent' | 'live'> {
    return this.override({ kind: 'forget', force });
  }

  /** Claims, and settles as a failure that may be retried. */
  async failed(overrides: Partial<ClaimRequest> = {}): Promise<Lease> {
    const lease = await this.claim(overrides);
    await this.settleFailed(lease);
    return lease;
  }

  settleFailed(lease: Lease): Promise<boolean> {
    return this.settle(lease, { ...FAILED, failures: lease.failures + 1 });
  }

  /** Settles with an unknown outcome: the record is abandoned at once. */
  settleUnknown(lease: Lease): Promise<boolean> {
    return this.settle(lease, {
      status: 'IN_PROGRESS',
      final: false,
      failures: lease.failures,
      payload: undefined,
    });
  }

  /** Claims, and waits until the lease has ended. */
  async abandoned(overrides: Partial<ClaimRequest> = {}): Promise<Lease> {
    const lease = await this.claim({ leaseMs: this.terms.shortLeaseMs, ...overrides });
    await this.untilAbandoned();
    return lease;
  }

  async untilAbandoned(): Promise<void> {
    await this.until('a lease to end', async () => ((await this.read())?.leaseRemainingMs ?? 1) <= 0);
  }

  async untilGone(): Promise<void> {
    await this.until('a record to expire', async () => (await this.read()) === undefined);
  }

  /** Waits in rounds by the store's clock, so that a slow machine gets as many rounds as a fast one. */
  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    const advance = this.subject.advance?.bind(this.subject) ?? REAL_TIME;
    for (let waitedMs = 0; waitedMs <= this.terms.maxWaitMs; waitedMs += ROUND_MS) {
      if (await condition()) return;
      await advance(ROUND_MS);
    }
    throw new Error(`waited ${this.terms.maxWaitMs} ms for ${what}, which did not happen`);
  }
}

const FAILED = { status: 'FAILED', final: false, payload: 'why' } as const;

export function freshKey(address?: string): StoreKey {
  const key = `${newToken()}-${++addresses}`;
  const parts = { prefix: 'contract', scope: undefined, operation: 'Task', key };
  return { ...parts, address: address ?? `contract:Task:${key}`, digest: 'abc-_1' };
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

/** The part of a record that does not change by a claim and its release, nor by the time when it is read. */
export function lasting(record: StoredRecord | undefined): Partial<StoredRecord> {
  if (!record) return {};
  const { status, final, token, attempt, failures, payload, fingerprint, onAbandoned, notes } = record;
  const { createdAtMs, startedAtMs } = record;
  return {
    ...{ status, final, token, attempt, failures, payload, fingerprint, onAbandoned, notes },
    ...{ createdAtMs, startedAtMs },
  };
}
