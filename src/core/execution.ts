import { RunningAttempt } from './attempt.js';
import { callStore } from './calls.js';
import { OutcomeError } from './errors.js';
import type { EventDetail, EventName } from './events.js';
import { Latch } from './latch.js';
import { settledRecord } from './local-record.js';
import { Heartbeat, type Leaseholder } from './heartbeat.js';
import type { EngineParts, Operation } from './operation.js';
import type { RunPolicy } from './options.js';
import type { Answer, Outcome } from './outcome.js';
import type { Lease, StoredRecord } from './record.js';
import { Steps, type StepHolder } from './steps.js';
import type { Settlement } from './store.js';
import { encodeWithin } from './value.js';

/** How an execution ended, and what its duplicates are to see. */
export interface Ending<T> {
  readonly outcome: Outcome<T>;
  readonly by: 'work' | 'reconcile';
  readonly fate: 'recorded' | 'unrecorded' | 'superseded' | 'released';
  /** Whether it is the last word on the key. */
  readonly final: boolean;
  readonly record: (() => StoredRecord) | undefined;
}

/** One attempt: heartbeat, work, encode, settle. */
export class Execution<T> implements Leaseholder, StepHolder {
  readonly policy: RunPolicy;
  readonly attempt: RunningAttempt;
  /** How it ended, also after the lease was lost. */
  readonly ended = new Latch<Ending<T>>();
  /** Called when it has ended. */
  onEnded: (() => void) | undefined;
  /** Called once an unrecorded ending has been recorded, or never can be. */
  onSettledLate: (() => void) | undefined;
  readonly #heartbeat: Heartbeat;
  readonly isProtected: boolean;
  #answer: ((ending: Ending<T> | undefined) => void) | undefined;
  /** Whose outcome it is. */
  #by: 'work' | 'reconcile' = 'work';

  /** @param claimSentMs when the claim was sent; undefined for work that runs unprotected */
  constructor(
    private readonly parts: EngineParts,
    private readonly op: Operation<T>,
    lease: Lease,
    claimSentMs: number | undefined,
  ) {
    this.isProtected = claimSentMs !== undefined;
    const derive = (failures: number, name: string) => parts.deriveKey(op.key, failures, name);
    const makeSteps = () => new Steps(parts, op, this.attempt, this);
    this.attempt = new RunningAttempt(op.label.key, lease, derive, makeSteps);
    this.policy = op.policy;
    this.#heartbeat = new Heartbeat(this, claimSentMs ?? 0);
  }

  renew(): Promise<number | false> {
    return this.parts.store.renew(this.op.key, this.attempt.lease);
  }

  renewed(leaseEndsAtMs: number): void {
    this.attempt.lease = { ...this.attempt.lease, leaseEndsAtMs };
  }

  failed(error: unknown): void {
    this.emit('store-error', { error });
  }

  lose(why: string): void {
    const message = `${this.#title} lost its lease while it ran: ${why}; another attempt may run it`;
    const error = new OutcomeError('LEASE_LOST', message);
    this.attempt.lose(error);
    this.emit('lease-lost', { error });
    this.#answer?.(undefined);
  }

  /** Whether the work may start: the claim's answer did not come after the lease was over (G4). */
  get holds(): boolean {
    return !this.isProtected || this.#heartbeat.holds;
  }

  assertHolds(): void {
    if (!this.isProtected || this.#heartbeat.holds) return;
    // The clock may know it before the heartbeat does.
    if (!this.attempt.lost && !this.ended.value)
      this.#heartbeat.lose('its length has passed since it was last granted');
    throw (
      this.attempt.lost ?? new OutcomeError('LEASE_LOST', `${this.#title} has ended: its steps come too late`)
    );
  }

  refused(): void {
    if (!this.attempt.lost) this.#heartbeat.lose('another attempt, a person or a tombstone holds the record');
  }

  /** What its own caller is told of an ending. */
  answer({ outcome, by, fate }: Ending<T>): Answer<T> {
    const { attempt, previousEnd } = this.attempt.lease;
    const tookOver = previousEnd === 'abandoned';
    return { kind: 'ran', by, attempt, tookOver, outcome, recorded: fate !== 'unrecorded' };
  }

  get #title(): string {
    return `${this.op.label.name} "${this.op.label.key}"`;
  }

  emit(event: EventName, more?: Partial<EventDetail>): void {
    this.parts.events.emit(event, this.op.label, this.attempt.lease, more);
  }

  /** Runs it. Resolves with its ending, or with undefined as soon as the lease is lost. */
  run(reconcileFirst: boolean): Promise<Ending<T> | undefined> {
    return new Promise((resolve) => {
      this.#answer = resolve;
      void this.#run(reconcileFirst);
    });
  }

  // One long function with few promises: this is what a first run costs.
  async #run(reconcileFirst: boolean): Promise<void> {
    this.emit('miss');
    if (this.isProtected) this.#heartbeat.start();
    let outcome: Outcome<T>;
    try {
      outcome = await this.#work(reconcileFirst);
    } catch (error) {
      outcome = { kind: 'unknown', error };
    }
    this.#heartbeat.stop();
    if ('fault' in outcome) this.emit('no-verdict', { error: outcome.fault });
    if (outcome.kind === 'released') {
      if (!this.attempt.hasRunSteps) return this.#end(await this.#release(outcome));
      // Not undone as if nothing had happened: a step did.
      outcome = { kind: 'failed', error: outcome.error, final: false };
    }
    // An aborted attempt may have failed only because it was aborted: nobody can say.
    if (outcome.kind === 'failed' && this.attempt.lost) outcome = { kind: 'unknown', error: outcome.error };
    const settlement = this.#settlement(outcome);
    if (!settlement.final) await this.attempt.flushSteps();
    const ending = (fate: Ending<T>['fate']) => this.#ending(outcome, settlement, fate);
    const command = () => this.parts.store.settle(this.op.key, this.attempt.lease, settlement);
    // Unprotected work has waited one deadline for the store already.
    if (!this.isProtected) return this.#settleLater(ending('unrecorded'), command);
    let recorded: boolean;
    try {
      recorded = await callStore('record an outcome', command, this.policy.storeTimeoutMs);
    } catch (error) {
      this.emit('unrecorded', { error });
      return this.#settleLater(ending('unrecorded'), command);
    }
    if (!recorded) this.emit('superseded');
    this.#end(ending(recorded ? 'recorded' : 'superseded'));
  }

  #ending(outcome: Outcome<T>, settlement: Settlement, fate: Ending<T>['fate']): Ending<T> {
    const { final } = settlement;
    return {
      outcome,
      by: this.#by,
      fate,
      final,
      record: () => settledRecord(this.attempt.lease, settlement),
    };
  }

  #end(ending: Ending<T>): void {
    this.ended.set(ending);
    this.onEnded?.();
    this.#answer?.(ending);
  }

  #work(reconcileFirst: boolean): Promise<Outcome<T>> {
    const { op, attempt } = this;
    return this.parts.enter(attempt, op.key, () => {
      op.onStart?.(attempt);
      if (!reconcileFirst || !op.reconcile) return op.work(attempt);
      this.#by = 'reconcile';
      return op.reconcile(attempt).then((found) => {
        if (found !== 'run') return found;
        this.#by = 'work';
        return op.work(attempt);
      });
    });
  }

  async #release(outcome: Outcome<T>): Promise<Ending<T>> {
    const { policy, key } = this.op;
    const { token } = this.attempt.lease;
    const command = () => this.parts.store.release(key, token);
    try {
      await callStore('release a claim', command, policy.storeTimeoutMs);
    } catch (error) {
      this.emit('store-error', { error });
      withdraw(this.parts, this.op, token);
    }
    return { outcome, by: this.#by, fate: 'released', final: false, record: undefined };
  }

  #settleLater(ending: Ending<T>, command: () => Promise<boolean>): void {
    this.parts.background.start({
      operation: 'record an outcome',
      command,
      saves: true,
      ...patienceOf(this.op.policy, this.op.policy.leaseMs),
      onDone: (recorded) => {
        this.emit(recorded === true ? 'recorded-late' : 'superseded');
        this.onSettledLate?.();
      },
      onGivenUp: (error) => {
        this.emit('store-error', { error });
        this.onSettledLate?.();
      },
    });
    this.#end(ending);
  }

  #settlement(outcome: Outcome<T>): Settlement {
    const { ttlMs, maxResultBytes } = this.op.policy;
    const { failures } = this.attempt.lease;
    if (outcome.kind === 'unknown') {
      return { status: 'IN_PROGRESS', final: false, failures, payload: undefined, retentionMs: ttlMs };
    }
    const status = outcome.kind === 'completed' ? 'COMPLETED' : 'FAILED';
    const payload = this.#encode(outcome, maxResultBytes);
    const isFinal = outcome.kind !== 'failed' || outcome.final;
    const counted = outcome.kind === 'failed' && outcome.definite ? 1 : 0;
    return { status, final: isFinal, failures: failures + counted, payload, retentionMs: ttlMs };
  }

  #encode(outcome: Outcome<T>, maxResultBytes: number): string | undefined {
    const encoded = encodeWithin(this.parts.encode, outcome, maxResultBytes, this.op.label);
    if ('text' in encoded) return encoded.text;
    this.emit('no-value', { path: encoded.path, error: encoded.error });
    return undefined;
  }
}

/**
 * Undoes a claim in the background, also one that the store has yet to execute. The store keeps a mark for such a one, but
 * not in the record of another attempt that runs just then: so one that undid nothing is said again a deadline later, when
 * what was on its way has arrived.
 */
export function withdraw<T>(parts: EngineParts, { key, policy }: Operation<T>, token: string): void {
  const { storeTimeoutMs } = policy;
  const command = () => parts.store.release(key, token);
  const chore = { operation: 'withdraw a claim', command, ...patienceOf(policy, storeTimeoutMs) };
  const again = () => parts.background.start({ ...chore, afterMs: storeTimeoutMs });
  parts.background.start({ ...chore, onDone: (undone) => (undone === true ? undefined : again()) });
}

/** How long the store is told in the background what it could not be told in time. */
function patienceOf({ storeTimeoutMs, ttlMs }: RunPolicy, keepAliveMs: number) {
  return { timeoutMs: storeTimeoutMs, giveUpAfterMs: ttlMs, keepAliveMs };
}
