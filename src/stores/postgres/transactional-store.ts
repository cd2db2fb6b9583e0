import { isIdempotencyError, OutcomeError, StoreError, UsageError } from '../../core/errors.js';
import {
  grantedLease,
  type Lease,
  type RecordedStep,
  type StoredRecord,
  type StoreKey,
} from '../../core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../../core/store.js';
import type { PostgresDatabase } from './database.js';
import { toPostgresError } from './errors.js';
import * as operations from './operations.js';
import { LOCKED, waitForRow } from './row-lock.js';
import { ENDED_BY_WORK, PostgresSession } from './session.js';

const FIRST_RETRY_MS = 10;
const LONGEST_RETRY_MS = 250;

/**
 * The store that the engine uses for transactions: a claim begins a transaction and keeps it open, settling commits it, releasing
 * rolls it back. So the engine works as with any store, and nothing is visible before the COMMIT.
 *
 * Unlike other stores it applies its own deadlines, because a COMMIT without an answer must not count as a finished effect. So
 * `settle` never rejects. It returns `true` if everything was committed; otherwise `false`, with the reason in the session.
 */
export class PostgresTransactions implements LeaseStore {
  subscribe?: NonNullable<LeaseStore['subscribe']>;
  /** By owner token. */
  readonly #sessions = new Map<string, PostgresSession>();
  /** The leases of the attempts that have a session. */
  readonly #leases = new WeakMap<PostgresSession, Lease>();
  readonly #run: operations.Run;

  constructor(
    private readonly store: LeaseStore,
    private readonly database: PostgresDatabase,
  ) {
    const subscribe = store.subscribe?.bind(store);
    if (subscribe) this.subscribe = subscribe;
    this.#run = (name, values) => database.run(name, values);
  }

  /** Called if notifications do not arrive: waiters poll from now on. */
  stopListening(): void {
    delete this.subscribe;
  }

  /** The transaction of a running attempt. */
  session(token: string): PostgresSession | undefined {
    return this.#sessions.get(token);
  }

  async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    const startedMs = performance.now();
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS)) {
      try {
        return await this.#claim(key, request, startedMs);
      } catch (cause) {
        const error = toPostgresError(cause);
        const isTransient = error instanceof StoreError && error.transient;
        if (!isTransient) throw error;
        // Not transient, because the engine would repeat the claim for as long as it may wait for a COMMIT.
        if (performance.now() - startedMs > this.database.timeoutMs)
          throw new StoreError('STORE_UNAVAILABLE', error.message, { cause: error });
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  }

  async #claim(key: StoreKey, request: ClaimRequest, startedMs: number): Promise<ClaimAnswer> {
    const answer = await waitForRow(this.database.pool, key.address, (lockMs) =>
      this.#begin(key, request, lockMs, startedMs),
    );
    if (answer !== LOCKED) return answer;
    return { kind: 'existing', record: await operations.hidden(this.#run, key, request) };
  }

  async #begin(
    key: StoreKey,
    request: ClaimRequest,
    lockMs: number,
    startedMs: number,
  ): Promise<ClaimAnswer> {
    const { pool, timeoutMs } = this.database;
    const session = await PostgresSession.begin(pool, request.leaseMs, timeoutMs);
    try {
      const waitedUs = (performance.now() - startedMs) * 1_000;
      const row = await operations.claim(this.#within(session), key, request, lockMs);
      const answer = operations.claimAnswer(row, request.token, row.nowUs - waitedUs);
      if (answer.kind === 'acquired') {
        await session.enterWork();
        this.#sessions.set(request.token, session);
        this.#leases.set(session, grantedLease(request, answer.grant));
      } else {
        // Commits the count of a hit. If that is lost, nothing depends on it.
        await session.commit();
      }
      return answer;
    } catch (error) {
      await session.rollback();
      throw error;
    }
  }

  /** The lease is the open transaction. Renewing it only sends a query, so that the server does not end an inactive session. */
  async renew(_key: StoreKey, lease: Lease): Promise<number | false> {
    const session = this.#sessions.get(lease.token);
    if (session?.state !== 'open') return false;
    session.ping();
    return lease.leaseEndsAtMs;
  }

  async step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    const session = this.#sessions.get(lease.token);
    if (session?.state !== 'open') return false;
    return await operations.step(this.#within(session), key, lease, step, undefined);
  }

  async settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    const session = this.#sessions.get(lease.token);
    if (!session) return false;
    try {
      const isCommitted =
        (await this.#record(session, key, lease, settlement)) && (await session.commitWork());
      if (session.endedByWork) await this.#keepFromRunning(session, key, lease, settlement.retentionMs);
      return isCommitted ?? (await this.#readBack(session, key, lease, settlement));
    } finally {
      this.#sessions.delete(lease.token);
    }
  }

  async release(key: StoreKey, token: string): Promise<boolean> {
    const session = this.#sessions.get(token);
    this.#sessions.delete(token);
    await session?.rollbackWork();
    const lease = session?.endedByWork && this.#leases.get(session);
    if (session && lease) await this.#keepFromRunning(session, key, lease, lease.unsettledRetentionMs);
    return session !== undefined;
  }

  read(key: StoreKey): Promise<StoredRecord | undefined> {
    return this.store.read(key);
  }

  override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    return this.store.override(key, replacement);
  }

  /** Writes the record into the transaction. The rows of the work stay only if it completed. */
  async #record(
    session: PostgresSession,
    key: StoreKey,
    lease: Lease,
    settlement: Settlement,
  ): Promise<boolean> {
    if (session.state !== 'open') return false;
    try {
      if (settlement.status !== 'COMPLETED') await session.undoWork();
      if (await operations.settle(this.#within(session), key, lease, settlement, undefined)) return true;
      session.failure = new StoreError(
        'CORRUPT_RECORD',
        `the work removed the record of ${JSON.stringify(key.address)} itself: nothing was kept`,
      );
      await session.rollback();
    } catch (error) {
      session.lose(error);
    }
    return false;
  }

  /**
   * Called if the work ended the transaction itself, so that some of its rows were committed. Records the key as failed, without a
   * value, so that no other attempt writes these rows again. If the result was committed together with the rows, that stays.
   */
  async #keepFromRunning(
    session: PostgresSession,
    key: StoreKey,
    lease: Lease,
    retentionMs: number,
  ): Promise<void> {
    const { failures } = lease;
    const told = await this.store
      .settle(key, lease, { status: 'FAILED', final: true, failures, payload: undefined, retentionMs })
      .then(() => this.store.read(key))
      .then(
        (record) =>
          record?.status === 'COMPLETED'
            ? 'The result was recorded too: duplicates get it'
            : 'The key was recorded as failed, so that it does not run again; check the rows, then forget() the key',
        (error: Error) => `The record could not be written: ${error.message}`,
      );
    session.failure = new UsageError('INVALID_OPTIONS', `${ENDED_BY_WORK}. ${told}`, {
      cause: session.failure,
    });
  }

  /**
   * Finds out whether a COMMIT that was not answered took effect. A release waits for the transaction's row lock, so until the
   * transaction has ended, which the server makes sure of; and its mark keeps the token from writing again. After that, settling
   * again is recognised if the transaction was committed, and refused if not.
   */
  async #readBack(
    session: PostgresSession,
    key: StoreKey,
    lease: Lease,
    settlement: Settlement,
  ): Promise<boolean> {
    const givenUpMs = performance.now() + lease.leaseMs + 2 * this.database.timeoutMs;
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS)) {
      try {
        await this.store.release(key, lease.token);
        const isCommitted = await this.store.settle(key, lease, settlement);
        session.state = isCommitted ? 'committed' : 'gone';
        if (!isCommitted) session.failure = notCommitted(session);
        return isCommitted;
      } catch (cause) {
        const isHopeless = !(
          isIdempotencyError(cause, 'STORE_UNAVAILABLE') && (cause as StoreError).transient
        );
        if (isHopeless || performance.now() > givenUpMs) {
          session.failure = inDoubt(cause);
          return false;
        }
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  }

  #within(session: PostgresSession): operations.Run {
    const executor = { query: session.send.bind(session) };
    return (name, values) => this.database.runOn(executor, name, values);
  }
}

const notCommitted = (session: PostgresSession): StoreError =>
  new StoreError(
    'STORE_UNAVAILABLE',
    'the connection was lost at the COMMIT, which did not take effect: nothing was kept, neither rows nor record; the next call runs it again',
    { cause: session.lostBy, transient: true },
  );

const inDoubt = (cause: unknown): OutcomeError =>
  new OutcomeError(
    'IN_DOUBT',
    'the connection was lost at the COMMIT, and the server could not be reached to find out whether it took effect. Rows and record were ' +
      'kept together or not at all: the next call of the key replays the result, or runs it',
    { cause },
  );
