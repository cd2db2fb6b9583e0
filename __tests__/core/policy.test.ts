import { describe, expect, test } from '@jest/globals';
import { decide, type Asking } from '../../src/core/decision.js';
import type { AbandonedRule, StoredRecord } from '../../src/core/record.js';

const record = (more: Partial<StoredRecord>): StoredRecord => ({
  status: 'COMPLETED',
  final: true,
  token: 'token',
  fence: 10,
  attempt: 1,
  failures: 0,
  fingerprint: undefined,
  onAbandoned: 'retry',
  leaseRemainingMs: 0,
  restored: false,
  createdAtMs: 0,
  startedAtMs: 0,
  notes: undefined,
  settledAtMs: 0,
  expiresAtMs: 0,
  hitCount: 0,
  payload: undefined,
  format: 'twiceshy',
  ...more,
});
const asking = (more: Partial<Asking> = {}): Asking => ({
  fingerprint: undefined,
  concurrent: 'wait',
  onDuplicate: 'skip',
  onAbandoned: 'retry',
  maxAttempts: Infinity,
  awaited: undefined,
  ...more,
});
const running = record({ status: 'IN_PROGRESS', final: false, leaseRemainingMs: 5 });
const abandoned = record({ status: 'IN_PROGRESS', final: false, leaseRemainingMs: 0 });
const failed = record({ status: 'FAILED', final: false });

describe('policy: (record, asking) -> decision', () => {
  test.each(['replay', 'skip', 'fail'] as const)('a final record answers a duplicate with %s', (how) => {
    expect(decide(record({}), asking({ onDuplicate: how }))).toEqual({ do: 'answer', how });
    expect(decide(record({ status: 'FAILED' }), asking({ onDuplicate: how }))).toEqual({ do: 'answer', how });
  });

  test('a running one is waited for, or refused with CONCURRENT_REQUEST', () => {
    expect(decide(running, asking())).toEqual({ do: 'wait' });
    expect(decide(running, asking({ concurrent: 'reject' }))).toMatchObject({
      do: 'refuse',
      code: 'CONCURRENT_REQUEST',
    });
  });

  test('a failed one is run again by a new caller', () => {
    expect(decide(failed, asking())).toEqual({ do: 'take', as: 'retry' });
  });

  test('G6: whoever waited gets the failure of that attempt, or of a newer one, whatever onDuplicate says', () => {
    expect(decide(failed, asking({ awaited: { fence: 10, token: 'other' } }))).toEqual({
      do: 'answer',
      how: 'replay',
    });
    expect(decide(failed, asking({ awaited: { fence: 9, token: 'other' } }))).toEqual({
      do: 'answer',
      how: 'replay',
    });
    expect(decide(failed, asking({ awaited: { fence: 11, token: 'other' } }))).toEqual({
      do: 'take',
      as: 'retry',
    });
  });

  test('after maxAttempts an abandoned record is IN_DOUBT and a failed one stays', () => {
    expect(decide({ ...abandoned, attempt: 3 }, asking({ maxAttempts: 3 }))).toMatchObject({
      code: 'IN_DOUBT',
    });
    expect(decide({ ...abandoned, attempt: 2 }, asking({ maxAttempts: 3 }))).toEqual({
      do: 'take',
      as: 'takeover',
    });
    expect(decide({ ...failed, attempt: 3 }, asking({ maxAttempts: 3 }))).toEqual({
      do: 'answer',
      how: 'replay',
    });
  });

  test.each<[AbandonedRule, AbandonedRule, string]>([
    ['retry', 'retry', 'takeover'],
    ['retry', 'reconcile', 'reconcile'],
    ['retry', 'block', 'IN_DOUBT'],
    ['reconcile', 'retry', 'IN_DOUBT'],
    ['reconcile', 'reconcile', 'reconcile'],
    ['reconcile', 'block', 'IN_DOUBT'],
    ['block', 'retry', 'IN_DOUBT'],
    ['block', 'reconcile', 'IN_DOUBT'],
    ['block', 'block', 'IN_DOUBT'],
  ])(
    'abandoned under %s, found under %s: %s (a later caller may be stricter, not laxer)',
    (claimed, found, expected) => {
      const decision = decide({ ...abandoned, onAbandoned: claimed }, asking({ onAbandoned: found }));
      expect(decision.do === 'take' ? decision.as : 'code' in decision && decision.code).toBe(expected);
    },
  );

  test.each([record({}), running, abandoned, failed])(
    'another fingerprint is KEY_REUSED in every state (%#)',
    (each) => {
      const taken = { ...each, fingerprint: 'one' };
      expect(decide(taken, asking({ fingerprint: 'two', concurrent: 'reject' }))).toMatchObject({
        code: 'KEY_REUSED',
      });
      expect(decide(taken, asking({ fingerprint: 'one' }))).toEqual(decide(each, asking()));
      expect(decide(taken, asking())).toEqual(decide(each, asking()));
    },
  );
});
