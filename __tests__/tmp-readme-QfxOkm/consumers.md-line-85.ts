
import { InMemoryStore } from 'twiceshy';
import { sqsBatchHandler, type SqsRecord } from 'twiceshy/sqs';

// Exported from the Lambda; on Redis, Postgres or DynamoDB there.
const handler = sqsBatchHandler({
  store: new InMemoryStore(),
  handler: (record: SqsRecord) => {
    if (record.body === 'bad') throw new Error('declined');
  },
});

const record = (body: string) => ({
  messageId: `id-${body}`,
  body,
  eventSourceARN: 'arn:aws:sqs:eu-west-1:123456789012:orders',
  attributes: {},
});
const answer = await handler({ Records: [record('good'), record('bad')] });
console.log(answer.batchItemFailures.map((failure) => failure.itemIdentifier).join()); // id-bad
export {};
