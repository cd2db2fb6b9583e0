import { isLive, type StoredRecord } from '../../../core/record.js';

export const LEAST_RETRY_SECONDS = 1;
/** The longest that a client is told to wait while the attempt is alive. */
const LONGEST_RETRY_SECONDS = 30;

/**
 * The value of `Retry-After`: half of the time that the running attempt has taken so far, because a short one probably ends soon,
 * and a long one need not be asked about every second. An owner renews its lease after a third of it. So if half of the lease has
 * passed, the owner is probably dead, and the client must wait for the rest of the lease.
 * @param record the running attempt, as it was just read
 */
export function retryAfterSeconds(
  record: StoredRecord | undefined,
  leaseMs: number,
  nowMs: number = Date.now(),
): number {
  if (!record || !isLive(record)) return LEAST_RETRY_SECONDS;
  const { leaseRemainingMs, startedAtMs } = record;
  if (leaseRemainingMs < leaseMs / 2) return atLeastOne(leaseRemainingMs / 1_000);
  // The start is by the store's clock, so the hint may be wrong by the difference of the clocks. That is acceptable.
  return Math.min(LONGEST_RETRY_SECONDS, atLeastOne((nowMs - startedAtMs) / 2_000));
}

const atLeastOne = (seconds: number): number => Math.max(LEAST_RETRY_SECONDS, Math.ceil(seconds));
