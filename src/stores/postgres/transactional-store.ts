import { isIdempotencyError, OutcomeError, StoreError, UsageError } from '../../core/errors.js';
import {
  leaseOf,
  type Lease,
  type RecordedStep,
  type StoredRecord,
  type StoreKey,
} from '../../core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../../core/store.js';
import type { PostgresDatabase } from './database.js';
import { toPostgresError } from './errors.js';
import * as operations from './operations.js';
import { answerOf, hidden } from './operations.js';
import { LOCKED, patiently } from './row-lock.js';
import { ENDED_BY_WORK, PostgresSession } from './session.js';

const FIRST_RETRY_MS = 10;
const LONGEST_RETRY_MS = 250;

/**
 * The store as the engine sees it in the transactional mode: a claim begins a transaction and keeps it open, settling commits
 * it, releasing rolls it back. So all that the engine does holds for it, and nothing is visible before the COMMIT.
 *
 * Unlike other stores it has the last word on its deadlines, since a COMMIT that nobody has heard of must not be taken for a
 * finished effect: `settle` never rejects. It answers `true` when all was committed, and else `false`, with the reason in
 * the session.
 */
export class PostgresTransactions implements LeaseStore {
  subscribe?: NonNullable<LeaseStore['subscribe']>;
  /** By owner token. */
  readonly #sessions = new Map<string, PostgresSession>();
  /** Of the attempts that hold a session. */
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

  /** Messages turned out not to arrive: waiters poll from now on. */
  stopListening(): void {
    delete this.subscribe;
  }

  /** The transaction of an attempt that runs. */
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
        // Final, for the engine, which would go on for as long as it waits for a COMMIT.
        if (performance.now() - startedMs > this.database.timeoutMs)
          throw new StoreError('STORE_UNAVAILABLE', error.message, { cause: error });
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  }

  async #claim(key: StoreKey, request: ClaimRequest, startedMs: number): Promise<ClaimAnswer> {
    const answer = await patiently(this.database.pool, key.address, (lockMs) =>
      this.#begin(key, request, lockMs, startedMs),
    );
    if (answer !== LOCKED) return answer;
    return { kind: 'existing', record: await hidden(this.#run, key, request) };
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
      const answer = answerOf(row, request.token, row.nowUs - waitedUs);
      if (answer.kind === 'acquired') {
        await session.enterWork();
        this.#sessions.set(request.token, session);
        this.#leases.set(session, leaseOf(request, answer.grant));
      } else {
        // Of a hit, should it be lost, nobody needs to know.
        await session.commit();
      }
      return answer;
    } catch (error) {
      await session.rollback();
      throw error;
    }
  }

  /** There is nothing to renew but the server's patience with a silent session. */
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

  /** Puts the record beside the rows: those of a success stay, those of anything else are undone. */
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
   * The work ended the transaction itself, and some of its rows were kept. So that no other attempt writes them again, the key
   * is recorded as failed, without a value; where its result was recorded along with the rows, that stands.
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
            ? 'The result was recorded too: a duplicate is given it'
            : 'The key was recorded as failed, so that it does not run again; forget() it when you have looked',
        (error: Error) => `The record could not be written: ${error.message}`,
      );
    session.failure = new UsageError('INVALID_OPTIONS', `${ENDED_BY_WORK}. ${told}`, {
      cause: session.failure,
    });
  }

  /**
   * What became of a COMMIT that was not answered. The mark of a release waits for the transaction to end, which it does
   * within the server's patience, and keeps its token from ever writing again; after that, settling once more is recognised if
   * it was committed, and refused if not.
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
    'the connection was lost at the COMMIT, which was not executed: nothing was kept, neither rows nor record; the next call runs it again',
    { cause: session.lostBy, transient: true },
  );

const inDoubt = (cause: unknown): OutcomeError =>
  new OutcomeError(
    'IN_DOUBT',
    'the connection was lost at the COMMIT, and the server could not be asked since whether it was executed. Rows and record were ' +
      'kept together or not at all: the next call of the key replays the result, or runs it',
    { cause },
  );
