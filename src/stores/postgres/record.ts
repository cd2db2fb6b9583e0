import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { anotherIdentity, StoreError, tooNew } from '../../core/errors.js';
import {
  ABANDONED_RULES,
  type Grant,
  type Lease,
  type Notes,
  type RecordedStep,
  type StoredRecord,
  type StoreKey,
} from '../../core/record.js';
import { FORMAT_VERSION, isNewer } from '../shared/record-fields.js';

/** Escapes NUL, which no text of PostgreSQL can contain, and itself. */
const ESCAPE = '\u0001';
/** Less than the 2,700 bytes that an index entry may have. */
const MAX_KEY_BYTES = 2_000;
const KEPT_OF_LONG_KEY = 400;
/** The last time that a JavaScript number can hold in microseconds. */
const LATEST_MS = Math.floor(Number.MAX_SAFE_INTEGER / 1_000);

/** Text for PostgreSQL: unchanged, except that NUL is escaped. */
export function toText(text: string): string {
  if (!text.includes('\0') && !text.includes(ESCAPE)) return text;
  return text.replaceAll(ESCAPE, `${ESCAPE}1`).replaceAll('\0', `${ESCAPE}0`);
}

function fromText(text: string): string {
  if (!text.includes(ESCAPE)) return text;
  return text.replaceAll(`${ESCAPE}0`, '\0').replaceAll(`${ESCAPE}1`, ESCAPE);
}

/** The primary key for an address: the address itself, or if that is too long for an index, its beginning and its hash. */
export function keyText(address: string): string {
  const text = toText(address);
  if (text.length * 3 <= MAX_KEY_BYTES || Buffer.byteLength(text) <= MAX_KEY_BYTES) return text;
  // Never equal to the text of another address, in which a digit follows the escape character.
  return `${text.slice(0, KEPT_OF_LONG_KEY)}${ESCAPE}#${sha256(address, 'hex')}`;
}

/** The payload of a notification: a hash of the address, because everybody who listens on the channel can read it. */
export const wakeText = (address: string): string => sha256(address, 'base64url').slice(0, 22);

export const stepsText = (steps: readonly RecordedStep[]): string => JSON.stringify(steps.map(toStep));

/** The right side of `@>`, to find a step by its name. */
export const stepNamed = (name: string): string => JSON.stringify([{ name: toText(name) }]);

export const microseconds = (ms: number): number => Math.round(Math.min(ms, LATEST_MS) * 1_000);

/** A row that was read. */
export interface Row {
  readonly record: StoredRecord;
  readonly isTombstone: boolean;
  readonly lease: Pick<Lease, 'previousToken' | 'previousEnd' | 'leaseEndsAtMs' | 'steps'>;
  /** The time when the statement began, by the database's clock, in microseconds. */
  readonly nowUs: number;
  readonly settledUs: number | undefined;
}

const STATUSES = ['IN_PROGRESS', 'COMPLETED', 'FAILED', 'TOMBSTONE'] as const;
const ENDS = ['settled', 'abandoned', 'withdrawn'] as const;

/**
 * @throws StoreError CORRUPT_RECORD, or RECORD_TOO_NEW for a newer version's record
 * @throws UsageError INVALID_KEY for another identity's record
 */
export function parseRow(key: StoreKey, selected: unknown): Row {
  const row = selected as Readonly<Record<string, unknown>>;
  const field = new Fields(key, row);
  const version = field.count('version');
  if (isNewer(version)) throw tooNew(key.address, version);
  if (version !== FORMAT_VERSION) {
    const advice = 'drop the table, and make it again with createSchema()';
    throw field.corrupt(`it is of version ${version}, which was never published`, advice);
  }
  if (field.text('digest') !== key.digest) throw anotherIdentity(key.address);
  const status = field.oneOf('status', STATUSES);
  const settledUs = row['settled_us'] === null ? undefined : field.count('settled_us');
  const nowUs = field.count('now_us');
  const leaseEndsUs = field.count('lease_ends_us');
  const end = row['previous_end'] === null ? undefined : field.oneOf('previous_end', ENDS);
  return {
    record: {
      // A tombstone is answered only to a claim that arrives after its own withdrawal. There is nothing to replay.
      status: status === 'TOMBSTONE' ? 'FAILED' : status,
      final: field.oneOf('final', ['true', 'false']) === 'true',
      token: field.text('token'),
      fence: field.count('fence'),
      restored: end === 'withdrawn',
      attempt: field.count('attempt'),
      failures: field.count('failures'),
      fingerprint: field.optional('fingerprint'),
      onAbandoned: field.oneOf('on_abandoned', ABANDONED_RULES),
      leaseRemainingMs: status === 'IN_PROGRESS' ? (leaseEndsUs - nowUs) / 1_000 : 0,
      createdAtMs: milliseconds(field.count('created_us')),
      startedAtMs: milliseconds(field.count('started_us')),
      settledAtMs: settledUs === undefined ? undefined : milliseconds(settledUs),
      expiresAtMs: milliseconds(field.count('expires_us')),
      hitCount: field.count('hit_count'),
      notes: field.notes(),
      payload: field.optional('payload'),
      format: 'twiceshy',
    },
    isTombstone: status === 'TOMBSTONE',
    lease: {
      previousToken: field.optional('previous_token'),
      previousEnd: end === 'withdrawn' ? undefined : end,
      leaseEndsAtMs: milliseconds(leaseEndsUs),
      steps: field.steps('steps'),
    },
    nowUs,
    settledUs,
  };
}

export function toGrant({ record, lease }: Row): Grant {
  const { token, fence, attempt, failures, createdAtMs, startedAtMs } = record;
  return { token, fence, attempt, failures, createdAtMs, startedAtMs, ...lease };
}

export const milliseconds = (us: number): number => Math.floor(us / 1_000);

/** Reads and checks the columns of a row. Numbers are selected as text, so that type parsers of the driver do not matter. */
class Fields {
  constructor(
    private readonly key: StoreKey,
    private readonly row: Readonly<Record<string, unknown>>,
  ) {}

  corrupt(
    why: string,
    advice = 'forget() the key, or delete the row, once you know whether the operation took effect',
  ): StoreError {
    return new StoreError(
      'CORRUPT_RECORD',
      `the row of ${JSON.stringify(this.key.address)} is not a record: ${why}; ${advice}`,
    );
  }

  text(column: string): string {
    const value = this.row[column];
    if (typeof value === 'string') return value;
    throw this.#odd(column);
  }

  /** Text that {@link toText} wrote, or undefined. */
  optional(column: string): string | undefined {
    return this.row[column] === null ? undefined : fromText(this.text(column));
  }

  notes(): Notes | undefined {
    const traceparent = this.optional('traceparent');
    const holder = this.optional('holder');
    const facts = this.optional('facts');
    if (traceparent === undefined && holder === undefined && facts === undefined) return undefined;
    return { traceparent, holder, facts };
  }

  count(column: string): number {
    const value = this.row[column];
    const number = typeof value === 'string' && value !== '' ? Number(value) : NaN;
    if (Number.isSafeInteger(number) && number >= 0) return number;
    throw this.#odd(column);
  }

  oneOf<T extends string>(column: string, choices: readonly T[]): T {
    const value = this.row[column];
    for (const choice of choices) if (choice === value) return choice;
    throw this.#odd(column);
  }

  steps(column: string): RecordedStep[] {
    const text = this.text(column);
    if (text === '[]') return [];
    try {
      return (JSON.parse(text) as unknown[]).map(fromStep);
    } catch {
      throw this.#odd(column);
    }
  }

  #odd(column: string): StoreError {
    return this.corrupt(
      `its column ${column} holds ${String(JSON.stringify(this.row[column])).slice(0, 60)}`,
    );
  }
}

function toStep({ name, payload }: RecordedStep): object {
  return payload === undefined ? { name: toText(name) } : { name: toText(name), payload: toText(payload) };
}

function fromStep(step: unknown): RecordedStep {
  const { name, payload } = step as { name?: unknown; payload?: unknown };
  if (typeof name !== 'string') throw new TypeError('a step without a name');
  if (payload !== undefined && typeof payload !== 'string') throw new TypeError('a step without text');
  return { name: fromText(name), payload: payload === undefined ? undefined : fromText(payload) };
}

function sha256(text: string, encoding: 'hex' | 'base64url'): string {
  return createHash('sha256').update(text).digest(encoding);
}
