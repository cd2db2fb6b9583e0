import { describe, expect, test } from '@jest/globals';
import { IdempotencyStatus, type StoredRecord } from '../../src/core/record.js';
import { retryAfterSeconds } from '../../src/http/internal/exchange/retry-after.js';

const LEASE_MS = 30_000;
const NOW_MS = 1_000_000_000;

/** A running attempt that began so long ago, with so much of its lease left. */
function running(ageMs: number, leaseRemainingMs = LEASE_MS): StoredRecord {
  return {
    ...{
      status: IdempotencyStatus.IN_PROGRESS,
      final: false,
      token: 't',
      fence: 1,
      restored: false,
      attempt: 1,
    },
    ...{ failures: 0, fingerprint: undefined, onAbandoned: 'retry', leaseRemainingMs, hitCount: 0 },
    ...{ createdAtMs: NOW_MS - ageMs, startedAtMs: NOW_MS - ageMs, settledAtMs: undefined },
    ...{ expiresAtMs: NOW_MS + 86_400_000, notes: undefined, payload: undefined },
  } as StoredRecord;
}
const asked = (record: StoredRecord | undefined) => retryAfterSeconds(record, LEASE_MS, NOW_MS);

describe('Retry-After is half of the time that the first request has taken', () => {
  test.each([
    [0, 1],
    [1_999, 1],
    [2_000, 1],
    [2_001, 2],
    [10_000, 5],
    [40_000, 20],
    [60_000, 30],
  ])('after %i ms, it is %i s', (ageMs, seconds) => {
    expect(asked(running(ageMs))).toBe(seconds);
  });

  test('it does not grow beyond half a minute, however long the attempt takes', () => {
    expect(asked(running(3_600_000))).toBe(30);
  });

  test('it is a second where the clock of the store is ahead of ours', () => {
    expect(asked(running(-5_000))).toBe(1);
  });

  test('it is a second where no record was seen', () => {
    expect(asked(undefined)).toBe(1);
  });

  test('it is a second where the attempt has ended meanwhile', () => {
    expect(asked({ ...running(40_000), status: IdempotencyStatus.COMPLETED, leaseRemainingMs: 0 })).toBe(1);
  });
});

describe('an owner that was silent for more than half of its lease is waited for until the lease ends', () => {
  test.each([
    [14_999, 15],
    [9_001, 10],
    [9_000, 9],
    [1, 1],
  ])('with %i ms left, it is %i s', (leftMs, seconds) => {
    expect(asked(running(3_600_000, leftMs))).toBe(seconds);
  });

  test('with half of the lease left it counts as alive: the age of the attempt decides', () => {
    expect(asked(running(4_000, LEASE_MS / 2))).toBe(2);
  });

  test('a lease that is over says nothing: the next request runs', () => {
    expect(asked(running(40_000, 0))).toBe(1);
  });

  test('the rest of a long lease may be longer than half a minute', () => {
    expect(retryAfterSeconds(running(100_000, 100_000), 300_000, NOW_MS)).toBe(100);
  });
});
