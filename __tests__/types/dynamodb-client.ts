/** Real clients are assignable to the subset that DynamoDBStore calls: compiled, never run. */
import { CreateTableCommand, DynamoDBClient, UpdateTimeToLiveCommand } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocument, DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import {
  DynamoDBStore,
  tableDefinition,
  timeToLive,
  type DocumentClient,
} from '../../src/stores/dynamodb/store.js';

const client = new DynamoDBClient();
export const documentClient: DocumentClient = DynamoDBDocumentClient.from(client);
export const document: DocumentClient = DynamoDBDocument.from(client);
export const bare: DocumentClient = client;
export const stores = [
  new DynamoDBStore(DynamoDBDocumentClient.from(client), { table: 'idempotency' }),
  new DynamoDBStore(DynamoDBDocument.from(client), { table: 'a', clockMarginMs: 500, timeoutMs: 1_000 }),
];
export const commands = [
  new CreateTableCommand(tableDefinition({ table: 'idempotency' })),
  new UpdateTimeToLiveCommand(timeToLive({ table: 'idempotency' })),
];
// @ts-expect-error A table must be named.
new DynamoDBStore(documentClient, {});
// @ts-expect-error A misspelled option.
new DynamoDBStore(documentClient, { table: 'a', clockMargin: 1 });
// @ts-expect-error Not a client.
new DynamoDBStore({ get: () => null }, { table: 'a' });
