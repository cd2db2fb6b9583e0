import { afterAll, beforeAll } from '@jest/globals';
import { DynamoDBStore } from '../../src/stores/dynamodb/store.js';
import { describeStoreContract } from '../../src/testing/index.js';
import { startDynamo, type PrivateDynamo } from '../support/dynalite.js';

const TABLE = 'contract';
let dynamo: PrivateDynamo;
beforeAll(async () => {
  dynamo = await startDynamo();
  await dynamo.createTable(TABLE);
});
afterAll(() => dynamo.stop());

// One machine has one clock: no margin, so that nothing takes a second longer than it must. A busy machine may be slow.
const open = () => new DynamoDBStore(dynamo.client(), { table: TABLE, clockMarginMs: 0, timeoutMs: 20_000 });

describeStoreContract('DynamoDBStore over dynalite', () => ({ store: open(), another: open }), {
  skip: {
    'large values':
      'an item holds 400 KB: more is recorded without its value (__tests__/stores/dynamodb.test.ts)',
    'wake-ups': 'DynamoDB has none: waiters poll (__tests__/stores/dynamodb.test.ts)',
  },
});
