import { Buffer } from 'node:buffer';
import { enterAttempt, holdsKey } from './current-attempt.js';
import type { AdapterOperation, IdempotencyOptions, IdempotencyRecord } from './api.js';
import { createCodec, DroppedMembers, type Codec } from '../codec/index.js';
import { Admission, type Asked } from '../core/admission.js';
import { Background } from '../core/background/background.js';
import { callStore } from '../core/call-store.js';
import { ignoreRejection } from '../core/check.js';
import { Engine } from '../core/engine/engine.js';
import { DuplicateError, OutcomeError, StoreError, UsageError } from '../core/errors.js';
import type { Events, Tally } from '../core/events.js';
import type { EncodedOf, EngineParts } from '../core/operation.js';
import {
  checkScoped,
  checkSignal,
  CLOSE_TIMEOUT_MS,
  DEFAULT_PREFIX,
  resolvePolicy,
  type RunPolicy,
} from '../core/options.js';
import type { Answer, Outcome } from '../core/outcome.js';
import { recordState, type StoreKey, type StoredRecord } from '../core/record.js';
import type { Replacement } from '../core/store.js';
import {
  checkKey,
  checkStoredKey,
  composeNamespace,
  derivedKey,
  fingerprintPayload,
  storedScope,
  storeKey,
} from '../keys/index.js';
import { onceEach, reportEvents, warnThrough } from './logging.js';
import { encodeOutcome } from './outcomes.js';

/** What identifies a record besides its key. An undefined part is taken from the instance. */
export interface Place {
  readonly name: string;
  readonly scope?: string | undefined;
  readonly prefix?: string | undefined;
}

/**
 * What every adapter builds on: one engine on one store, with codec, events and options. Users get the public part of it, as an
 * `Idempotency` from `createIdempotency()`.
 */
export class Runtime {
  readonly policy: RunPolicy;
  readonly codec: Codec;
  readonly events: Events;
  /** Whether a run without a scope is refused. */
  readonly requiresScope: boolean;
  /** Logs a warning about options, each message once. */
  readonly note: (message: string) => void;
  readonly #dropped = new DroppedMembers();
  readonly #engine: Engine;

  /**
   * @param given the checked options of the instance
   * @param tally counters that several instances share; @default its own
   */
  constructor(
    readonly given: IdempotencyOptions,
    tally?: Tally,
  ) {
    this.policy = resolvePolicy(given);
    this.requiresScope = given.requireScope === true || given.store.requiresScope === true;
    this.codec = createCodec(given.codec);
    this.events = reportEvents(given.logger, tally, given.keysInLogs);
    const warn = warnThrough(given.logger);
    this.note = onceEach((message) => warn(`twiceshy: ${message}`));
    this.#engine = new Engine(this.#parts());
  }

  /**
   * `run` in the form that adapters use: every end is returned as a value, and records are not decoded yet.
   * @throws UsageError INVALID_KEY, INVALID_OPTIONS
   */
  answer<T>(operation: AdapterOperation<T>): Promise<Answer<T>> {
    const { name, payload, signal } = operation;
    for (const given of [operation.key, operation.scope, payload, signal]) ignoreRejection(given);
    const label = { name, key: checkKey(operation.key) };
    const place = this.place(label.key, operation);
    if (signal !== undefined) checkSignal(signal);
    if (holdsKey(this.given.store, place)) {
      const why = 'the work under this key called the same key again, and would wait for itself';
      const error = new UsageError('INVALID_KEY', `${name} "${label.key}": ${why}`);
      this.events.emitEnd(label, 'refused', 0, error.code);
      return Promise.resolve({ kind: 'refused', error });
    }
    const fingerprint = payload === undefined ? undefined : fingerprintPayload(payload);
    // Field by field: a spread here takes a third of the time of a duplicate.
    return this.#engine.run<T>({
      key: place,
      label,
      fingerprint,
      signal,
      policy: operation.policy,
      onDuplicate: operation.onDuplicate,
      onAbandoned: operation.onAbandoned,
      notes: operation.notes,
      asked: this.given.admit && this.#asked(operation),
      onStart: operation.onStart,
      work: operation.work,
      reconcile: operation.reconcile,
    });
  }

  /** What the engine can't know of a call: it has the scope as it is stored. */
  #asked<T>({ asked, scope = this.given.scope, payload }: AdapterOperation<T>): Asked {
    return { payloadBytes: payloadBytes(payload), ...asked, scope: asked?.scope ?? scope };
  }

  /**
   * The value of a recorded outcome. Each caller gets a copy of its own.
   * @throws OutcomeError RESULT_UNAVAILABLE if it was recorded without a value
   * @throws StoreError CORRUPT_RECORD
   */
  decode(record: StoredRecord): unknown {
    if (record.payload === undefined) {
      const message = `the outcome (${record.status}) was recorded without its value: the value was too large, could not be encoded, or redact failed`;
      throw new OutcomeError('RESULT_UNAVAILABLE', message);
    }
    if (record.format === 'recipe') {
      const message =
        'under this key is JSON that twiceshy did not write, such as the result of a task that the plain recipe stored; ' +
        'only IdempotencyMiddleware reads such results. Look at it, then give the operation another name, or forget() the key';
      throw new StoreError('CORRUPT_RECORD', message);
    }
    return this.codec.decode(record.payload);
  }

  async get<T>(key: string, where: Place): Promise<IdempotencyRecord<T> | undefined> {
    const place = this.place(checkStoredKey(key), where);
    const read = () => this.given.store.read(place);
    const record = await callStore('read a record', read, this.policy.storeTimeoutMs);
    return record && this.describe<T>(key, record);
  }

  /**
   * Resolves or forgets a key on a user's request. `false` if there is no record.
   * @throws DuplicateError CONCURRENT_REQUEST while an attempt runs
   */
  async override(key: string, where: Place, replacement: Replacement): Promise<boolean> {
    const place = this.place(checkStoredKey(key), where);
    const command = () => this.given.store.override(place, replacement);
    const done = await callStore(`${replacement.kind} a record`, command, this.policy.storeTimeoutMs);
    if (done === 'live') {
      const message = `an attempt of "${key}" is running; wait for it, or forget the key with { force: true }`;
      throw new DuplicateError('CONCURRENT_REQUEST', message);
    }
    if (done !== 'done') return false;
    this.events.emit(replacement.kind === 'resolve' ? 'resolved' : 'forgotten', { name: where.name, key });
    return true;
  }

  async close(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const bound = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)));
    await Promise.race([this.#engine.close(), bound]);
    clearTimeout(timer);
  }

  /** Returns the value of an answer, or throws its error. */
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

  /** The record that a checked key refers to. */
  place(key: string, { name, scope = this.given.scope, prefix }: Place): StoreKey {
    checkScoped(name, this.requiresScope, scope);
    const namespace = composeNamespace({
      prefix: prefix ?? this.given.prefix ?? DEFAULT_PREFIX,
      scope: storedScope(this.given.pepper, scope),
      name,
    });
    return storeKey(namespace, key);
  }

  /** A record as users see it, with a decoded value. */
  describe<T>(key: string, record: StoredRecord): IdempotencyRecord<T> {
    const { status, createdAtMs, expiresAtMs, hitCount, attempt, fence, payload, format } = record;
    const described = {
      key,
      status,
      state: recordState(record, this.policy.maxAttempts),
      createdAt: createdAtMs,
      expiresAt: expiresAtMs,
      hitCount,
      attempt,
      fence,
      ...(status === 'IN_PROGRESS' && { leaseEndsAt: Date.now() + record.leaseRemainingMs }),
    };
    if (payload === undefined || format === 'recipe') return described;
    const value = this.decode(record);
    return status === 'COMPLETED' ? { ...described, result: value as T } : { ...described, error: value };
  }

  /** An outcome as text, redacted; or the reason why it must be recorded without its value. */
  encode(outcome: Outcome<unknown>, of: EncodedOf): ReturnType<EngineParts['encode']> {
    const dropped: string[] = [];
    const encoded = encodeOutcome(this.codec, outcome, of, (path) => dropped.push(path));
    const paths = dropped.length > 0 ? this.#dropped.news(of.name, dropped) : dropped;
    if (paths.length > 0) this.events.emit('dropped-members', of, undefined, { paths });
    return encoded;
  }

  #parts(): EngineParts {
    const { store, admit } = this.given;
    return {
      store,
      events: this.events,
      background: new Background(store, this.events),
      admission: admit && new Admission(admit),
      encode: (outcome, of) => this.encode(outcome, of),
      decode: (text) => this.codec.decode(text),
      deriveKey: derivedKey,
      enter: (attempt, key, run) => enterAttempt(attempt, store, key, run),
    };
  }
}

/** The size of a payload of text or bytes. Others would have to be encoded first. */
function payloadBytes(payload: unknown): number | undefined {
  if (typeof payload === 'string') return Buffer.byteLength(payload);
  return payload instanceof Uint8Array ? payload.byteLength : undefined;
}
