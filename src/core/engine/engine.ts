import { Execution } from '../attempt/execution.js';
import { callStore } from '../call-store.js';
import {
  isIdempotencyError,
  StoreError,
  toStoreError,
  wasNeverSent,
  type IdempotencyError,
} from '../errors.js';
import type { EventName } from '../events.js';
import { unprotectedLease } from '../attempt/local-record.js';
import type { EngineParts, Operation } from '../operation.js';
import { IN_DOUBT_RETENTION_MS } from '../options.js';
import type { Answer } from '../outcome.js';
import { grantedLease, type StoredRecord } from '../record.js';
import type { ClaimRequest } from '../store.js';
import { monotonicMs } from '../timers.js';
import { newToken } from '../token.js';
import { afterLoss } from './after-loss.js';
import { Caller, LEFT, TIMED_OUT } from './caller.js';
import { AGAIN, Flights, sightFrom, type Flight, type Sight } from './flight.js';
import { end, LOOK, type End, type Follow, type Look, type Next, type Run } from './next.js';
import { Waiter } from './waiter.js';

/** The only state machine: claim, execute, settle; and what a duplicate does instead. */
export class Engine {
  readonly #flights: Flights;
  /** The ends of the executions that run. */
  readonly #running = new Set<{ wait(): Promise<unknown> }>();
  #isClosed = false;

  constructor(private readonly parts: EngineParts) {
    this.#flights = Flights.of(parts.store);
  }

  /** Runs the operation, or answers it as a duplicate. Every end is a value, also a lost lease. */
  run<T>(op: Operation<T>): Promise<Answer<T>> {
    return this.parts.admission ? this.#runAdmitted(op) : this.#start(new Caller(op, undefined));
  }

  /** Starts no new work; resolves when nothing runs here any more and nothing is left to record. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#running].map((ended) => ended.wait()));
    await this.parts.background.drained();
  }

  async #runAdmitted<T>(op: Operation<T>): Promise<Answer<T>> {
    const { key, asked, policy } = op;
    const visit = await this.parts.admission!.enter({ key, asked, timeoutMs: policy.storeTimeoutMs });
    if ('refusal' in visit)
      return this.#tell(new Caller(op, undefined), { kind: 'refused', error: visit.refusal });
    try {
      return await this.#start(new Caller(op, visit));
    } finally {
      visit.ends();
    }
  }

  #start<T>(caller: Caller<T>): Promise<Answer<T>> {
    const answer = this.#live(caller);
    if (!caller.op.signal) return answer;
    return caller.unlessLeft(answer).then((first) => this.#tell(caller, first));
  }

  /** The life of a call, from its first look at the key to its answer. */
  async #live<T>(caller: Caller<T>): Promise<Answer<T>> {
    let next: Next<T> = LOOK;
    for (;;) {
      switch (next.do) {
        case 'look':
          next = await this.#look(caller, next);
          break;
        case 'run':
          next = await this.#execute(caller, next);
          break;
        case 'follow':
          next = await this.#follow(caller, next);
          break;
        case 'end':
          return this.#tell(caller, next.answer);
      }
    }
  }

  /** Counts and tells how a call ended. */
  #tell<T>(caller: Caller<T>, answer: Answer<T>): Answer<T> {
    const code = answer.kind === 'refused' ? answer.error.code : undefined;
    caller.end(answer, (outcome, durationMs) =>
      this.parts.events.emitEnd(caller.op.label, outcome, durationMs, code),
    );
    return answer;
  }

  #look<T>(caller: Caller<T>, look: Look): Next<T> | Promise<Next<T>> {
    if (caller.isAborted) return end(caller.gaveUp(LEFT));
    const flight = this.#flights.get(caller.identity);
    if (flight) return this.#join(caller, flight);
    if (this.#isClosed) {
      const error = new StoreError('STORE_UNAVAILABLE', 'this instance is closed');
      return end({ kind: 'refused', error });
    }
    const own = this.#flights.open(caller.identity);
    return look.running ? this.#watch(caller, own, look.running) : this.#claim(caller, own, look);
  }

  async #join<T>(caller: Caller<T>, flight: Flight): Promise<Next<T>> {
    const seen = flight.join();
    const sight = 'kind' in seen ? seen : await caller.within(seen);
    // Nobody can say that it runs: the claim was not answered yet.
    if (sight === TIMED_OUT) return end(caller.unanswered());
    if (sight === LEFT) return end(caller.gaveUp(sight));
    if (flight.isLocal) caller.follows('joined');
    return this.#consider(caller, flight, sight);
  }

  // Not async, nor is #execute: a chain of promises costs a first run less than the frames of async functions.
  /** The first caller of a key in this process claims it: what it meets, the others share. */
  #claim<T>(caller: Caller<T>, flight: Flight, look: Look): Promise<Next<T>> {
    const { key, policy } = caller.op;
    const request = claimRequest(caller.op, look.replacing);
    const claimSentMs = monotonicMs();
    return callStore('claim a key', () => this.parts.store.claim(key, request), policy.storeTimeoutMs).then(
      (answer) => {
        if (answer.kind === 'existing') return this.#claimMet(caller, flight, answer.record);
        const lease = grantedLease(request, answer.grant);
        return { do: 'run', flight, lease, claimSentMs, reconciles: look.reconciles ?? false };
      },
      (error: unknown) => this.#claimFailed(caller, flight, request, toStoreError(error, 'claim a key')),
    );
  }

  #claimMet<T>(caller: Caller<T>, flight: Flight, record: StoredRecord): Next<T> | Promise<Next<T>> {
    const next = this.#consider(caller, flight, sightFrom(record));
    switch (next.do) {
      case 'look':
        return this.#claim(caller, flight, next);
      case 'follow':
        return this.#watch(caller, flight, record);
      case 'end':
        flight.land(() => sightFrom(record));
        return next;
    }
  }

  #claimFailed<T>(
    caller: Caller<T>,
    flight: Flight,
    request: ClaimRequest,
    error: IdempotencyError,
  ): Next<T> {
    this.#emit('store-error', caller, undefined, error);
    if (caller.failsOpen(error)) {
      this.#emit('unprotected', caller, undefined, error);
      const lease = unprotectedLease(request);
      return { do: 'run', flight, lease, claimSentMs: undefined, reconciles: false };
    }
    // The command may have been executed, or may be yet, and must not hold the key then (G8). So may one that was granted
    // over a record whose steps can't be read.
    const isOfStore = error instanceof StoreError || isIdempotencyError(error, 'STORE_UNAVAILABLE');
    if (isOfStore && !wasNeverSent(error)) this.#withdraw(caller, request.token);
    flight.land(() => ({ kind: 'failed', error }));
    return end({ kind: 'refused', error });
  }

  /** What a sight of the key means to this caller. */
  #consider<T>(caller: Caller<T>, flight: Flight, sight: Sight): Look | Follow | End<T> {
    if (sight.kind === 'again') return LOOK;
    if (sight.kind === 'failed')
      return caller.failsOpen(sight.error) ? LOOK : end({ kind: 'refused', error: sight.error });
    const { record } = sight;
    const decision = caller.decide(record);
    switch (decision.do) {
      case 'answer':
        this.#emit('hit', caller, record);
        return end({ kind: 'duplicate', how: decision.how, record });
      case 'refuse':
        return end(caller.refused(decision, record));
      case 'take':
        return { do: 'look', replacing: record.token, reconciles: decision.as === 'reconcile' };
      case 'wait':
        caller.waitsOn(record);
        return { do: 'follow', flight, record };
    }
  }

  async #follow<T>(caller: Caller<T>, { flight, record }: Follow): Promise<Next<T>> {
    this.#emit(flight.isLocal ? 'join' : 'wait', caller, record);
    caller.follows(flight.isLocal ? 'joined' : 'waited');
    const sight = await flight.follow((landing) => caller.within(landing));
    // Nobody can say that it still runs when nobody could look.
    if (sight === TIMED_OUT && flight.readError !== undefined)
      return end({ kind: 'refused', error: toStoreError(flight.readError, 'read a record') });
    if (typeof sight === 'symbol') return end(caller.gaveUp(sight));
    const next = this.#consider(caller, flight, sight);
    // What it followed is over, and another attempt runs by now.
    return next.do === 'follow' ? { do: 'look', running: next.record } : next;
  }

  /** Shares one watch of an attempt that runs in another process. */
  #watch<T>(caller: Caller<T>, flight: Flight, record: StoredRecord): Next<T> {
    const watch = this.#waiter(
      caller,
      (now) => now?.token !== record.token || now.leaseRemainingMs <= 0,
      (now) => flight.land(() => sightFrom(now)),
    );
    flight.watches(record, watch);
    return { do: 'follow', flight, record };
  }

  #execute<T>(caller: Caller<T>, run: Run): Next<T> | Promise<Next<T>> {
    const { flight, lease, claimSentMs, reconciles } = run;
    const execution = new Execution(this.parts, caller.op, lease, claimSentMs);
    if (!execution.held.holds || caller.isAborted || this.#isClosed) {
      this.#withdraw(caller, lease.token);
      flight.land(() => AGAIN);
      return LOOK;
    }
    const tookOver = lease.previousEnd === 'abandoned';
    if (tookOver) execution.held.emit('takeover');
    flight.runs(lease);
    caller.visit?.runs();
    this.#running.add(execution.ended);
    return execution.run(reconciles && tookOver).then((ending) => {
      if (ending === 'lost' || ending.fate === 'superseded') return this.#lost(caller, flight, execution);
      this.#running.delete(execution.ended);
      const record = () => execution.record(ending);
      if (ending.isKept) this.#flights.keep(caller.identity, flight, lease, record()!);
      flight.land(() => sightFrom(record()));
      return end(execution.answer(ending));
    });
  }

  async #lost<T>(caller: Caller<T>, flight: Flight, execution: Execution<T>): Promise<Next<T>> {
    // Out of the table at once (G6): nobody may join an attempt that does not own the record.
    flight.land(() => AGAIN);
    void execution.ended.wait().then(() => this.#running.delete(execution.ended));
    return end(await afterLoss(caller, execution, (until, onEnd) => this.#waiter(caller, until, onEnd)));
  }

  #withdraw<T>({ op }: Caller<T>, token: string): void {
    this.parts.background.withdraw(op.key, token, op.policy);
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

/** What the store is asked for, under a new token. */
function claimRequest(op: Operation<unknown>, replacing: string | undefined): ClaimRequest {
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
