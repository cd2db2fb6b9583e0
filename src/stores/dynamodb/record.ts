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
 * | rev | random, new with every write but the counting of hits: what a read-then-write requires unchanged |
 * | ttl | when DynamoDB may delete the item, in seconds: its end and the clock margin |
 * | stepNames | the names in `steps`, each after a `=`, so that a condition can say that one is absent |
 * | prior.stepCount | how many of the steps the prior record had: they are not kept twice |
 *
 * What is undefined is absent.
 */
const STATUSES = ['IN_PROGRESS', 'COMPLETED', 'FAILED', 'TOMBSTONE'] as const;
const ENDS = ['settled', 'abandoned', 'withdrawn'] as const;
const MAX_PK_BYTES = 2_048;

/** @throws UsageError INVALID_KEY for an address that is longer than a partition key may be */
export function pkOf({ address }: StoreKey): string {
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

/** What changes with every write. */
export function stamp(expiresAtMs: number, marginMs: number) {
  return { rev: newRevision(), ttl: Math.ceil((expiresAtMs + marginMs) / 1_000) };
}

export function newRevision(): string {
  return randomBytes(9).toString('base64url');
}

/** A step as an element of the list. */
export const stepAttribute = ({ name, payload }: RecordedStep): Attributes =>
  payload === undefined ? { name } : { name, payload };

/** Never empty: a client may be set up to write the empty text as null. */
export const stepName = ({ name }: RecordedStep): string => `=${name}`;

/** That nothing was written since the item was read. */
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

/** @throws StoreError CORRUPT_RECORD for an item that is no record, RECORD_TOO_NEW for one of a newer format */
export function fromItem(key: StoreKey, item: Attributes): Kept {
  const version = numberOf(item.v) ?? 0;
  if (isNewer(version)) throw tooNew(key.address, version);
  const steps = version === FORMAT_VERSION ? stepsOf(item.steps) : undefined;
  const kept = steps && keptOf(item, steps);
  const prior = item.prior as Attributes | undefined;
  const before = kept && prior && keptOf(prior, kept.steps.slice(0, numberOf(prior.stepCount)));
  if (!kept || (prior && !before)) {
    throw corrupt(key, 'is not a record of twiceshy: look at it, then forget() or resolve() the key');
  }
  return { ...kept, prior: before };
}

/** The client may be set up to give numbers in any form: text, bigints, or what a `wrapNumbers` function makes of them. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  const wrapped = typeof value === 'object' && value !== null && 'value' in value ? value.value : value;
  if (typeof wrapped !== 'string' && (typeof wrapped !== 'object' || wrapped === null)) return undefined;
  const text = textOfNumber(wrapped);
  return text === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
}

function textOfNumber(value: string | object): string {
  try {
    return `${value as string}`.trim();
  } catch {
    return '';
  }
}

function keptOf(item: Attributes, steps: readonly RecordedStep[]): Kept | undefined {
  const status = STATUSES.find((one) => one === item.status);
  const onAbandoned = ABANDONED_RULES.find((one) => one === item.onAbandoned);
  const [digest, token] = [item.digest, item.token].map(textOf);
  const [fence, attempt, failures, leaseEndsAtMs, createdAtMs, startedAtMs, expiresAtMs] = [
    ...[item.fence, item.attempt, item.failures],
    ...[item.leaseEndsAtMs, item.createdAtMs, item.startedAtMs, item.expiresAtMs],
  ].map(numberOf);
  if (status === undefined || onAbandoned === undefined || digest === undefined || token === undefined)
    return undefined;
  if (fence === undefined || attempt === undefined || failures === undefined) return undefined;
  if (leaseEndsAtMs === undefined || createdAtMs === undefined || expiresAtMs === undefined) return undefined;
  if (startedAtMs === undefined) return undefined;
  return {
    ...{ status, onAbandoned, digest, token, fence, attempt, failures, steps },
    ...{ leaseEndsAtMs, createdAtMs, startedAtMs, expiresAtMs, prior: undefined },
    notes: notesOf(item.notes),
    final: item.final === true,
    previousToken: textOf(item.previousToken),
    previousEnd: ENDS.find((end) => end === item.previousEnd),
    fingerprint: textOf(item.fingerprint),
    settledAtMs: numberOf(item.settledAtMs),
    payload: textOf(item.payload),
    hitCount: numberOf(item.hitCount) ?? 0,
  };
}

function notesOf(value: unknown): Notes | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  return value;
}

function stepsOf(value: unknown): readonly RecordedStep[] | undefined {
  if (value === undefined) return NO_STEPS;
  if (!Array.isArray(value)) return undefined;
  return (value as Attributes[]).map(({ name, payload }) => ({
    name: textOf(name) ?? '',
    payload: textOf(payload),
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

/** A client with `convertEmptyValues` writes the empty text as null. */
function textOf(value: unknown): string | undefined {
  if (value === null) return '';
  return typeof value === 'string' ? value : undefined;
}

function corrupt(key: StoreKey, what: string): StoreError {
  return new StoreError('CORRUPT_RECORD', `the item at ${JSON.stringify(key.address)} ${what}`);
}
