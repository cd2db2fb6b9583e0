import type { StoreKey, StoredRecord } from '../../core/record.js';
import type { ClaimAnswer, ClaimRequest } from '../../core/store.js';
import { isGranted, read, type Run } from './postgres-operations.js';
import { grantOf, type Row } from './postgres-record.js';

/** Nobody's: the attempt that it stands for is not visible yet. */
const HIDDEN_TOKEN = 'in-a-transaction';

/**
 * What a claim is told.
 * @param sinceUs when the claimer began to wait, on the database's clock
 */
export function answerOf(row: Row, token: string, sinceUs: number): ClaimAnswer {
  if (isGranted(row, token)) return { kind: 'acquired', grant: grantOf(row) };
  const { record, settledUs } = row;
  // The claim has waited for the row of an attempt that then failed: who waited on it shares its failure, and is not the next
  // to run. So it is told what stood there when it came, and reads the rest as a waiter does.
  const waited =
    record.status === 'FAILED' && !record.final && settledUs !== undefined && settledUs > sinceUs;
  return { kind: 'existing', record: waited ? asRunning(record) : record };
}

/** The record of a transaction that has not ended, as far as anybody can know it. */
export async function hidden(run: Run, key: StoreKey, request: ClaimRequest): Promise<StoredRecord> {
  const below = await read(run, key);
  if (below?.final) return below;
  return asRunning({
    token: HIDDEN_TOKEN,
    // Above what stood there, and not above the attempt that runs: who waits on it shares its failure.
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
  // Only to say that it is not over: the next look is at the record itself.
  leaseRemainingMs: 1_000,
  settledAtMs: undefined,
  payload: undefined,
});
