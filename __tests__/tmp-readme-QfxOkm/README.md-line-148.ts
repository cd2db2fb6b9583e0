
import { InMemoryStore } from 'twiceshy';
import { sqsBatchHandler, type SqsRecord } from 'twiceshy/sqs';

// Exported from the Lambda; on Redis, Postgres or DynamoDB there.
const handler = sqsBatchHandler({
  store: new InMemoryStore(),
  handler: (record: SqsRecord, { deriveKey }) => console.log(record.body, deriveKey('charge').length),
});
const eventSourceARN = 'arn:aws:sqs:eu-west-1:123456789012:orders';
const delivery = { messageId: 'm-1', body: 'o-1', eventSourceARN, attributes: {} };
await handler({ Records: [delivery] });
console.log((await handler({ Records: [delivery] })).batchItemFailures.length); // 0
export {};
