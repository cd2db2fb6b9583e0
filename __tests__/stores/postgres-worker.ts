/**
 * A process that is there to be killed: charges keys in transactions of its own, each with one row, on the PostgreSQL of
 * DATABASE_URL. It writes a `+` when the work of a transaction begins, and a `-` when
 * that transaction has been committed.
 */
import { writeSync } from 'node:fs';
import { Pool } from 'pg';
import { PostgresStore } from '../../src/stores/postgres/store.js';

const [first = '0', count = '10'] = process.argv.slice(2);
const pool = new Pool({ connectionString: process.env['DATABASE_URL'], max: 5 });
pool.on('error', () => undefined);
const store = new PostgresStore(pool, { transactions: { name: 'run' } });
const say = (sign: string): number => writeSync(1, sign);

async function charge(key: string): Promise<void> {
  let isOurs = false;
  await store.transaction(
    key,
    async (tx) => {
      isOurs = true;
      say('+');
      await tx.query('INSERT INTO charges (key, fence) VALUES ($1, $2)', [key, tx.fence]);
      const { rows } = await tx.query<{ count: string }>('SELECT count(*) FROM charges WHERE key = $1', [
        key,
      ]);
      return { charges: Number(rows[0]?.count) };
    },
    { name: 'charge' },
  );
  if (isOurs) say('-');
}

const keys = Array.from({ length: Number(count) }, (_, index) => `order-${Number(first) + index}`);
// Three at a time, some of them of the same key, beside the same keys in other processes.
await Promise.all(
  [keys, keys, [...keys].reverse()].map(async (some) => {
    for (const key of some) await charge(key);
  }),
);
await store.close();
await pool.end();
