/** pg's own Pool is assignable to the subset that PostgresStore calls: compiled, never run. */
import { Pool } from 'pg';
import { PostgresStore, type PostgresPool, type Transaction } from '../../src/stores/postgres/store.js';

export const pool: PostgresPool = new Pool();
export const stores = [
  new PostgresStore(new Pool()),
  new PostgresStore(new Pool({ max: 5 }), { table: 'records', schema: 'app', listen: false, timeoutMs: 500 }),
  new PostgresStore(new Pool(), { transactions: { ttl: '7d', scope: 'eu' } }),
];
export const charge = async (store: PostgresStore): Promise<number> =>
  store.transaction(
    'order-1',
    async (tx: Transaction) => {
      const { rows } = await tx.query<{ id: number }>('INSERT INTO orders VALUES ($1) RETURNING id', [
        tx.fence,
      ]);
      await tx.query({ text: 'SELECT 1', rowMode: 'array' });
      return rows[0]?.id ?? 0;
    },
    { name: 'charge', remember: 'all', lease: '10s' },
  );
const failOpen = { onStoreError: 'run' } as const;
// @ts-expect-error There is no running without the store.
void charge(new PostgresStore(pool)).then(() => stores[0]?.transaction('a', () => 1, failOpen));
// @ts-expect-error A misspelled option.
new PostgresStore(pool, { tabel: 'records' });
// @ts-expect-error A URL is no pool.
new PostgresStore('postgres://localhost');
