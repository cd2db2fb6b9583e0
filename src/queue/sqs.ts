import { createHash } from 'node:crypto';
import { hashKey } from '../keys/index.js';
import { makeConsumer, type Closable } from './internal/consume.js';
import type { ConsumerOptions, WithDefaults } from './internal/options.js';

/** The part of a record of a Lambda SQS event that we use. */
export interface SqsRecord {
  readonly messageId: string;
  readonly body: string;
  readonly eventSourceARN: string;
  readonly attributes: {
    readonly MessageGroupId?: string | undefined;
    readonly MessageDeduplicationId?: string | undefined;
  };
}

export interface SqsEvent<M extends SqsRecord> {
  readonly Records: readonly M[];
}

/** What Lambda is told: these messages become visible again, the others are deleted. */
export interface SqsBatchResponse {
  batchItemFailures: { itemIdentifier: string }[];
}

/**
 * The options of {@link sqsBatchHandler}: a consumer's, where `name` is `region/account/queue` by default, and `key` the
 * {@link sqsKey}. With that key the body is the `payload` by default: a message that reuses the deduplication id of another one
 * is given up with KEY_REUSED, and not deleted as if it had been done.
 */
export type SqsOptions<M extends SqsRecord, R> = WithDefaults<ConsumerOptions<M, R>>;

/** What Lambda calls. */
export interface SqsBatchHandler<M extends SqsRecord> extends Closable {
  (event: SqsEvent<M>): Promise<SqsBatchResponse>;
}

/**
 * The default key of a message: in a FIFO queue the deduplication id that its sender chose, with its group; else the
 * message id. An id that SQS made of the body is no choice: the same text may be sent again and be meant.
 */
export function sqsKey({ messageId, body, attributes }: SqsRecord): string {
  const { MessageGroupId: group, MessageDeduplicationId: chosen } = attributes;
  if (chosen === undefined || chosen === createHash('sha256').update(body).digest('hex')) return messageId;
  return hashKey(group, chosen);
}

/**
 * A Lambda handler for a batch of an SQS queue, whose event source mapping must have `ReportBatchItemFailures`. The
 * messages run in parallel; in a FIFO queue those of a group one after another, and after one that is not finished the
 * later ones of its group are reported with it, so that their order is kept. What is given up is reported too, until the
 * queue's redrive policy moves it: SQS decides when a message comes again, so that `retryDelay` means nothing here.
 *
 * @example export const handler = sqsBatchHandler({ store, handler: (record) => charge(JSON.parse(record.body)) });
 * @throws UsageError INVALID_OPTIONS at once; the handler itself never rejects for a message
 */
export function sqsBatchHandler<M extends SqsRecord, R>(options: SqsOptions<M, R>): SqsBatchHandler<M> {
  const broker = { name: queueName, key: sqsKey, payload: ({ body }: M) => body };
  const consume = makeConsumer<M, R>('sqsBatchHandler()', options as ConsumerOptions<M, R>, broker);
  const isFinished = async (record: M) => (await consume(record)).action === 'ack';

  const runLane = async (lane: readonly M[]): Promise<readonly M[]> => {
    for (const [at, record] of lane.entries()) if (!(await isFinished(record))) return lane.slice(at);
    return [];
  };
  const handle = async ({ Records }: SqsEvent<M>): Promise<SqsBatchResponse> => {
    const unfinished = await Promise.all(toLanes(Records).map(runLane));
    return { batchItemFailures: unfinished.flat().map(({ messageId }) => ({ itemIdentifier: messageId })) };
  };
  return Object.assign(handle, { idempotency: consume.idempotency, close: () => consume.close() });
}

/** `arn:aws:sqs:region:account:queue`; a name holds no colon. */
function queueName({ eventSourceARN }: SqsRecord): string {
  return eventSourceARN.split(':').slice(3).join('/');
}

/** What must run one after another. In a standard queue a group is no promise of order. */
function toLanes<M extends SqsRecord>(records: readonly M[]): readonly (readonly M[])[] {
  const lanes = new Map<string, M[]>();
  for (const record of records) {
    const { MessageGroupId: group } = record.attributes;
    const isOrdered = record.eventSourceARN.endsWith('.fifo') && group !== undefined;
    const lane = isOrdered ? `group ${group}` : `message ${record.messageId}`;
    lanes.set(lane, [...(lanes.get(lane) ?? []), record]);
  }
  return [...lanes.values()];
}
