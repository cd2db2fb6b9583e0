/** An SQS batch handler for Lambda, called here as Lambda would: twice with the same batch, since SQS delivers again. */
import { InMemoryStore } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';
import { sqsBatchHandler, type SqsRecord } from 'twiceshy/sqs';

const url = process.env['REDIS_URL'];

export const handler = sqsBatchHandler({
  // A Lambda needs a store outside of itself: Redis, Postgres, DynamoDB.
  store: url ? new RedisStore(url) : new InMemoryStore(),
  handler: (record: SqsRecord, { attempt }) => {
    console.log(`attempt ${attempt} charges ${record.body}`);
    if (record.body === 'o-2' && attempt === 1) throw new Error('declined');
  },
});

const record = (body: string): SqsRecord => ({
  messageId: `${body}-${process.pid}`,
  body,
  eventSourceARN: 'arn:aws:sqs:eu-west-1:123456789012:orders',
  attributes: {},
});
for (const delivery of ['first', 'second']) {
  const { batchItemFailures } = await handler({ Records: [record('o-1'), record('o-2')] });
  console.log(`${delivery} delivery: ${batchItemFailures.length} to come again`);
}
