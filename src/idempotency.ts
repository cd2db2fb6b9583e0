import { checkInstanceOptions, checkListener, checkOutcomeByHand, checkPlace, checkRun } from './checks.js';
import { enterAttempt, holdsKey } from './attempt.js';
import type { FaceOperation, IdempotencyOptions, IdempotencyRecord, Namespaced, RunOptions } from './api.js';
import { createCodec, DroppedMembers, type Codec } from './codec/index.js';
import type { Attempt } from './core/attempt.js';
import { Background } from './core/background.js';
import { callStore } from './core/calls.js';
import { Engine } from './core/engine.js';
import { DuplicateError, OutcomeError, StoreError, UsageError } from './core/errors.js';
import { type Events, type EventName, type Listener, type Stats, type Tally } from './core/events.js';
import type { EncodedOf, EngineParts } from './core/operation.js';
import {
  abandonedRule,
  checkSignal,
  CLOSE_TIMEOUT_MS,
  DEFAULT_NAME,
  DEFAULT_PREFIX,
  ignoreRejection,
  resolvePolicy,
  type RunPolicy,
} from './core/options.js';
import type { Answer, Outcome } from './core/outcome.js';
import type { StoreKey, StoredRecord } from './core/record.js';
import { type LeaseStore, type Replacement } from './core/store.js';
import { newToken } from './core/token.js';
import { checkKey, composeNamespace, fingerprintOf, sha256Hex, storedScope, storeKey } from './keys/index.js';
import { reportEvents } from './logging.js';
import { encodeOutcome, reconcileOf, workOf } from './translate.js';

/** One engine on one store, with its defaults: what every face is given. Made by {@link createIdempotency}. */
export class Idempotency {
  readonly policy: RunPolicy;
  readonly codec: Codec;
  readonly #store: LeaseStore;
  readonly #options: IdempotencyOptions;
  readonly #events: Events;
  readonly #dropped = new DroppedMembers();
  readonly #engine: Engine;

  /** @param tally counts that several instances share; @default its own */
  constructor(options: IdempotencyOptions, tally?: Tally) {
    checkInstanceOptions(options);
    this.#options = options;
    this.#store = options.store;
    this.policy = resolvePolicy(options);
    this.codec = createCodec(options.codec);
    this.#events = reportEvents(options.logger, tally, options.keysInLogs);
    this.#engine = new Engine(this.#parts());
  }

  /**
   * Runs the work once for the key, and gives every duplicate the same answer.
   * @throws IdempotencyError what stands in its `code`; or what the work threw, recorded or its own
   */
  async run<T>(
    key: string,
    work: (attempt: Attempt) => T | Promise<T>,
    options: RunOptions<T> = {},
  ): Promise<T> {
    checkRun(work, options);
    const remember = options.remember ?? this.#options.remember ?? 'none';
    const { onAbandoned } = options;
    const rule = abandonedRule(onAbandoned);
    const answer = await this.answer<T>({
      key,
      name: options.name ?? this.#options.name ?? DEFAULT_NAME,
      scope: options.scope ?? this.#options.scope,
      prefix: options.prefix,
      payload: options.payload,
      policy: resolvePolicy(options, this.policy),
      onDuplicate: 'replay',
      onAbandoned: rule,
      signal: options.signal,
      work: workOf(work, remember, rule),
      reconcile: typeof onAbandoned === 'function' ? reconcileOf(onAbandoned) : undefined,
    });
    return this.unwrap(answer);
  }

  /**
   * The neutral form of `run`, for faces: every end is a value, and records come undecoded.
   * @throws UsageError INVALID_KEY, INVALID_OPTIONS
   */
  answer<T>(operation: FaceOperation<T>): Promise<Answer<T>> {
    const { name, payload, signal } = operation;
    for (const given of [operation.key, operation.scope, payload, signal]) ignoreRejection(given);
    const label = { name, key: checkKey(operation.key) };
    const place = this.#place(label.key, name, operation.scope, operation.prefix);
    if (signal !== undefined) checkSignal(signal);
    if (signal?.aborted) return Promise.resolve({ kind: 'left', reason: signal.reason as unknown });
    if (holdsKey(this.#store, place)) {
      const why = 'the work that runs under this key runs the same key again; it would wait for itself';
      const error = new UsageError('INVALID_KEY', `${name} "${label.key}": ${why}`);
      return Promise.resolve({ kind: 'refused', error });
    }
    const fingerprint = payload === undefined ? undefined : fingerprintOf(payload);
    // Field by field: spreading here would cost a duplicate a third of its time.
    return this.#engine.run<T>({
      key: place,
      label,
      fingerprint,
      signal,
      policy: operation.policy,
      onDuplicate: operation.onDuplicate,
      onAbandoned: operation.onAbandoned,
      work: operation.work,
      reconcile: operation.reconcile,
    });
  }

  /**
   * The value of a recorded outcome, decoded anew for this caller.
   * @throws OutcomeError RESULT_UNAVAILABLE when it was recorded without a value
   * @throws StoreError CORRUPT_RECORD
   */
  decode(record: StoredRecord): unknown {
    if (record.payload === undefined) {
      const message = `the outcome (${record.status}) was recorded without its value: it was too large, could not be encoded, or was not redacted`;
      throw new OutcomeError('RESULT_UNAVAILABLE', message);
    }
    if (record.format === 'recipe') {
      const message =
        'the record was written by a task middleware of the plain recipe; only IdempotencyMiddleware reads it';
      throw new StoreError('CORRUPT_RECORD', message);
    }
    return this.codec.decode(record.payload);
  }

  /** The record of a key, or undefined. Counts no hit. */
  async get<T = unknown>(key: string, where: Namespaced = {}): Promise<IdempotencyRecord<T> | undefined> {
    checkPlace('get()', where);
    const place = this.#placeOf(key, where);
    const record = await callStore(
      'read a record',
      () => this.#store.read(place),
      this.policy.storeTimeoutMs,
    );
    return record && this.describe<T>(key, record);
  }

  /**
   * Settles a key by hand: what a person decides about an outcome in doubt. `false` when there is no record.
   * @throws DuplicateError CONCURRENT_REQUEST while an attempt runs
   */
  async resolve(
    key: string,
    outcome: { result: unknown } | { error: unknown },
    where: Namespaced = {},
  ): Promise<boolean> {
    checkPlace('resolve()', where);
    checkOutcomeByHand(outcome);
    const isGood = 'result' in outcome;
    const given = isGood
      ? ({ kind: 'completed', value: outcome.result } as const)
      : ({ kind: 'failed', error: outcome.error, final: true } as const);
    const encoded = this.#encode(given, { name: this.#nameOf(where), key });
    if (!('text' in encoded)) throw encoded.error;
    const settled = { status: isGood ? 'COMPLETED' : 'FAILED', final: true, payload: encoded.text } as const;
    const retentionMs = this.policy.ttlMs;
    return this.#override(key, where, { kind: 'resolve', token: newToken(), ...settled, retentionMs });
  }

  /**
   * Forgets a key, so that the next call runs. `false` when there is no record. The fence is kept, so that a late
   * writer does not bring the record back.
   * @throws DuplicateError CONCURRENT_REQUEST while an attempt runs, unless forced
   */
  async forget(key: string, options: Namespaced & { force?: boolean } = {}): Promise<boolean> {
    checkPlace('forget()', options, ['force']);
    return this.#override(key, options, { kind: 'forget', force: options.force === true });
  }

  /** What happened in this process so far: to one operation, or to all together. */
  stats(name?: string): Stats {
    return this.#events.stats(name);
  }

  /** Listens to an event; the returned function ends it. */
  on(event: EventName, listener: Listener): () => void {
    checkListener(event, listener);
    return this.#events.on(event, listener);
  }

  /**
   * Refuses new runs, and waits for running work and unrecorded results, 10 s at most. Releases nothing: what still
   * runs keeps its lease. The store is the caller's to close.
   */
  async close(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const bound = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)));
    await Promise.race([this.#engine.close(), bound]);
    clearTimeout(timer);
  }

  /** The value of an answer, thrown or returned. */
  unwrap<T>(answer: Answer<T>): T {
    switch (answer.kind) {
      case 'ran':
        if (answer.outcome.kind === 'completed') return answer.outcome.value;
        throw answer.outcome.error;
      case 'duplicate': {
        const value = this.decode(answer.record);
        if (answer.record.status === 'FAILED') throw value;
        return value as T;
      }
      case 'refused':
        throw answer.error;
      case 'left':
        throw answer.reason;
    }
  }

  async #override(key: string, where: Namespaced, replacement: Replacement): Promise<boolean> {
    const place = this.#placeOf(key, where);
    const command = () => this.#store.override(place, replacement);
    const done = await callStore(`${replacement.kind} a record`, command, this.policy.storeTimeoutMs);
    if (done === 'live') {
      const message = `"${key}" is running right now; wait for it, or forget it with { force: true }`;
      throw new DuplicateError('CONCURRENT_REQUEST', message);
    }
    if (done !== 'done') return false;
    const event = replacement.kind === 'resolve' ? 'resolved' : 'forgotten';
    this.#events.emit(event, { name: this.#nameOf(where), key });
    return true;
  }

  #nameOf(where: Namespaced): string {
    return where.name ?? this.#options.name ?? DEFAULT_NAME;
  }

  #placeOf(key: unknown, where: Namespaced): StoreKey {
    return this.#place(checkKey(key), this.#nameOf(where), where.scope ?? this.#options.scope, where.prefix);
  }

  #place(
    key: string,
    name: string,
    scope: string | undefined,
    prefix = this.#options.prefix ?? DEFAULT_PREFIX,
  ): StoreKey {
    const stored = storedScope(this.#options.pepper, scope);
    return storeKey(composeNamespace({ prefix, scope: stored, name }), key);
  }

  /** A record as people see it, its value decoded anew. */
  describe<T>(key: string, record: StoredRecord): IdempotencyRecord<T> {
    const { status, createdAtMs, expiresAtMs, hitCount, attempt, fence, payload, format } = record;
    const described = {
      key,
      status,
      createdAt: createdAtMs,
      expiresAt: expiresAtMs,
      hitCount,
      attempt,
      fence,
    };
    if (payload === undefined || format === 'recipe') return described;
    const value = this.decode(record);
    return status === 'COMPLETED' ? { ...described, result: value as T } : { ...described, error: value };
  }

  #encode(outcome: Outcome<unknown>, of: EncodedOf): ReturnType<EngineParts['encode']> {
    const dropped: string[] = [];
    const encoded = encodeOutcome(this.codec, outcome, of, (path) => dropped.push(path));
    const paths = dropped.length > 0 ? this.#dropped.news(of.name, dropped) : dropped;
    if (paths.length > 0) this.#events.emit('dropped-members', of, undefined, { paths });
    return encoded;
  }

  #parts(): EngineParts {
    const store = this.#store;
    return {
      store,
      events: this.#events,
      background: new Background(),
      encode: (outcome, of) => this.#encode(outcome, of),
      decode: (text) => this.codec.decode(text),
      deriveKey: (key, failures, name) =>
        sha256Hex(JSON.stringify([key.digest, key.address, failures, name])).slice(0, 32),
      enter: (attempt, key, run) => enterAttempt(attempt, store, key, run),
    };
  }
}

/**
 * One engine on one store.
 * @throws UsageError INVALID_OPTIONS
 */
export function createIdempotency(options: IdempotencyOptions): Idempotency {
  return new Idempotency(options);
}
