import { isLive, type StoredRecord } from '../../../core/record.js';

export const LEAST_RETRY_SECONDS = 1;
/** Nobody is asked to wait for longer, as long as somebody works. */
const LONGEST_RETRY_SECONDS = 30;

/**
 * When the client is to ask again. Half of the time that the running attempt has taken already: a short one ends soon, and
 * a long one is not asked about every second. An owner renews its lease at a third of it. So one whose lease is half over
 * was silent for too long to be alive, and then the rest of the lease is what the client must wait for.
 * @param record the running attempt, as it was just seen
 */
export function retryAfterSeconds(
  record: StoredRecord | undefined,
  leaseMs: number,
  nowMs: number = Date.now(),
): number {
  if (!record || !isLive(record)) return LEAST_RETRY_SECONDS;
  const { leaseRemainingMs, startedAtMs } = record;
  if (leaseRemainingMs < leaseMs / 2) return atLeastOne(leaseRemainingMs / 1_000);
  // The start is on the store's clock. A hint may be wrong by the difference of two clocks.
  return Math.min(LONGEST_RETRY_SECONDS, atLeastOne((nowMs - startedAtMs) / 2_000));
}

const atLeastOne = (seconds: number): number => Math.max(LEAST_RETRY_SECONDS, Math.ceil(seconds));
