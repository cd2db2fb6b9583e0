/** Compiled, never run: what users of the consumers write, with their brokers' own types. */
import type { Channel, ConfirmChannel, ConsumeMessage } from 'amqplib';
import { Worker, type Job, type Processor } from 'bullmq';
import { consumeIdempotently } from '../../src/queue/amqp.js';
import { idempotentProcessor } from '../../src/queue/bullmq.js';
import { idempotentConsumer, type Delivery } from '../../src/queue/consumer.js';
import { sqsBatchHandler, type SqsRecord } from '../../src/queue/sqs.js';
import { createIdempotency, InMemoryStore } from '../../src/index.js';
import { typed } from './same.js';

const store = new InMemoryStore();
const connection = {};

// BullMQ: data and result of the job are known in the handler, and the processor fits a Worker.
const processor = idempotentProcessor({
  store,
  handler: async (job: Job<{ orderId: string }>, { step, deriveKey }) =>
    step('charge', () => ({ id: job.data.orderId, key: deriveKey('charge') })),
});
export const bullmq: Processor<{ orderId: string }, { id: string; key: string }> = processor;
export const worker = new Worker<{ orderId: string }, { id: string; key: string }>('orders', processor, {
  connection,
});
idempotentProcessor({
  store,
  key: (job) => job.data.orderId,
  handler: (job: Job<{ orderId: string }>) => job.id,
});
// @ts-expect-error: a handler is required
idempotentProcessor({ store });

// AMQP: a message is the channel's own.
declare const channel: Channel | ConfirmChannel;
export const amqp = consumeIdempotently(channel, 'orders', {
  store,
  maxAttempts: 5,
  payload: (message) => message.content,
  handler: (message) => {
    typed<ConsumeMessage>()(message);
    return message.fields.redelivered;
  },
});
// @ts-expect-error: maxAttempts is required
void consumeIdempotently(channel, 'orders', { store, handler: () => 1 });

// SQS: more of a record than we use, as @types/aws-lambda has it.
interface LambdaRecord extends SqsRecord {
  readonly receiptHandle: string;
  readonly attributes: { MessageGroupId?: string; MessageDeduplicationId?: string; SentTimestamp: string };
}
export const sqs: (event: { Records: LambdaRecord[] }) => Promise<{
  batchItemFailures: { itemIdentifier: string }[];
}> = sqsBatchHandler({ store, handler: (record: LambdaRecord) => record.attributes.SentTimestamp });

// The neutral one: name and key are required, the result's type comes back.
export async function resultsAreInferred(): Promise<void> {
  const consume = idempotentConsumer({
    idempotency: createIdempotency({ name: 'run', store }),
    name: 'orders',
    key: (message: { id: string }) => message.id,
    handler: (message) => message.id.length,
    onAbandoned: () => ({ completed: 1 }),
  });
  typed<Delivery<number>>()(await consume({ id: 'm-1' }));
}
// @ts-expect-error: key is required
idempotentConsumer({ store, name: 'orders', handler: () => 1 });
idempotentConsumer({
  store,
  name: 'orders',
  key: () => 'k',
  handler: () => 1,
  // @ts-expect-error: what a reconcile function found is of the handler's type
  onAbandoned: () => ({ completed: 'one' }),
});
