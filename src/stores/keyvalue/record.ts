import { isIdempotencyError, StoreError, tooNew, type IdempotencyError } from '../../core/errors.js';
import {
  ABANDONED_RULES,
  IdempotencyStatus,
  NO_STEPS,
  type RecordedStep,
  type StoreKey,
} from '../../core/record.js';
import type { SimpleRecord } from '../../core/store.js';
import type { Kept } from '../shared/kept.js';
import { FORMAT_VERSION, isNewer } from '../shared/record-fields.js';

/**
 * A record as it is passed to a simple store: the documented members, and our own in `lease`. For code that ignores `lease`, a
 * tombstone is FAILED.
 */
export interface KeyValueRecord extends SimpleRecord {
  readonly attempt?: number;
  readonly fence?: number;
  readonly lease?: Omit<Kept, 'payload' | 'hitCount'> & { readonly v: number; readonly hasValue: boolean };
}

/** For stores that use Redis's `setex`, which takes whole seconds: they round down, and 0 seconds is an error. */
const ROUNDING_MS = 1_000;
const LEAST_MS = 2_000;

/** @param endMs when the record may expire */
export function toRecord(key: StoreKey, kept: Kept, endMs: number, nowMs: number): KeyValueRecord {
  const { payload, hitCount, ...lease } = kept;
  const { status, createdAtMs, attempt, fence } = kept;
  const value =
    payload === undefined ? {} : { [status === 'COMPLETED' ? 'result' : 'error']: toPlain(payload) };
  return {
    key: key.address,
    status: status === 'TOMBSTONE' ? 'FAILED' : status,
    ...value,
    createdAt: createdAtMs,
    expiresAt: Math.max(endMs + ROUNDING_MS, nowMs + LEAST_MS),
    ...{ hitCount, attempt, fence },
    lease: { ...lease, v: FORMAT_VERSION, hasValue: payload !== undefined },
  };
}

/** @throws StoreError CORRUPT_RECORD for a value that is not a record, RECORD_TOO_NEW for a record of a newer format */
export function fromRecord(key: StoreKey, record: unknown): Kept {
  const raw = isObject(record) ? (record as Partial<KeyValueRecord>) : {};
  const { lease } = raw;
  if (isObject(lease) && isNewer(lease.v)) throw tooNew(key.address, lease.v);
  const kept = lease === undefined ? foreign(key, raw) : own(raw, lease);
  if (!kept)
    throw corrupt(key, 'is not a record of twiceshy: look at it, then forget() or resolve() the key');
  return kept;
}

function own(raw: Partial<KeyValueRecord>, lease: NonNullable<KeyValueRecord['lease']>): Kept | undefined {
  if (!isObject(lease) || lease.v !== FORMAT_VERSION) return undefined;
  const value = lease.status === 'COMPLETED' ? raw.result : raw.error;
  // If the value is missing, it was null: some classes leave out members that are null.
  const payload = lease.hasValue ? fromPlain(value ?? null) : undefined;
  return parseKept({ ...lease, payload, hitCount: raw.hitCount ?? 0 });
}

/** Checks the members, and adds those that are undefined, which JSON leaves out. */
function parseKept(data: Partial<Kept>): Kept | undefined {
  const { status, final, token, digest, fence, attempt, failures, onAbandoned } = data;
  const { leaseEndsAtMs, createdAtMs, startedAtMs, expiresAtMs, steps = NO_STEPS, prior } = data;
  const texts = [status, token, digest].every((text) => typeof text === 'string');
  const numbers = [fence, attempt, failures, leaseEndsAtMs, createdAtMs, startedAtMs, expiresAtMs].every(
    Number.isFinite,
  );
  if (!texts || !numbers || !ABANDONED_RULES.includes(onAbandoned as never) || !Array.isArray(steps))
    return undefined;
  return {
    ...(data as Kept),
    final: final === true,
    previousToken: data.previousToken,
    previousEnd: data.previousEnd,
    fingerprint: data.fingerprint,
    notes: data.notes,
    settledAtMs: data.settledAtMs,
    payload: data.payload,
    hitCount: data.hitCount ?? 0,
    steps: (steps as RecordedStep[]).map(({ name, payload }) => ({ name, payload })),
    prior: prior && parseKept(prior),
  };
}

/**
 * A record without our members: written by hand, by earlier code, or by a class that keeps only the members that it knows. Its
 * members are believed. A failure may run again; a record in progress blocks its key until it expires.
 */
function foreign(key: StoreKey, raw: Partial<KeyValueRecord>): Kept | undefined {
  const { status, result, error, createdAt, expiresAt } = raw;
  if (status === undefined || !Object.hasOwn(IdempotencyStatus, status)) return undefined;
  if (typeof expiresAt !== 'number' || !Number.isFinite(expiresAt)) return undefined;
  const createdAtMs = typeof createdAt === 'number' ? createdAt : 0;
  const value = status === 'COMPLETED' ? result : error;
  const isRunning = status === 'IN_PROGRESS';
  return {
    ...{ status, digest: key.digest, createdAtMs, startedAtMs: createdAtMs, expiresAtMs: expiresAt },
    notes: undefined,
    // Always the same for this record, so that a takeover can name it.
    token: `foreign_${createdAtMs.toString(36).padStart(8, '0').slice(-8)}`,
    ...{ fence: raw.fence ?? 0, attempt: raw.attempt ?? 1, failures: 0, hitCount: raw.hitCount ?? 0 },
    ...{ final: status === 'COMPLETED', onAbandoned: 'retry', fingerprint: undefined },
    ...{ previousToken: undefined, previousEnd: undefined, steps: NO_STEPS, prior: undefined },
    leaseEndsAtMs: isRunning ? expiresAt : 0,
    settledAtMs: isRunning ? undefined : createdAtMs,
    payload: value === undefined ? undefined : fromPlain(value),
  };
}

/**
 * An encoded value as plain data: JSON text as its value, `~` and JSON as `{ $tagged }`, any other text as `{ $text }`.
 * {@link fromPlain} gives exactly the same text back.
 */
export function toPlain(text: string): unknown {
  const value = parsed(text);
  if (value !== undefined && !isWrapper(value)) return value;
  const tagged = text.startsWith('~') ? parsed(text.slice(1)) : undefined;
  return tagged === undefined ? { $text: text } : { $tagged: tagged };
}

export function fromPlain(value: unknown): string {
  if (!isWrapper(value)) return JSON.stringify(value) ?? 'null';
  return '$text' in value ? value.$text : `~${JSON.stringify(value.$tagged)}`;
}

/** The value of a JSON text, but only if stringifying it gives the same text again. */
function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return JSON.stringify(value) === text ? value : undefined;
  } catch {
    return undefined;
  }
}

function isWrapper(value: unknown): value is { $text: string } | { $tagged: unknown } {
  if (!isObject(value)) return false;
  const [name, ...others] = Object.keys(value);
  if (others.length > 0) return false;
  return name === '$tagged' || (name === '$text' && typeof Reflect.get(value, name) === 'string');
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function corrupt(key: StoreKey, what: string, cause?: unknown): StoreError {
  return new StoreError('CORRUPT_RECORD', `the value at ${JSON.stringify(key.address)} ${what}`, { cause });
}

const NETWORK =
  /\bE(CONNRESET|CONNREFUSED|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|AI_AGAIN)\b|connection|socket|timed? ?out/i;

/** Converts what a method of the user's store threw. */
export function toKeyValueError(error: unknown, method: string, key: StoreKey): IdempotencyError {
  if (isIdempotencyError(error)) return error;
  const { name, code, message } = (error ?? {}) as { name?: unknown; code?: unknown; message?: unknown };
  if (name === 'SyntaxError') {
    return corrupt(key, `can't be read: ${method}() threw a SyntaxError. Look at it, then delete it`, error);
  }
  const why = typeof message === 'string' && message !== '' ? message : String(error);
  const transient = NETWORK.test(`${String(code)} ${why}`);
  const advice = 'see the cause; it is safe to repeat the call';
  return new StoreError('STORE_UNAVAILABLE', `${method}() of the store failed: ${why}; ${advice}`, {
    cause: error,
    transient,
  });
}
