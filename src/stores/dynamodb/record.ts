import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { StoreError, tooNew, UsageError } from '../../core/errors.js';
import {
  ABANDONED_RULES,
  NO_STEPS,
  type Notes,
  type RecordedStep,
  type StoreKey,
} from '../../core/record.js';
import type { Attributes, Condition } from './table.js';
import type { Kept } from '../shared/kept.js';
import { FORMAT_VERSION, isNewer } from '../shared/record-fields.js';

/**
 * A record is one item, its attributes named as the fields of `Kept`, and beside them:
 *
 * | attribute | content |
 * |---|---|
 * | pk | the address |
 * | v | the format ({@link FORMAT_VERSION}) |
 * | rev | random, new with every write except the counting of hits. A write after a read requires that it is unchanged |
 * | ttl | when DynamoDB may delete the item, in seconds: its expiry plus the clock margin |
 * | stepNames | the names in `steps`, each after a `=`, so that a condition can require that one is absent |
 * | prior.stepCount | how many of the steps belong to the prior record, so that they are not stored twice |
 *
 * Undefined fields are left out.
 */
const STATUSES = ['IN_PROGRESS', 'COMPLETED', 'FAILED', 'TOMBSTONE'] as const;
const ENDS = ['settled', 'abandoned', 'withdrawn'] as const;
const MAX_PK_BYTES = 2_048;

/** The partition key of a record. @throws UsageError INVALID_KEY if the address is too long for one */
export function partitionKey({ address }: StoreKey): string {
  if (address.length * 3 > MAX_PK_BYTES && Buffer.byteLength(address) > MAX_PK_BYTES) {
    const message = `this key and its namespace take more than the ${MAX_PK_BYTES} bytes that DynamoDB allows`;
    throw new UsageError('INVALID_KEY', `${message}; hashKey(...) makes a short key of any values`);
  }
  return address;
}

export function toItem(pk: string, kept: Kept, marginMs: number): Attributes {
  const { prior } = kept;
  return {
    pk,
    v: FORMAT_VERSION,
    ...defined(kept),
    ...stepAttributes(kept.steps),
    ...(prior && { prior: { ...defined(prior), stepCount: prior.steps.length } }),
    ...stamp(kept.expiresAtMs, marginMs),
  };
}

/** The attributes that change with every write. */
export function stamp(expiresAtMs: number, marginMs: number) {
  return { rev: newRevision(), ttl: Math.ceil((expiresAtMs + marginMs) / 1_000) };
}

export function newRevision(): string {
  return randomBytes(9).toString('base64url');
}

/** A step as an element of the attribute `steps`. */
export const stepAttribute = ({ name, payload }: RecordedStep): Attributes =>
  payload === undefined ? { name } : { name, payload };

/** A step's name as an element of `stepNames`. With `=` it is never empty, because a client may write an empty text as null. */
export const stepName = ({ name }: RecordedStep): string => `=${name}`;

/** The condition that nothing was written since the item was read. */
export function unchangedSince(item: Attributes | undefined): Condition {
  if (!item) return { expression: 'attribute_not_exists(#pk)' };
  const parts = ['attribute_exists(#pk)'];
  const values: Attributes = {};
  for (const name of ['rev', 'token']) {
    if (item[name] === undefined) parts.push(`attribute_not_exists(#${name})`);
    else {
      parts.push(`#${name} = :was_${name}`);
      values[`:was_${name}`] = item[name];
    }
  }
  return { expression: parts.join(' AND '), values };
}

/** @throws StoreError CORRUPT_RECORD for an item that is not a record, RECORD_TOO_NEW for a record of a newer format */
export function fromItem(key: StoreKey, item: Attributes): Kept {
  const version = toNumber(item.v) ?? 0;
  if (isNewer(version)) throw tooNew(key.address, version);
  const steps = version === FORMAT_VERSION ? parseSteps(item.steps) : undefined;
  const kept = steps && parseKept(item, steps);
  const prior = item.prior as Attributes | undefined;
  const before = kept && prior && parseKept(prior, kept.steps.slice(0, toNumber(prior.stepCount)));
  if (!kept || (prior && !before)) {
    throw corrupt(key, 'is not a record of twiceshy: look at it, then forget() or resolve() the key');
  }
  return { ...kept, prior: before };
}

/** A number in any form that a client may be configured to return: text, bigint, or the result of a `wrapNumbers` function. */
export function toNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  const wrapped = typeof value === 'object' && value !== null && 'value' in value ? value.value : value;
  if (typeof wrapped !== 'string' && (typeof wrapped !== 'object' || wrapped === null)) return undefined;
  const text = numberText(wrapped);
  return text === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
}

function numberText(value: string | object): string {
  try {
    return `${value as string}`.trim();
  } catch {
    return '';
  }
}

function parseKept(item: Attributes, steps: readonly RecordedStep[]): Kept | undefined {
  const status = STATUSES.find((one) => one === item.status);
  const onAbandoned = ABANDONED_RULES.find((one) => one === item.onAbandoned);
  const [digest, token] = [item.digest, item.token].map(toText);
  const [fence, attempt, failures, leaseEndsAtMs, createdAtMs, startedAtMs, expiresAtMs] = [
    ...[item.fence, item.attempt, item.failures],
    ...[item.leaseEndsAtMs, item.createdAtMs, item.startedAtMs, item.expiresAtMs],
  ].map(toNumber);
  if (status === undefined || onAbandoned === undefined || digest === undefined || token === undefined)
    return undefined;
  if (fence === undefined || attempt === undefined || failures === undefined) return undefined;
  if (leaseEndsAtMs === undefined || createdAtMs === undefined || expiresAtMs === undefined) return undefined;
  if (startedAtMs === undefined) return undefined;
  return {
    ...{ status, onAbandoned, digest, token, fence, attempt, failures, steps },
    ...{ leaseEndsAtMs, createdAtMs, startedAtMs, expiresAtMs, prior: undefined },
    notes: parseNotes(item.notes),
    final: item.final === true,
    previousToken: toText(item.previousToken),
    previousEnd: ENDS.find((end) => end === item.previousEnd),
    fingerprint: toText(item.fingerprint),
    settledAtMs: toNumber(item.settledAtMs),
    payload: toText(item.payload),
    hitCount: toNumber(item.hitCount) ?? 0,
  };
}

function parseNotes(value: unknown): Notes | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  return value;
}

function parseSteps(value: unknown): readonly RecordedStep[] | undefined {
  if (value === undefined) return NO_STEPS;
  if (!Array.isArray(value)) return undefined;
  return (value as Attributes[]).map(({ name, payload }) => ({
    name: toText(name) ?? '',
    payload: toText(payload),
  }));
}

function stepAttributes(steps: readonly RecordedStep[]): Attributes {
  if (steps.length === 0) return {};
  return { steps: steps.map(stepAttribute), stepNames: steps.map(stepName) };
}

function defined(kept: Kept): Attributes {
  const { steps: _steps, prior: _prior, notes, ...plain } = kept;
  return present({ ...plain, notes: notes && present(notes) });
}

function present(fields: object): Attributes {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** A text attribute. A client with `convertEmptyValues` writes an empty text as null. */
function toText(value: unknown): string | undefined {
  if (value === null) return '';
  return typeof value === 'string' ? value : undefined;
}

function corrupt(key: StoreKey, what: string): StoreError {
  return new StoreError('CORRUPT_RECORD', `the item at ${JSON.stringify(key.address)} ${what}`);
}
