import { afterAll, beforeAll } from '@jest/globals';
import type { Pool } from 'pg';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { describeStoreContract } from '../../src/testing/index.js';
import { TransactionPooler } from '../stores/postgres-pooler.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';

let server: PrivatePostgres;
let pool: Pool;
let anotherPool: Pool;
let serializable: Pool;
let pooler: TransactionPooler;
beforeAll(async () => {
  server = await startPostgres();
  pool = server.pool();
  anotherPool = server.pool();
  serializable = server.pool({ options: '-c default_transaction_isolation=serializable' });
  pooler = new TransactionPooler(server);
  await new PostgresStore(pool).createSchema();
});
afterAll(() => server.stop());

describeStoreContract('PostgresStore', () => ({
  store: new PostgresStore(pool),
  another: () => new PostgresStore(anotherPool),
}));

describeStoreContract('PostgresStore on sessions that are serializable by default', () => ({
  store: new PostgresStore(serializable),
  another: () => new PostgresStore(anotherPool),
}));

const pooled = { listen: false, onWarning: () => undefined };
describeStoreContract(
  'PostgresStore behind a pooler in transaction mode',
  () => ({ store: new PostgresStore(pooler, pooled), another: () => new PostgresStore(pooler, pooled) }),
  { skip: { 'wake-ups': 'a pooler in transaction mode has no LISTEN: waiters poll' } },
);
