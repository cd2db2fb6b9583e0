/**
 * The idempotency key of a request and the rows that it writes, in one transaction: they commit together or not at all. The
 * handler calls `transaction()` itself, and `problemFor()` words what it throws as the adapters would.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express, { type NextFunction, type Request, type Response } from 'express';
import pg from 'pg';
import { problemFor } from 'twiceshy/express';
import { PostgresStore } from 'twiceshy/postgres';

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'] });
const store = new PostgresStore(pool, { transactions: { name: 'place-order' } });
await store.createSchema();
await pool.query('CREATE TABLE IF NOT EXISTS placed (id serial, customer text, cents int CHECK (cents > 0))');

const app = express();
app.use(express.json());
app.post('/orders', async (req, res) => {
  const { cents } = req.body as { cents: number };
  const customer = String(req.get('x-customer'));
  const order = await store.transaction(
    String(req.get('idempotency-key') ?? ''),
    async (tx) => {
      const { rows } = await tx.query<{ id: number }>(
        'INSERT INTO placed (customer, cents) VALUES ($1, $2) RETURNING id',
        [customer, cents],
      );
      return { id: rows[0]!.id, cents };
    },
    { scope: customer, payload: { cents } },
  );
  res.status(201).json(order);
});
app.use((error: unknown, _req: Request, res: Response, next: NextFunction) => {
  const problem = problemFor(error);
  if (!problem) return next(error);
  res.status(problem.status).set(problem.headers).send(problem.body);
});
// The database refused a row: nothing was kept, neither row nor result.
app.use((_error: unknown, _req: Request, res: Response, _next: NextFunction) => {
  res.status(400).json({ code: 'REFUSED_BY_DATABASE' });
});

const server = app.listen(0);
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const post = async (key: string, cents: number): Promise<string> => {
  const headers = { 'content-type': 'application/json', 'idempotency-key': key, 'x-customer': 'ann' };
  const body = JSON.stringify({ cents });
  const answer = await fetch(`http://127.0.0.1:${port}/orders`, { method: 'POST', headers, body });
  const { code = 'ok' } = answer.ok ? {} : ((await answer.json().catch(() => ({}))) as { code?: string });
  return `${answer.status} ${code}`;
};

const key = `order-${process.pid}`;
console.log(`first: ${await post(key, 500)}`);
console.log(`again: ${await post(key, 500)}`);
console.log(`another amount: ${await post(key, 700)}`);
console.log(`no key: ${await post('', 500)}`);
console.log(`a row that is refused: ${await post(`${key}-b`, -1)}`);
console.log(`the corrected order, under a new key: ${await post(`${key}-c`, 100)}`);
const { rows } = await pool.query<{ n: string }>('SELECT count(*) AS n FROM placed');
console.log(`rows: ${rows[0]!.n}`);

server.closeAllConnections();
server.close();
await store.close();
await pool.end();
