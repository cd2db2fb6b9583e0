import { describe, expect, test } from '@jest/globals';
import { ERROR_CODES, OutcomeError, StoreError, type ErrorCode } from '../../src/core/errors.js';
import type { Answer } from '../../src/core/outcome.js';
import type { StoredRecord } from '../../src/core/record.js';
import { toDelivery, type Terms } from '../../src/queue/internal/delivery.js';

const TERMS: Terms = {
  leaseMs: 20_000,
  retryDelayMs: 1_000,
  maxAttempts: 10,
  decode: (record) => `decoded ${record.payload}`,
};
const error = new Error('declined');
const record = (status: StoredRecord['status'], more: Partial<StoredRecord> = {}): Answer<unknown> => ({
  kind: 'duplicate',
  how: 'replay',
  record: { status, final: true, attempt: 1, payload: 'p', ...more } as StoredRecord,
});
const ran = (outcome: Extract<Answer<unknown>, { kind: 'ran' }>['outcome'], recorded = true, attempt = 1) =>
  ({ kind: 'ran', by: 'work', attempt, tookOver: false, outcome, recorded }) as const;
const retry = (more: object) => ({ action: 'retry', error, failed: true, delayMs: 1_000, ...more });

describe('the table from answers to deliveries', () => {
  test.each<[string, Answer<unknown>, object]>([
    ['it ran well', ran({ kind: 'completed', value: 1 }), { action: 'ack', replayed: false, result: 1 }],
    [
      'G7: it ran well, and the store does not know it yet',
      ran({ kind: 'completed', value: 1 }, false),
      { action: 'ack', replayed: false, result: 1 },
    ],
    ['it failed for good', ran({ kind: 'failed', error, final: true }), { action: 'drop', error }],
    ['it failed', ran({ kind: 'failed', error, final: false }), retry({})],
    ['nobody can say', ran({ kind: 'unknown', error }), retry({})],
    ['nothing happened', ran({ kind: 'released', error }), retry({})],
    ['it was done before', record('COMPLETED'), { action: 'ack', replayed: true, result: 'decoded p' }],
    ['it had failed for good', record('FAILED'), { action: 'drop', error: 'decoded p' }],
    ['the one it waited on failed', record('FAILED', { final: false }), retry({ error: 'decoded p' })],
    [
      'its attempts are used up',
      record('FAILED', { final: false, attempt: 10 }),
      { action: 'drop', error: 'decoded p' },
    ],
    ['it is in progress', record('IN_PROGRESS'), { action: 'retry', failed: false, delayMs: 20_000 }],
    ['its signal was aborted', { kind: 'left', reason: error }, retry({ failed: false })],
  ])('%s', (_, answer, delivery) => {
    expect(toDelivery(answer, TERMS)).toMatchObject(delivery);
  });

  const REFUSALS: Record<ErrorCode, object> = {
    CONCURRENT_REQUEST: { action: 'retry', delayMs: 20_000, failed: false },
    IDEMPOTENCY_TIMEOUT: { action: 'retry', delayMs: 20_000, failed: false },
    LEASE_LOST: { action: 'retry', delayMs: 20_000, failed: false },
    LIMITED: { action: 'retry', delayMs: 1_000, failed: false },
    STORE_UNAVAILABLE: { action: 'retry', delayMs: 1_000, failed: false },
    RECORD_TOO_NEW: { action: 'retry', delayMs: 1_000, failed: false },
    IN_DOUBT: { action: 'drop' },
    KEY_REUSED: { action: 'drop' },
    INVALID_KEY: { action: 'drop' },
    INVALID_OPTIONS: { action: 'drop' },
    PAYLOAD_TOO_LARGE: { action: 'drop' },
    CORRUPT_RECORD: { action: 'drop' },
    DUPLICATE_EXECUTION: { action: 'ack' },
    RESULT_UNAVAILABLE: { action: 'ack' },
  };
  test.each(Object.keys(ERROR_CODES) as ErrorCode[])('refused with %s', (code) => {
    const refusal = new StoreError(code as 'STORE_UNAVAILABLE', 'refused');
    expect(toDelivery({ kind: 'refused', error: refusal }, TERMS)).toMatchObject(REFUSALS[code]);
  });

  test('each failure waits twice as long, up to a minute, and the last one drops it', () => {
    const delayOf = (attempt: number) => {
      const delivery = toDelivery(ran({ kind: 'failed', error, final: false }, true, attempt), TERMS);
      return delivery.action === 'retry' ? delivery.delayMs : delivery.action;
    };
    expect([1, 2, 3, 6, 7, 9, 10].map(delayOf)).toEqual([
      1_000,
      2_000,
      4_000,
      32_000,
      60_000,
      60_000,
      'drop',
    ]);
  });

  test('a record whose value can not be had is still the word on its message', () => {
    const unreadable = new OutcomeError('RESULT_UNAVAILABLE', 'too large');
    const terms: Terms = {
      ...TERMS,
      decode: () => {
        throw unreadable;
      },
    };
    const done = { action: 'ack', replayed: true, result: undefined };
    expect(toDelivery(record('COMPLETED'), terms)).toEqual(done);
    expect(toDelivery(record('FAILED'), terms)).toEqual({ action: 'drop', error: unreadable });
  });
});
