import { afterLoss } from './aftermath.js';
import type { Admission } from './admission.js';
import { callStore } from './calls.js';
import { claimRequest, sightOf } from './claiming.js';
import { Caller } from './caller.js';
import {
  isIdempotencyError,
  StoreError,
  toStoreError,
  wasNeverSent,
  type IdempotencyError,
} from './errors.js';
import type { EventName } from './events.js';
import { Execution, type Ending } from './execution.js';
import { Flight, flightsOf, type Sight } from './flight.js';
import type { EngineParts, Operation } from './operation.js';
import type { Answer } from './outcome.js';
import { LEFT, TIMED_OUT } from './patience.js';
import { runningRecord, unprotectedLease } from './local-record.js';
import { identityOf, leaseOf, type Lease, type StoreKey, type StoredRecord } from './record.js';
import type { ClaimAnswer, ClaimRequest } from './store.js';
import { monotonicMs } from './timers.js';
import { Waiter } from './waiter.js';

/** What a sight of the key means to a caller: its answer, to wait for the end, or to look again. */
type Step<T> = Answer<T> | 'wait' | 'again';

/** The only state machine: claim, execute, settle; and what a duplicate does instead. */
export class Engine {
  readonly #flights: Map<string, Flight>;
  /** The executions that have not ended. */
  readonly #running = new Set<object>();
  /** Set by close(): called when the last execution has ended. */
  #onIdle: (() => void) | undefined;

  constructor(private readonly parts: EngineParts) {
    this.#flights = flightsOf(parts.store);
    parts.background.onSettled = (key, token) => this.#forget(key, token);
  }

  /** Runs the operation, or answers it as a duplicate. Every end is a value, also a lost lease. */
  run<T>(op: Operation<T>): Promise<Answer<T>> {
    const caller = new Caller(op);
    const { admission } = this.parts;
    const answer = admission ? this.#admitted(admission, caller) : this.#look(caller);
    if (!op.signal) return answer;
    return caller.patience
      .unhurried(answer)
      .then((end) => (end === LEFT ? this.#end(caller, caller.gaveUp(LEFT)) : end));
  }

  /** Looks once the call is let in. */
  async #admitted<T>(admission: Admission, caller: Caller<T>): Promise<Answer<T>> {
    const { key, asked, policy } = caller.op;
    const visit = await admission.enter({ key, asked, timeoutMs: policy.storeTimeoutMs });
    if ('refusal' in visit) return this.#end(caller, { kind: 'refused', error: visit.refusal });
    caller.visit = visit;
    return this.#look(caller).finally(() => visit.ends());
  }

  /** Counts and tells how a call ended. Called wherever an answer is returned, so that no call ends unseen. */
  #end<T>(caller: Caller<T>, answer: Answer<T>): Answer<T> {
    const code = answer.kind === 'refused' ? answer.error.code : undefined;
    caller.end(answer, (outcome, durationMs) =>
      this.parts.events.emitEnd(caller.op.label, outcome, durationMs, code),
    );
    return answer;
  }

  /** Starts no new work; resolves when nothing runs here any more and nothing is left to record. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (this.#running.size === 0) resolve();
    });
    await this.parts.background.drained();
  }

  /** The beginning, and where whoever learnt that the key must be looked at again goes on. */
  #look<T>(caller: Caller<T>): Promise<Answer<T>> {
    if (caller.op.signal?.aborted) return Promise.resolve(this.#end(caller, caller.gaveUp(LEFT)));
    const flight = this.#flights.get(caller.identity);
    return flight ? this.#join(flight, caller) : this.#lead(caller);
  }

  async #join<T>(flight: Flight, caller: Caller<T>): Promise<Answer<T>> {
    // What has ended and is not recorded yet stays in the table (G7): its end counts, not that it was seen running.
    const seen = flight.landed.value ?? flight.sighted.value;
    const sight = seen ?? (await caller.patience.within(flight.sighted.wait()));
    if (sight === TIMED_OUT || sight === LEFT) return this.#end(caller, caller.gaveUp(sight));
    if (sight.kind === 'local' || flight.isLocal) caller.followed = 'joined';
    const step = this.#consider(sight, caller);
    if (step === 'wait') return this.#follow(flight, caller);
    return step === 'again' ? this.#look(caller) : this.#end(caller, step);
  }

  async #follow<T>(flight: Flight, caller: Caller<T>): Promise<Answer<T>> {
    this.#emit(flight.isLocal ? 'join' : 'wait', caller, caller.known);
    caller.followed = flight.isLocal ? 'joined' : 'waited';
    caller.known = undefined;
    const end = await flight.follow((landing) => caller.patience.within(landing));
    // Nobody can say that it still runs when nobody could look.
    const blinding = flight.watch?.readError;
    if (end === TIMED_OUT && blinding !== undefined)
      return this.#end(caller, { kind: 'refused', error: toStoreError(blinding, 'read a record') });
    if (end === TIMED_OUT || end === LEFT) return this.#end(caller, caller.gaveUp(end));
    const step = this.#consider(end, caller);
    return step === 'wait' || step === 'again' ? this.#look(caller) : this.#end(caller, step);
  }

  /** What a sight of the key means to this caller. */
  #consider<T>(sight: Sight, caller: Caller<T>): Step<T> {
    if (sight.kind === 'again') return 'again';
    if (sight.kind === 'failed')
      return caller.failsOpen(sight.error) ? 'again' : { kind: 'refused', error: sight.error };
    const record = sight.kind === 'local' ? sight.make() : sight.record;
    const decision = caller.decide(record);
    switch (decision.do) {
      case 'answer':
        this.#emit('hit', caller, record);
        return { kind: 'duplicate', how: decision.how, record };
      case 'refuse':
        return caller.refused(decision, record);
      case 'take':
        caller.replacing = record.token;
        caller.reconciles = decision.as === 'reconcile';
        return 'again';
      case 'wait':
        caller.known = record;
        caller.waitedFor = record;
        if (!caller.awaited || record.fence >= caller.awaited.fence)
          caller.awaited = { fence: record.fence, token: record.token };
        return 'wait';
    }
  }

  /** The first caller of a key in this process: what it meets, the others share. */
  async #lead<T>(caller: Caller<T>): Promise<Answer<T>> {
    if (this.#onIdle) {
      const error = new StoreError('STORE_UNAVAILABLE', 'this instance is closed');
      return this.#end(caller, { kind: 'refused', error });
    }
    const flight = new Flight();
    this.#flights.set(caller.identity, flight);
    if (caller.known) return this.#watch(flight, caller, caller.known);
    for (;;) {
      const request = claimRequest(caller);
      const sentMs = monotonicMs();
      let answer: ClaimAnswer;
      try {
        answer = await this.#claim(caller.op, request);
      } catch (error) {
        return this.#claimFailed(flight, caller, request, toStoreError(error, 'claim a key'));
      }
      if (answer.kind === 'acquired')
        return this.#execute(flight, caller, leaseOf(request, answer.grant), sentMs);
      const step = this.#consider(sightOf(answer.record), caller);
      if (step === 'wait') return this.#watch(flight, caller, answer.record);
      if (step !== 'again') {
        this.#land(flight, caller, sightOf(answer.record));
        return this.#end(caller, step);
      }
    }
  }

  #claim<T>({ key, policy }: Operation<T>, request: ClaimRequest): Promise<ClaimAnswer> {
    return callStore('claim a key', () => this.parts.store.claim(key, request), policy.storeTimeoutMs);
  }

  async #claimFailed<T>(
    flight: Flight,
    caller: Caller<T>,
    request: ClaimRequest,
    error: IdempotencyError,
  ): Promise<Answer<T>> {
    this.#emit('store-error', caller, undefined, error);
    if (caller.failsOpen(error)) {
      this.#emit('unprotected', caller, undefined, error);
      return this.#execute(flight, caller, unprotectedLease(request), undefined);
    }
    // The command may have been executed, or may be yet: no ghost of it may hold the key (G8). Also one that was granted
    // over a record whose steps can't be read.
    const isOfStore = error instanceof StoreError || isIdempotencyError(error, 'STORE_UNAVAILABLE');
    if (isOfStore && !wasNeverSent(error)) this.#withdraw(caller, request.token);
    this.#land(flight, caller, { kind: 'failed', error });
    return this.#end(caller, { kind: 'refused', error });
  }

  /** @param claimSentMs when the claim was sent; undefined for work that runs unprotected */
  async #execute<T>(
    flight: Flight,
    caller: Caller<T>,
    lease: Lease,
    claimSentMs: number | undefined,
  ): Promise<Answer<T>> {
    const execution = new Execution(this.parts, caller.op, lease, claimSentMs);
    if (!execution.holds || caller.op.signal?.aborted || this.#onIdle) {
      this.#withdraw(caller, lease.token);
      this.#land(flight, caller, { kind: 'again' });
      return this.#look(caller);
    }
    const tookOver = lease.previousEnd === 'abandoned';
    if (tookOver) execution.emit('takeover');
    flight.isLocal = true;
    flight.sighted.set({ kind: 'local', make: () => runningRecord(lease) });
    this.#running.add(execution);
    caller.visit?.runs();
    execution.onEnded = (end) => this.#ended(execution, flight, caller, end);
    const end = await execution.run(tookOver && caller.reconciles);
    if (end === undefined || end.fate === 'superseded') {
      // Out of the table at once (G6): nobody may join an attempt that does not own the record.
      this.#land(flight, caller, { kind: 'again' });
      const answer = await afterLoss(caller, execution, (until, onEnd) => {
        const waiter = this.#waiter(caller, until, onEnd);
        waiter.start(undefined);
        return waiter;
      });
      return this.#end(caller, answer);
    }
    this.#share(flight, caller, end);
    return this.#end(caller, execution.answer(end));
  }

  #ended<T>(execution: object, flight: Flight, caller: Caller<T>, end: Ending<T>): void {
    this.#running.delete(execution);
    if (this.#running.size === 0) this.#onIdle?.();
    // A finished effect that the store does not know yet is answered from the table meanwhile (G7): by a flight of its own,
    // which holds the record and nothing of the call, since an outage may last.
    const { identity } = caller;
    if (end.isKept && end.record && this.#flights.get(identity) === flight)
      this.#flights.set(identity, Flight.of(sightOf(end.record())));
  }

  /** Gives an ending to the joiners. */
  #share<T>(flight: Flight, caller: Caller<T>, end: Ending<T>): void {
    const sight: Sight = end.record ? { kind: 'local', make: end.record } : { kind: 'again' };
    this.#land(flight, caller, sight);
  }

  /** The store was told of an unrecorded outcome, or never will be. */
  #forget(key: StoreKey, token: string): void {
    const identity = identityOf(key);
    const sight = this.#flights.get(identity)?.landed.value;
    if (sight?.kind === 'record' && sight.record.token === token) this.#flights.delete(identity);
  }

  #withdraw<T>({ op }: Caller<T>, token: string): void {
    this.parts.background.withdraw(op.key, token, op.policy);
  }

  #land<T>(flight: Flight, caller: Caller<T>, sight: Sight): void {
    this.#remove(flight, caller);
    flight.land(sight);
  }

  #remove<T>(flight: Flight, { identity }: Caller<T>): void {
    if (this.#flights.get(identity) === flight) this.#flights.delete(identity);
  }

  /** Shares one watch of an attempt that runs in another process. */
  #watch<T>(flight: Flight, caller: Caller<T>, record: StoredRecord): Promise<Answer<T>> {
    const waiter = this.#waiter(
      caller,
      (now) => now?.token !== record.token || now.leaseRemainingMs <= 0,
      (now) => this.#land(flight, caller, now ? sightOf(now) : { kind: 'again' }),
    );
    flight.watch = waiter;
    flight.onDeserted = () => {
      waiter.stop();
      this.#remove(flight, caller);
    };
    flight.sighted.set(sightOf(record));
    waiter.start(record.leaseRemainingMs);
    return this.#follow(flight, caller);
  }

  #waiter<T>(
    caller: Caller<T>,
    until: (record: StoredRecord | undefined) => boolean,
    onEnd: (record: StoredRecord | undefined) => void,
  ): Waiter {
    const { key, policy } = caller.op;
    const onError = (error: unknown) => this.#emit('store-error', caller, undefined, error);
    const { store } = this.parts;
    return new Waiter({ store, key, storeTimeoutMs: policy.storeTimeoutMs, until, onEnd, onError });
  }

  #emit<T>(event: EventName, caller: Caller<T>, record?: StoredRecord, error?: unknown): void {
    this.parts.events.emit(event, caller.op.label, record, error === undefined ? undefined : { error });
  }
}
