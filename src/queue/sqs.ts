import { createHash } from 'node:crypto';
import { hashKey } from '../keys/index.js';
import { makeConsumer, type Closable } from './internal/consume.js';
import type { ConsumerOptions, WithDefaults } from './internal/options.js';

/** The members of a Lambda SQS record that are used here. */
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

/** The answer to Lambda: these messages become visible again, the others are deleted. */
export interface SqsBatchResponse {
  batchItemFailures: { itemIdentifier: string }[];
}

/**
 * The options of {@link sqsBatchHandler}: those of a consumer. By default `name` is `region/account/queue`, and `key` is
 * {@link sqsKey}. With the default key, the body is the default `payload`: a message that reuses the deduplication id of another
 * one is dropped with KEY_REUSED, and not deleted as if it had been processed.
 */
export type SqsOptions<M extends SqsRecord, R> = WithDefaults<ConsumerOptions<M, R>>;

/** A Lambda handler. */
export interface SqsBatchHandler<M extends SqsRecord> extends Closable {
  (event: SqsEvent<M>): Promise<SqsBatchResponse>;
}

/**
 * The default key of a message: in a FIFO queue the deduplication id that its sender chose, with its group; otherwise the
 * message id. An id that SQS computed from the body is not used, because the same body may be sent again on purpose.
 */
export function sqsKey({ messageId, body, attributes }: SqsRecord): string {
  const { MessageGroupId: group, MessageDeduplicationId: chosen } = attributes;
  if (chosen === undefined || chosen === createHash('sha256').update(body).digest('hex')) return messageId;
  return hashKey(group, chosen);
}

/**
 * Makes a Lambda handler for batches of an SQS queue. Its event source mapping must have `ReportBatchItemFailures`. Messages run
 * in parallel. In a FIFO queue the messages of a group run one after another; if one does not finish, the later ones of its
 * group are reported as failed too, which keeps their order. A dropped message is also reported as failed, until the queue's
 * redrive policy moves it. SQS decides when a message comes again, so `retryDelay` has no effect here.
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

/** From `arn:aws:sqs:region:account:queue`: the parts can't contain colons. */
function queueName({ eventSourceARN }: SqsRecord): string {
  return eventSourceARN.split(':').slice(3).join('/');
}

/** Lists of records that must run one after another. In a standard queue, groups do not promise an order. */
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
