import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { describeOnRabbitMq, makeVirtualHost, type VirtualHost } from '../support/rabbitmq.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';

const run = promisify(execFile);
const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));
const TSX = import.meta.resolve('tsx');

let server: PrivateRedis;
beforeAll(async () => void (server = await startRedis()));
afterAll(() => server.stop());

async function outputOf(file: string, env: Record<string, string>): Promise<string> {
  const options = { env: { ...process.env, NODE_OPTIONS: '', REDIS_URL: '', ...env }, timeout: 30_000 };
  const { stdout, stderr } = await run(process.execPath, ['--import', TSX, EXAMPLES + file], options);
  expect(stderr).toBe('');
  return stdout;
}

/** What each example prints, where it matters. */
const STORIES: Record<string, string[]> = {
  'basic-payment.ts': [
    'the provider charges 42\nfirst:  success, ch_o-1\nsecond: skipped, Duplicate execution prevented\n',
  ],
  'client-request-id.ts': [
    'first tr_1, retry tr_1',
    'another amount under the same id: failed, KEY_REUSED',
    'the same id of another user: tr_2',
  ],
  'webhook-return-cached.ts': [
    'the order is marked as paid\nanswered success',
    'answered success { statusCode: 200, receivedAt: 1970-01-01T00:00:00.000Z }\nanswered success { statusCode: 200, receivedAt: 1970-01-01T00:00:00.000Z }',
  ],
  'vote-fail-on-duplicate.ts': [
    'second vote: failed, Duplicate execution not allowed, DUPLICATE_EXECUTION',
    'votes { tea: 2 }',
  ],
  'composite-keys.ts': [
    'true false\ninvoice sent for 2026-10 without coupon\ninvoice sent for 2026-11 without coupon\ninvoice sent for 2026-11 TEA\nskipped: Duplicate execution prevented\n',
    'failed: ',
    'month',
  ],
  'function-payment.ts': [
    'the provider charges 42, its key has 32 characters\n',
    'who does not want to wait: CONCURRENT_REQUEST',
    'a duplicate, answered from a record that is COMPLETED\nat once: true\n',
    'later:   true\nanother amount: KEY_REUSED\n',
  ],
  'function-wrap.ts': [
    'sends the invoice to c-1, under true\ninv_c-1\ninv_c-1\nsends the invoice to c-2, under true\ninv_c-2\n2 sent, 1 duplicate\n',
  ],
  'compose-retry.ts': [
    '  attempt 1\n  attempt 2\n  attempt 3\n  paid by attempt 3\n',
    '  attempt 1 asks the bank\n  first request: CardDeclined: insufficient funds\n  second request: CardDeclined: insufficient funds\n',
    '  paid by attempt 1, try 3 = paid by attempt 1, try 3; 1 key for the provider\n',
  ],
  'compose-breaker.ts': [
    'o-1: ch_o-1 by attempt 1\no-2: the provider is down\no-3: the provider is down\nthe breaker is open after 3 calls\n',
    'o-4: Execution prevented because the circuit breaker is open\no-1: ch_o-1 by attempt 1\n3 calls,',
    'o-4: ch_o-4 by attempt 1\no-2: ch_o-2 by attempt 2\n',
  ],
  'compose-timeout.ts': [
    '  first request: timed out\n  second request: charged by attempt 1\n  1 charge\n',
    '  first request: timed out\n  second request: charged by attempt 2\n  1 charge\n',
  ],
  'consumer-sqs.ts': [
    'first delivery: 1 to come again\nattempt 2 charges o-2\nsecond delivery: 0 to come again\n',
  ],
  'demo.ts': [
    'order-1 charged by attempt 1',
    'charges so far: 1',
    '1 answer for 10 callers: success: order-2 charged by attempt 1',
    'charges so far: 2',
    'failed: [Error] provider timed out',
    'success: order-3 charged by attempt 2',
    'success: order-4 charged by attempt 2',
  ],
};
/** These need a store that two processes share. */
const ON_REDIS_ONLY: Record<string, string[]> = {
  'consumer-bullmq.ts': [
    'attempt 1 charges',
    'attempt 2 sends the receipt\nfirst: ch_',
    ', receipt sent\nsecond: ch_',
  ],
  'recovery-points.ts': [
    'killed after charge\nkilled after reserve\nkilled after email\n',
    'charge 1, reserve 1, email 1; done by attempt 4\n',
    'charge: 2 requests, 1 effect\nreserve: 1 requests, 1 effect\nemail: 1 requests, 1 effect\n',
  ],
  'crash-and-takeover.ts': [
    'attempt 1 charges',
    'the first process was killed',
    'attempt 2 charges',
    'success: ch_',
  ],
};
const ON_POSTGRES: Record<string, string[]> = {
  'http-transaction.ts': [
    'first: 201 ok\nagain: 201 ok\nanother amount: 422 KEY_REUSED\nno key: 400 IDEMPOTENCY_KEY_INVALID\n',
    'a row that is refused: 400 REFUSED_BY_DATABASE\nthe corrected order, under a new key: 201 ok\nrows: 2\n',
  ],
};
const ON_RABBITMQ: Record<string, string[]> = {
  'consumer-amqp.ts': [
    'attempt 1 charges o-1\n',
    'attempt 3 charges o-bad\ngives up m-3',
    'dead letter: o-bad',
  ],
};
/** Run by jest itself, and by __tests__/http/shop.test.ts. */
const ELSEWHERE = ['unit-test-with-mock.test.ts', 'express-shop'];

test('every example is run by this suite', () => {
  const known = [
    ...Object.keys(STORIES),
    ...Object.keys(ON_REDIS_ONLY),
    ...Object.keys(ON_POSTGRES),
    ...Object.keys(ON_RABBITMQ),
    ...ELSEWHERE,
  ];
  expect(readdirSync(EXAMPLES).sort()).toEqual(known.sort());
});

describe.each(Object.entries(STORIES))('%s', (file, lines) => {
  test.each(['memory', 'Redis'])('tells its story on %s', async (store) => {
    const output = await outputOf(file, store === 'Redis' ? { REDIS_URL: server.url } : {});
    for (const line of lines) expect(output).toContain(line);
  });
});

test.each(Object.entries(ON_REDIS_ONLY))('%s tells its story on Redis', async (file, lines) => {
  const output = await outputOf(file, { REDIS_URL: server.url });
  for (const line of lines) expect(output).toContain(line);
  // The key for the provider is stable across the crash.
  expect(new Set(output.match(/[0-9a-f]{32}/g)).size).toBe(1);
});

describe('on Postgres', () => {
  let postgres: PrivatePostgres;
  beforeAll(async () => void (postgres = await startPostgres()), 60_000);
  afterAll(() => postgres.stop(), 60_000);

  test.each(Object.entries(ON_POSTGRES))('%s tells its story', async (file, lines) => {
    const output = await outputOf(file, { DATABASE_URL: postgres.url });
    for (const line of lines) expect(output).toContain(line);
  });
});

await describeOnRabbitMq('examples on RabbitMQ', () => {
  let host: VirtualHost;
  beforeAll(async () => void (host = await makeVirtualHost()), 60_000);
  afterAll(() => host.remove(), 60_000);

  test.each(Object.entries(ON_RABBITMQ))('%s tells its story', async (file, lines) => {
    for (const REDIS_URL of ['', server.url]) {
      const output = await outputOf(file, { AMQP_URL: host.url, REDIS_URL });
      for (const line of lines) expect(output).toContain(line);
      expect(output.match(/charges o-1/g)).toHaveLength(1);
    }
  });
});
