import { afterAll, beforeAll } from '@jest/globals';
import type { Pool } from 'pg';
import { PostgresStore } from '../../src/stores/postgres.js';
import { describeStoreContract } from '../../src/testing/index.js';
import { TransactionPooler } from '../stores/postgres-pooler.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';

let server: PrivatePostgres;
let pool: Pool;
let serializable: Pool;
let pooler: TransactionPooler;
beforeAll(async () => {
  server = await startPostgres();
  pool = server.pool();
  serializable = server.pool({ options: '-c default_transaction_isolation=serializable' });
  pooler = new TransactionPooler(server);
  await new PostgresStore(pool).createSchema();
});
afterAll(() => server.stop());

describeStoreContract('PostgresStore', () => ({ store: new PostgresStore(pool) }));

describeStoreContract('PostgresStore on sessions that are serializable by default', () => ({
  store: new PostgresStore(serializable),
}));

describeStoreContract(
  'PostgresStore behind a pooler in transaction mode',
  () => ({ store: new PostgresStore(pooler, { listen: false, onWarning: () => undefined }) }),
  { skip: { 'wake-ups': 'a pooler in transaction mode has no LISTEN: waiters poll' } },
);
