import { callStore } from '../call-store.js';
import { Latch } from './latch.js';
import { settledRecord } from './local-record.js';
import type { EngineParts, Operation } from '../operation.js';
import type { Answer, Outcome } from '../outcome.js';
import type { Lease, StoredRecord } from '../record.js';
import type { Settlement } from '../store.js';
import { encodeWithin } from './encode-within.js';
import { HeldLease } from './held-lease.js';
import { RunningAttempt } from './running-attempt.js';

/** How an execution ended. */
export interface Ending<T> {
  readonly outcome: Outcome<T>;
  readonly by: 'work' | 'reconcile';
  /** `unrecorded`: the store was not told in time; it is told later. */
  readonly fate: 'recorded' | 'unrecorded' | 'superseded' | 'released';
  /** What is recorded, or will be; undefined where the claim was undone. */
  readonly settlement: Settlement | undefined;
  /** Whether this process answers with it until the store has it (G7). */
  readonly isKept: boolean;
}

/** One attempt from its claim to its record: keeps the lease, runs the work, encodes its outcome, settles. */
export class Execution<T> {
  readonly attempt: RunningAttempt;
  readonly held: HeldLease;
  /** How it ended, also after the lease was lost. */
  readonly ended = new Latch<Ending<T>>();

  /** @param claimSentMs when the claim was sent; undefined for work that runs unprotected */
  constructor(
    private readonly parts: EngineParts,
    private readonly op: Operation<T>,
    lease: Lease,
    claimSentMs: number | undefined,
  ) {
    this.held = new HeldLease(parts, op, lease, claimSentMs);
    this.attempt = new RunningAttempt(parts, op, this.held);
  }

  /** Runs it. Resolves with its ending, or with `'lost'` as soon as the lease is lost: the work may still go on then. */
  run(reconcileFirst: boolean): Promise<Ending<T> | 'lost'> {
    return new Promise((resolve, reject) => {
      this.held.emit('miss');
      this.held.keep(() => resolve('lost'));
      this.#run(reconcileFirst).then((ending) => {
        this.ended.set(ending);
        resolve(ending);
      }, reject);
    });
  }

  /** What its own caller is told of an ending. */
  answer({ outcome, by, fate }: Ending<T>): Answer<T> {
    const { attempt, previousEnd } = this.held.lease;
    const tookOver = previousEnd === 'abandoned';
    return { kind: 'ran', by, attempt, tookOver, outcome, recorded: fate !== 'unrecorded' };
  }

  /** What others see of an ending; undefined where there is nothing to see. */
  record({ settlement }: Ending<T>): StoredRecord | undefined {
    return settlement && settledRecord(this.held.lease, settlement);
  }

  async #run(reconcileFirst: boolean): Promise<Ending<T>> {
    const { attempt, held, op } = this;
    const reconcile = reconcileFirst ? op.reconcile : undefined;
    let by: Ending<T>['by'] = reconcile ? 'reconcile' : 'work';
    let outcome: Outcome<T>;
    try {
      if (op.onStart) this.#enter(op.onStart);
      let found: Outcome<T> | 'run' = reconcile ? await this.#enter(reconcile) : 'run';
      if (found === 'run') {
        by = 'work';
        found = await this.#enter(op.work);
      }
      outcome = found;
    } catch (error) {
      outcome = { kind: 'unknown', error };
    }
    held.end();
    const judged = this.#judge(outcome);
    if (judged.kind === 'released') return this.#release(judged, by);
    const settlement = this.#settlement(judged);
    if (!settlement.final) await attempt.flushSteps();
    // Unprotected work has waited one deadline for the store already.
    if (!held.isProtected) return this.#settleLater(judged, by, settlement);
    let recorded: boolean;
    try {
      const command = () => this.parts.store.settle(op.key, held.lease, settlement);
      recorded = await callStore('record an outcome', command, op.policy.storeTimeoutMs);
    } catch (error) {
      held.emit('unrecorded', { error });
      return this.#settleLater(judged, by, settlement);
    }
    if (!recorded) held.emit('superseded');
    return { outcome: judged, by, fate: recorded ? 'recorded' : 'superseded', settlement, isKept: false };
  }

  /** The outcome, after what is known of the attempt besides. */
  #judge(outcome: Outcome<T>): Outcome<T> {
    if ('fault' in outcome) this.held.emit('no-verdict', { error: outcome.fault });
    // A step has run, so that the claim can't be undone as if nothing had happened.
    if (outcome.kind === 'released' && this.attempt.hasRunSteps)
      return this.#judge({ kind: 'failed', error: outcome.error, final: false });
    // An aborted attempt may have failed only because it was aborted: nobody can say.
    if (outcome.kind === 'failed' && this.held.lost) return { kind: 'unknown', error: outcome.error };
    return outcome;
  }

  /** Calls code of the user's, so that `currentAttempt()` finds the attempt. */
  #enter<R>(run: (attempt: RunningAttempt) => R): R {
    const { attempt } = this;
    return this.parts.enter(attempt, this.op.key, () => run(attempt));
  }

  async #release(outcome: Outcome<T>, by: Ending<T>['by']): Promise<Ending<T>> {
    const { policy, key } = this.op;
    const { token } = this.held.lease;
    try {
      await callStore('release a claim', () => this.parts.store.release(key, token), policy.storeTimeoutMs);
    } catch (error) {
      this.held.emit('store-error', { error });
      this.parts.background.withdraw(key, token, policy);
    }
    return { outcome, by, fate: 'released', settlement: undefined, isKept: false };
  }

  #settleLater(outcome: Outcome<T>, by: Ending<T>['by'], settlement: Settlement): Ending<T> {
    const { key, policy } = this.op;
    const kept = this.parts.background.settle(key, this.held.lease, settlement, policy);
    const isKept = kept !== undefined && settlement.final;
    return { outcome, by, fate: 'unrecorded', settlement: kept ?? settlement, isKept };
  }

  #settlement(outcome: Exclude<Outcome<T>, { kind: 'released' }>): Settlement {
    const { ttlMs } = this.op.policy;
    const { failures } = this.held.lease;
    if (outcome.kind === 'unknown')
      return { status: 'IN_PROGRESS', final: false, failures, payload: undefined, retentionMs: ttlMs };
    const payload = this.#encode(outcome);
    if (outcome.kind === 'completed') {
      const { retentionMs = ttlMs } = outcome;
      return { status: 'COMPLETED', final: true, failures, payload, retentionMs };
    }
    const { final, definite } = outcome;
    return {
      status: 'FAILED',
      final,
      failures: definite ? failures + 1 : failures,
      payload,
      retentionMs: ttlMs,
    };
  }

  #encode(outcome: Outcome<T>): string | undefined {
    const { label, policy } = this.op;
    const encoded = encodeWithin(this.parts.encode, outcome, policy.maxResultBytes, label);
    if ('text' in encoded) return encoded.text;
    this.held.emit('no-value', { path: encoded.path, error: encoded.error });
    return undefined;
  }
}
