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
import { granted, lineage, recordOf as described, rewritten, withdrawn, type Kept } from './kept.js';

/**
 * What each step of the contract makes of a record, for stores that read, decide, and write only if nothing changed in
 * between: memory, DynamoDB and KeyValueStore. Pure: the moment is given, and whether the write may stand is the store's affair.
 */
export interface Move<Answer> {
  readonly answer: Answer;
  /** What stands there from now on; undefined leaves the record as it is. */
  readonly write?: Kept | undefined;
}

export interface Moment {
  /** What leases and retention are counted from. */
  readonly nowMs: number;
  /** What ends are judged by: `nowMs`, less the margin for other machines' clocks. */
  readonly judgedMs: number;
  /** G5: larger than `previous`, and than every fence given here before. */
  nextFence(previous: number): number;
}

/** Who holds a record that a person forgot. */
export const NOBODY = '-'.repeat(16);

/**
 * The record as far as it still counts.
 * @throws UsageError INVALID_KEY where another identity's record stands there (G10)
 */
export function present(kept: Kept | undefined, key: StoreKey, at: Moment): Kept | undefined {
  if (!kept || kept.expiresAtMs <= at.judgedMs) return undefined;
  if (kept.digest !== key.digest) throw anotherIdentity(key.address);
  return kept;
}

export const recordOf = (kept: Kept, at: Moment): StoredRecord => described(kept, at.judgedMs);

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
    return { answer: { kind: 'existing', record: recordOf(found, at) } };
  }
  const replaced = found?.status === 'TOMBSTONE' ? undefined : found;
  const lease = { ...request, fence: at.nextFence(found?.fence ?? 0), ...lineage(replaced, at.nowMs) };
  const made: Kept = {
    ...rewritten(key, lease),
    failures: found?.failures ?? 0,
    // One level is enough to undo this claim; more would let a crash loop grow without end.
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
  // An attempt whose claim was never answered knows no fence: it takes its own record's.
  const before = own ?? { ...rewritten(key, lease), fence: lease.fence || at.nextFence(0) };
  const steps = settlement.final ? NO_STEPS : (own ?? lease).steps;
  return { answer: true, write: { ...before, ...settled(lease, settlement, at), steps } };
}

/** What a settling changes in a record, but for its steps. */
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
    // The fence stays: the next attempt gets a higher one than the one that was undone, whatever the clock says (G5).
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
  // The attempt that is replaced becomes the previous one, so that its resent commands are still recognised.
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

/** What a person's write finds in the place of a record that can't be read: something settled, of nobody. */
export function unreadable(key: StoreKey, at: Moment): Kept {
  const nobody = { token: NOBODY, fence: 0, fingerprint: undefined, onAbandoned: 'retry' as const };
  const made = rewritten(key, { ...nobody, ...lineage(undefined, at.nowMs) });
  return { ...made, status: 'FAILED', final: true, expiresAtMs: at.nowMs + TOMBSTONE_MS };
}

/** A claim wins over a tombstone, or the record it names, unless its own token was seen to end. */
function isOpenTo(found: Kept, { token, replacing }: ClaimRequest, at: Moment): boolean {
  if (found.token === token || found.previousToken === token) return false;
  if (found.status === 'TOMBSTONE') return true;
  if (found.token !== replacing) return false;
  return found.status === 'IN_PROGRESS' ? found.leaseEndsAtMs <= at.judgedMs : !found.final;
}

function ownRunning(found: Kept | undefined, lease: Lease): Kept | undefined {
  return found?.token === lease.token && found.status === 'IN_PROGRESS' ? found : undefined;
}

/** G3, for a record that is not the writer's own. */
function mayWrite(found: Kept | undefined, lease: Lease, retentionMs: number, at: Moment): boolean {
  if (!found) return at.nowMs <= lease.leaseEndsAtMs + retentionMs;
  // A takeover that was withdrawn has the higher fence, and nothing to write any more.
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

/** What stays of a record that is gone: its fence, and the failures that derived keys are renewed by. */
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
 * @param marginMs how much longer than its end a lease of somebody else counts
 * @param floor the fence of what stands there, also when it no longer counts
 */
export function momentAt(nowMs: number, marginMs: number, floor = 0): Moment {
  return {
    nowMs,
    judgedMs: nowMs - marginMs,
    // It counts within the process, since a clock in milliseconds is too coarse for a claim-release loop.
    nextFence: (previous) => (lastFence = Math.max(previous + 1, floor + 1, lastFence + 1, nowMs * 1_000)),
  };
}
