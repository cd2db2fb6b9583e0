import { anotherIdentity } from '../../core/errors.js';
import {
  NO_STEPS,
  settledNotes,
  type Lease,
  type RecordedStep,
  type StoreKey,
  type StoredRecord,
} from '../../core/record.js';
import {
  MARK_MS,
  TOMBSTONE_MS,
  type ClaimAnswer,
  type ClaimRequest,
  type Replacement,
  type Settlement,
} from '../../core/store.js';
import { granted, lineage, toStoredRecord as described, rewritten, withdrawn, type Kept } from './kept.js';

/**
 * What each method of the store contract does to a record, for stores that read, decide, and write only if nothing changed in
 * between: memory, DynamoDB and KeyValueStore. Pure functions: the time is an argument, and the store makes the write atomic.
 */
export interface Move<Answer> {
  readonly answer: Answer;
  /** The record to write; undefined leaves the record as it is. */
  readonly write?: Kept | undefined;
}

export interface Moment {
  /** The start of new leases and retentions. */
  readonly nowMs: number;
  /** The time by which ends are judged: `nowMs` less a margin for other machines' clocks. */
  readonly judgedMs: number;
  /** The next fencing token (G5): larger than `previous`, and than every one that was returned here before. */
  nextFence(previous: number): number;
}

/** The owner token of a record that was forgotten. */
export const NOBODY = '-'.repeat(16);

/**
 * The record, if it has not expired.
 * @throws UsageError INVALID_KEY if the record belongs to another identity with the same address (G10)
 */
export function present(kept: Kept | undefined, key: StoreKey, at: Moment): Kept | undefined {
  if (!kept || kept.expiresAtMs <= at.judgedMs) return undefined;
  if (kept.digest !== key.digest) throw anotherIdentity(key.address);
  return kept;
}

export const storedRecord = (kept: Kept, at: Moment): StoredRecord => described(kept, at.judgedMs);

export function claim(
  found: Kept | undefined,
  key: StoreKey,
  request: ClaimRequest,
  at: Moment,
): Move<ClaimAnswer> {
  if (found?.token === request.token && found.status === 'IN_PROGRESS') {
    return grant(extended(found, request, at));
  }
  if (found && !isOpenTo(found, request, at)) {
    return { answer: { kind: 'existing', record: storedRecord(found, at) } };
  }
  const replaced = found?.status === 'TOMBSTONE' ? undefined : found;
  const lease = { ...request, fence: at.nextFence(found?.fence ?? 0), ...lineage(replaced, at.nowMs) };
  const made: Kept = {
    ...rewritten(key, lease),
    failures: found?.failures ?? 0,
    // One level is enough to undo this claim. With more, a crash loop would make the record grow without limit.
    prior: found && { ...found, prior: undefined },
  };
  return grant(extended(made, request, at));
}

export function renew(
  found: Kept | undefined,
  key: StoreKey,
  lease: Lease,
  at: Moment,
): Move<number | false> {
  const own = ownRunning(found, lease);
  if (!own && !mayWrite(found, lease, lease.unsettledRetentionMs, at)) return { answer: false };
  const write = extended(own ?? rewritten(key, lease), lease, at);
  return { answer: write.leaseEndsAtMs, write };
}

export function step(
  found: Kept | undefined,
  key: StoreKey,
  lease: Lease,
  done: RecordedStep,
  at: Moment,
): Move<boolean> {
  const own = ownRunning(found, lease);
  if (own || found?.previousToken === lease.token) {
    if (found?.steps.some(({ name }) => name === done.name)) return { answer: true };
    return own ? { answer: true, write: { ...own, steps: [...own.steps, done] } } : { answer: false };
  }
  if (!mayWrite(found, lease, lease.unsettledRetentionMs, at)) return { answer: false };
  const again = rewritten(key, { ...lease, steps: [...lease.steps, done] });
  return { answer: true, write: extended(again, lease, at) };
}

export function settle(
  found: Kept | undefined,
  key: StoreKey,
  lease: Lease,
  settlement: Settlement,
  at: Moment,
): Move<boolean> {
  const own = found?.token === lease.token ? found : undefined;
  if (own && own.status !== 'IN_PROGRESS') return { answer: own.status !== 'TOMBSTONE' };
  if (found?.previousToken === lease.token) return { answer: found.previousEnd === 'settled' };
  if (!own && !mayWrite(found, lease, settlement.retentionMs, at)) return { answer: false };
  // An attempt whose claim was never answered does not know its fence. It takes the fence of its own record.
  const before = own ?? { ...rewritten(key, lease), fence: lease.fence || at.nextFence(0) };
  const steps = settlement.final ? NO_STEPS : (own ?? lease).steps;
  return { answer: true, write: { ...before, ...settled(lease, settlement, at), steps } };
}

/** The fields that settling changes in a record, without the steps. */
export function settled(lease: Lease, settlement: Settlement, at: Moment) {
  const { status, final, failures, payload, retentionMs } = settlement;
  const isUnknown = status === 'IN_PROGRESS';
  return {
    ...{ status, final, failures, prior: undefined, notes: settledNotes(lease.notes) },
    payload: isUnknown ? undefined : payload,
    leaseEndsAtMs: isUnknown ? at.judgedMs : 0,
    settledAtMs: isUnknown ? undefined : at.nowMs,
    expiresAtMs: at.nowMs + (isUnknown ? lease.unsettledRetentionMs : retentionMs),
  };
}

export function release(found: Kept | undefined, key: StoreKey, token: string, at: Moment): Move<boolean> {
  const undone = found?.token === token && found.status === 'IN_PROGRESS';
  if (undone || !found) {
    const prior = undone ? present(found.prior, key, at) : undefined;
    const mark = tombstone(key, token, found, at.nowMs + MARK_MS, at);
    // Keeps the fence of the attempt that was undone, so that the next one gets a higher fence even if the clock stepped back (G5).
    const restored = prior && { ...withdrawn(prior, token), fence: found?.fence ?? prior.fence };
    return { answer: undone, write: restored ?? mark };
  }
  const isOver = !found.final && found.leaseEndsAtMs <= at.judgedMs;
  return { answer: false, write: isOver && found.token !== token ? withdrawn(found, token) : undefined };
}

export function override(
  found: Kept | undefined,
  key: StoreKey,
  replacement: Replacement,
  at: Moment,
): Move<'done' | 'absent' | 'live'> {
  if (!found || found.status === 'TOMBSTONE') return { answer: 'absent' };
  const isRunning = found.status === 'IN_PROGRESS';
  const isForced = replacement.kind === 'forget' && replacement.force;
  if (isRunning && found.leaseEndsAtMs > at.judgedMs && !isForced) return { answer: 'live' };
  // The attempt becomes the previous one, so that commands that it resends are still recognised.
  const previousEnd = isRunning ? ('abandoned' as const) : ('settled' as const);
  const replaced = { previousToken: found.token, previousEnd };
  if (replacement.kind === 'forget') {
    const expiresAtMs = Math.max(found.expiresAtMs, at.nowMs + TOMBSTONE_MS);
    const mark = tombstone(key, NOBODY, found, expiresAtMs, at);
    return { answer: 'done', write: { ...mark, ...replaced } };
  }
  const { status, final, payload, token, retentionMs } = replacement;
  const outcome = { status, final, payload, token, fence: at.nextFence(found.fence) };
  const times = { leaseEndsAtMs: 0, settledAtMs: at.nowMs, expiresAtMs: at.nowMs + retentionMs };
  const cleared = { hitCount: 0, steps: NO_STEPS, prior: undefined };
  const notes = settledNotes(found.notes);
  return { answer: 'done', write: { ...found, ...outcome, ...times, ...replaced, ...cleared, notes } };
}

/** Takes the place of a record that can't be read, so that `override` can replace it: settled, without an owner. */
export function unreadable(key: StoreKey, at: Moment): Kept {
  const nobody = { token: NOBODY, fence: 0, fingerprint: undefined, onAbandoned: 'retry' as const };
  const made = rewritten(key, { ...nobody, ...lineage(undefined, at.nowMs) });
  return { ...made, status: 'FAILED', final: true, expiresAtMs: at.nowMs + TOMBSTONE_MS };
}

/** Whether a claim is granted: over a tombstone, or over the record that it names; but not if its own token has ended before. */
function isOpenTo(found: Kept, { token, replacing }: ClaimRequest, at: Moment): boolean {
  if (found.token === token || found.previousToken === token) return false;
  if (found.status === 'TOMBSTONE') return true;
  if (found.token !== replacing) return false;
  return found.status === 'IN_PROGRESS' ? found.leaseEndsAtMs <= at.judgedMs : !found.final;
}

function ownRunning(found: Kept | undefined, lease: Lease): Kept | undefined {
  return found?.token === lease.token && found.status === 'IN_PROGRESS' ? found : undefined;
}

/** Whether an attempt may write over a record that is not its own (G3). */
function mayWrite(found: Kept | undefined, lease: Lease, retentionMs: number, at: Moment): boolean {
  if (!found) return at.nowMs <= lease.leaseEndsAtMs + retentionMs;
  // A takeover that was withdrawn has a higher fence, but must not write any more.
  if (found.previousToken === lease.token) return false;
  return found.status !== 'TOMBSTONE' && !found.final && found.fence < lease.fence;
}

function grant(write: Kept): Move<ClaimAnswer> {
  return { answer: granted(write), write };
}

function extended(kept: Kept, terms: { leaseMs: number; unsettledRetentionMs: number }, at: Moment): Kept {
  const leaseEndsAtMs = at.nowMs + terms.leaseMs;
  return { ...kept, leaseEndsAtMs, expiresAtMs: leaseEndsAtMs + terms.unsettledRetentionMs };
}

/** What remains of a removed record: a fence above its own, and the count of failures, which is a part of derived keys. */
function tombstone(
  key: StoreKey,
  token: string,
  gone: Kept | undefined,
  expiresAtMs: number,
  at: Moment,
): Kept {
  const nobody = { token, fingerprint: undefined, onAbandoned: 'retry' as const };
  const made = rewritten(key, {
    ...{ ...nobody, fence: at.nextFence(gone?.fence ?? 0) },
    ...{ ...lineage(undefined, at.nowMs), failures: gone?.failures ?? 0 },
  });
  return { ...made, status: 'TOMBSTONE', expiresAtMs };
}

let lastFence = 0;

/**
 * @param marginMs how much longer than its end another attempt's lease is respected
 * @param floor the fence of the record in the store, even if it has expired
 */
export function momentAt(nowMs: number, marginMs: number, floor = 0): Moment {
  return {
    nowMs,
    judgedMs: nowMs - marginMs,
    // Counted within the process, because a clock in milliseconds is too coarse for a loop of claims and releases.
    nextFence: (previous) => (lastFence = Math.max(previous + 1, floor + 1, lastFence + 1, nowMs * 1_000)),
  };
}
