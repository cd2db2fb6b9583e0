import { invalid } from '../../core/check.js';
import { anotherIdentity } from '../../core/errors.js';
import type { Lease, Notes, RecordedStep, StoreKey, StoredRecord } from '../../core/record.js';
import {
  MARK_MS,
  TOMBSTONE_MS,
  type ClaimAnswer,
  type ClaimRequest,
  type Replacement,
  type Settlement,
} from '../../core/store.js';
import type { Values } from './database.js';
import {
  toGrant,
  keyText,
  microseconds,
  milliseconds,
  parseRow,
  stepNamed,
  stepsText,
  toText,
  wakeText,
  type Row,
} from './record.js';
import type { StatementName } from './statements.sql.js';

/** Runs a statement, on the pool or inside a transaction. */
export type Run = (name: StatementName, values: Values) => Promise<Record<string, unknown>[]>;

/** The operations of the store: each passes values to a statement, and interprets its result. */
export async function claim(
  run: Run,
  key: StoreKey,
  request: ClaimRequest,
  lockMs: number | undefined,
): Promise<Row> {
  const [row] = await run('CLAIM', {
    ...identityValues(key, lockMs),
    token: request.token,
    replacing: request.replacing ?? null,
    lease_us: microseconds(request.leaseMs),
    kept_us: microseconds(request.unsettledRetentionMs),
    on_abandoned: request.onAbandoned,
    fingerprint: request.fingerprint ?? null,
    ...noted(request.notes),
  });
  return parseRow(key, row);
}

const isGranted = ({ record, isTombstone }: Row, token: string): boolean =>
  record.token === token && record.status === 'IN_PROGRESS' && !isTombstone;

export async function renew(
  run: Run,
  key: StoreKey,
  lease: Lease,
  lockMs: number | undefined,
): Promise<number | false> {
  const [row] = await run('RENEW', {
    ...identityValues(key, lockMs),
    ...leaseValues(lease, lease.unsettledRetentionMs),
    kept_us: microseconds(lease.unsettledRetentionMs),
    steps: stepsText(lease.steps),
  });
  return row ? milliseconds(Number(row['lease_ends_us'])) : false;
}

export async function step(
  run: Run,
  key: StoreKey,
  lease: Lease,
  recorded: RecordedStep,
  lockMs: number | undefined,
): Promise<boolean> {
  const rows = await run('STEP', {
    ...identityValues(key, lockMs),
    ...leaseValues(lease, lease.unsettledRetentionMs),
    kept_us: microseconds(lease.unsettledRetentionMs),
    steps: stepsText([...lease.steps, recorded]),
    step: stepsText([recorded]),
    step_named: stepNamed(recorded.name),
  });
  return rows.length > 0;
}

export async function settle(
  run: Run,
  key: StoreKey,
  lease: Lease,
  settlement: Settlement,
  lockMs: number | undefined,
): Promise<boolean> {
  const { status, final, failures, payload, retentionMs } = settlement;
  const isUnknown = status === 'IN_PROGRESS';
  const rows = await run('SETTLE', {
    ...identityValues(key, lockMs),
    ...leaseValues(lease, retentionMs),
    ...{ status, final, failures },
    payload: isUnknown ? null : textOrNull(payload),
    kept_us: microseconds(isUnknown ? lease.unsettledRetentionMs : retentionMs),
    steps: stepsText(lease.steps),
  });
  return rows.length > 0;
}

export async function release(
  run: Run,
  key: StoreKey,
  token: string,
  lockMs: number | undefined,
): Promise<boolean> {
  const values = { ...identityValues(key, lockMs), token, kept_us: microseconds(MARK_MS) };
  const [row] = await run('RELEASE', values);
  return row?.['undone'] === 'true';
}

export async function read(run: Run, key: StoreKey): Promise<StoredRecord | undefined> {
  const [selected] = await run('READ', identityValues(key, undefined));
  if (!selected) return undefined;
  const row = parseRow(key, selected);
  return row.isTombstone ? undefined : row.record;
}

export async function override(
  run: Run,
  key: StoreKey,
  replacement: Replacement,
  lockMs: number | undefined,
): Promise<'done' | 'absent' | 'live'> {
  const identity = identityValues(key, lockMs);
  const [row] =
    replacement.kind === 'forget'
      ? await run('FORGET', { ...identity, force: replacement.force, kept_us: microseconds(TOMBSTONE_MS) })
      : await run('RESOLVE', { ...identity, ...resolution(replacement) });
  const verdict = row?.['verdict'] ?? 'absent';
  if (verdict === 'foreign') throw anotherIdentity(key.address);
  return verdict as 'done' | 'absent' | 'live';
}

function resolution(replacement: Extract<Replacement, { kind: 'resolve' }>): Values {
  const { status, final, token, payload, retentionMs } = replacement;
  if (status === 'IN_PROGRESS') {
    throw invalid('the status of a resolved record must be COMPLETED or FAILED');
  }
  return { status, final, token, payload: textOrNull(payload), kept_us: microseconds(retentionMs) };
}

const identityValues = (key: StoreKey, lockMs: number | undefined): Values => ({
  key: keyText(key.address),
  digest: key.digest,
  wake: wakeText(key.address),
  lock_ms: lockMs === undefined ? null : String(lockMs),
});

/** @param retentionMs how long after its lease the attempt may write where there is no record */
function leaseValues(lease: Lease, retentionMs: number): Values {
  return {
    ...{ token: lease.token, fence: lease.fence, attempt: lease.attempt, failures: lease.failures },
    previous_token: lease.previousToken ?? null,
    previous_end: lease.previousEnd ?? null,
    fingerprint: lease.fingerprint ?? null,
    on_abandoned: lease.onAbandoned,
    ...noted(lease.notes),
    created_us: microseconds(lease.createdAtMs),
    started_us: microseconds(lease.startedAtMs),
    lease_us: microseconds(lease.leaseMs),
    deadline_us: microseconds(lease.leaseEndsAtMs + retentionMs),
  };
}

const noted = (notes: Notes | undefined): Values => ({
  traceparent: textOrNull(notes?.traceparent),
  holder: textOrNull(notes?.holder),
  facts: textOrNull(notes?.facts),
});

const textOrNull = (text: string | undefined): string | null => (text === undefined ? null : toText(text));

/** The token in place of an attempt's, whose transaction is not committed, so that its token can't be read. */
const HIDDEN_TOKEN = 'in-a-transaction';

/**
 * The answer to a claim.
 * @param sinceUs when the caller began to wait, by the database's clock
 */
export function claimAnswer(row: Row, token: string, sinceUs: number): ClaimAnswer {
  if (isGranted(row, token)) return { kind: 'acquired', grant: toGrant(row) };
  const { record, settledUs } = row;
  // This claim waited for the row of an attempt that then failed. A caller that waited shares that failure and does not run next.
  // So the answer is the running record that was there when the claim came, and the caller reads the failure as a waiter does.
  const waited =
    record.status === 'FAILED' && !record.final && settledUs !== undefined && settledUs > sinceUs;
  return { kind: 'existing', record: waited ? asRunning(record) : record };
}

/** A record for an attempt whose transaction has not ended, made from what is visible. */
export async function hidden(run: Run, key: StoreKey, request: ClaimRequest): Promise<StoredRecord> {
  const below = await read(run, key);
  if (below?.final) return below;
  return asRunning({
    token: HIDDEN_TOKEN,
    // Above the fence of the visible record, and not above that of the running attempt: so those who wait share its failure.
    fence: (below?.fence ?? 0) + 1,
    attempt: (below?.attempt ?? 0) + 1,
    failures: below?.failures ?? 0,
    fingerprint: below?.fingerprint,
    onAbandoned: 'retry',
    createdAtMs: below?.createdAtMs ?? Date.now(),
    startedAtMs: Date.now(),
    expiresAtMs: Date.now() + request.leaseMs + request.unsettledRetentionMs,
    hitCount: 0,
    notes: undefined,
    format: 'twiceshy',
  });
}

type Fixed = 'status' | 'final' | 'restored' | 'leaseRemainingMs' | 'settledAtMs' | 'payload';

const asRunning = (record: Omit<StoredRecord, Fixed>): StoredRecord => ({
  ...record,
  status: 'IN_PROGRESS',
  final: false,
  restored: false,
  // Any positive value: it only says that the lease has not ended. The caller then reads the record itself.
  leaseRemainingMs: 1_000,
  settledAtMs: undefined,
  payload: undefined,
});
