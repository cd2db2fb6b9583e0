import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { sqsBatchHandler, sqsKey, type SqsOptions, type SqsRecord } from '../../src/queue/sqs.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { deferred } from '../support/deferred.js';

const STANDARD = 'arn:aws:sqs:eu-west-1:123456789012:orders';
const FIFO = `${STANDARD}.fifo`;

const record = (body: string, more: Partial<SqsRecord> = {}): SqsRecord => ({
  messageId: `id-${body}`,
  body,
  eventSourceARN: STANDARD,
  attributes: {},
  ...more,
});
const inGroup = (group: string, body: string) =>
  record(body, {
    eventSourceARN: FIFO,
    attributes: { MessageGroupId: group, MessageDeduplicationId: `dedup-${body}` },
  });
const batch = (...Records: SqsRecord[]) => ({ Records });
const failures = (...bodies: string[]) => ({
  batchItemFailures: bodies.map((body) => ({ itemIdentifier: `id-${body}` })),
});

function handler(options: Partial<SqsOptions<SqsRecord, unknown>> = {}) {
  const ran: string[] = [];
  const handle = sqsBatchHandler<SqsRecord, unknown>({
    store: new InMemoryStore(),
    logger: {},
    handler: ({ body }) => {
      ran.push(body);
      if (body.startsWith('bad')) throw new Error('declined');
    },
    ...options,
  });
  return { handle, ran };
}

describe('sqsBatchHandler', () => {
  test('reports exactly the messages that are not finished', async () => {
    const { handle } = handler();
    const answer = await handle(batch(record('a'), record('bad'), record('c')));
    expect(answer).toEqual(failures('bad'));
    expect(await handle(batch())).toEqual(failures());
  });

  test('a finished message that comes again is reported as finished, and not run', async () => {
    const { handle, ran } = handler();
    await handle(batch(record('a'), record('bad')));
    expect(await handle(batch(record('a'), record('bad')))).toEqual(failures('bad'));
    expect(ran).toEqual(['a', 'bad', 'bad']);
  });

  test('messages run in parallel; one that is running elsewhere is reported, not run', async () => {
    const [gate, both] = [deferred(), deferred()];
    let started = 0;
    const { handle } = handler({
      handler: async () => {
        if (++started === 2) both.resolve();
        await gate.promise;
      },
    });
    const first = handle(batch(record('a'), record('b')));
    await both.promise;
    expect(await handle(batch(record('a')))).toEqual(failures('a'));
    gate.resolve();
    expect(await first).toEqual(failures());
    expect(started).toBe(2);
  });

  test('a FIFO group keeps its order: after one that failed, the later ones of its group are reported and not run', async () => {
    const { handle, ran } = handler();
    const records = [
      inGroup('g1', 'a1'),
      inGroup('g2', 'b1'),
      inGroup('g1', 'bad'),
      inGroup('g1', 'a3'),
      inGroup('g2', 'b2'),
    ];
    expect(await handle(batch(...records))).toEqual(failures('bad', 'a3'));
    expect(ran.filter((body) => body.startsWith('b') && body !== 'bad')).toEqual(['b1', 'b2']);
    expect(ran.filter((body) => !body.startsWith('b') || body === 'bad')).toEqual(['a1', 'bad']);
  });

  test('the messages of a FIFO group run one after another, groups in parallel', async () => {
    const gate = deferred();
    const otherGroup = deferred();
    const steps: string[] = [];
    const { handle } = handler({
      handler: async ({ body }) => {
        steps.push(`${body} starts`);
        if (body === 'b1') otherGroup.resolve();
        if (body === 'a1') await gate.promise;
        steps.push(`${body} ends`);
      },
    });
    const done = handle(batch(inGroup('g1', 'a1'), inGroup('g1', 'a2'), inGroup('g2', 'b1')));
    await otherGroup.promise;
    gate.resolve();
    expect(await done).toEqual(failures());
    expect(steps.filter((step) => step.startsWith('a'))).toEqual([
      'a1 starts',
      'a1 ends',
      'a2 starts',
      'a2 ends',
    ]);
    expect(steps.indexOf('b1 starts')).toBeLessThan(steps.indexOf('a1 ends'));
  });

  test('in a standard queue a group is no promise of order', async () => {
    const { handle } = handler();
    const grouped = (body: string) => record(body, { attributes: { MessageGroupId: 'g' } });
    expect(await handle(batch(grouped('bad'), grouped('a')))).toEqual(failures('bad'));
  });

  test('a dropped message is reported, so that the redrive policy moves it, and onDrop is called', async () => {
    const dropped: string[] = [];
    const { handle, ran } = handler({ remember: 'all', onDrop: ({ body }) => dropped.push(body) });
    expect(await handle(batch(record('bad')))).toEqual(failures('bad'));
    expect(await handle(batch(record('bad')))).toEqual(failures('bad'));
    expect([ran, dropped]).toEqual([['bad'], ['bad', 'bad']]);
  });

  test('KEY_REUSED: another body under a deduplication id that was used is dropped, not deleted unseen', async () => {
    const errors: unknown[] = [];
    const { handle, ran } = handler({ onDrop: (_, error) => errors.push(error) });
    const reused = (messageId: string, body: string) => ({ ...inGroup('g', 'pay'), messageId, body });
    expect(await handle(batch(reused('1', 'pay 1')))).toEqual({ batchItemFailures: [] });
    const given = await handle(batch(reused('2', 'pay 1000')));
    expect(given).toEqual({ batchItemFailures: [{ itemIdentifier: '2' }] });
    expect(await handle(batch(reused('3', 'pay 1')))).toEqual({ batchItemFailures: [] });
    expect([ran, errors]).toEqual([['pay 1'], [expect.objectContaining({ code: 'KEY_REUSED' })]]);
  });

  test('with a key of your own the body is not compared, unless you say so', async () => {
    const { handle, ran } = handler({ key: ({ attributes }) => attributes.MessageDeduplicationId });
    const reused = (messageId: string, body: string) => ({ ...inGroup('g', 'pay'), messageId, body });
    await handle(batch(reused('1', 'pay 1')));
    expect(await handle(batch(reused('2', 'pay 1000')))).toEqual({ batchItemFailures: [] });
    expect(ran).toEqual(['pay 1']);
  });

  test('the key is the deduplication id that a sender chose, within its group; else the message id', () => {
    const body = '{"order":"o-1"}';
    const sent = (group: string, chosen: string, messageId: string) =>
      sqsKey(
        record(body, {
          messageId,
          attributes: { MessageGroupId: group, MessageDeduplicationId: chosen },
        }),
      );
    expect(sqsKey(record(body, { messageId: 'm-1' }))).toBe('m-1');
    expect(sent('g', 'o-1', 'm-1')).toBe(sent('g', 'o-1', 'm-2'));
    expect(sent('g', 'o-1', 'm-1')).not.toBe(sent('h', 'o-1', 'm-1'));
    const made = createHash('sha256').update(body).digest('hex');
    expect(sent('g', made, 'm-1')).toBe('m-1');
  });

  test('G10: queues of one name in two regions share no record', async () => {
    const { handle, ran } = handler();
    await handle(batch(record('a')));
    await handle(batch(record('a', { eventSourceARN: STANDARD.replace('west', 'north') })));
    expect(ran).toEqual(['a', 'a']);
    expect(await handle.idempotency.get('id-a', { name: 'eu-west-1/123456789012/orders' })).toMatchObject({
      status: 'COMPLETED',
    });
  });
});
