/** Requests by app.inject(), without a server, some of them from inside of a handler; says in JSON what came of them. */
import Fastify from 'fastify';
import { fastifyIdempotency } from 'twiceshy/fastify';
import { InMemoryStore } from 'twiceshy/memory';

const app = Fastify();
await app.register(fastifyIdempotency, { store: new InMemoryStore(), scope: 'shared' });
let runs = 0;
app.post('/orders', () => ({ run: ++runs }));

let mails = 0;
app.post('/mails', () => ({ mail: ++mails }));
app.post('/orders-with-mail', async () => {
  const answered = [];
  for (let sent = 0; sent < 2; sent++) {
    const headers = { 'idempotency-key': 'k' };
    const got = await app.inject({ method: 'POST', url: '/mails', headers, payload: {} });
    answered.push({ body: got.json<unknown>(), replayed: got.headers['idempotency-replayed'] });
  }
  return answered;
});

const answers = [];
for (let sent = 0; sent < 2; sent++) {
  const headers = { 'idempotency-key': 'k' };
  const got = await app.inject({ method: 'POST', url: '/orders', headers, payload: { amount: 5 } });
  answers.push({
    status: got.statusCode,
    body: got.json<unknown>(),
    replayed: got.headers['idempotency-replayed'],
  });
}
const outer = await app.inject({
  ...{ method: 'POST', url: '/orders-with-mail', headers: { 'idempotency-key': 'k' }, payload: {} },
});
process.stdout.write(JSON.stringify({ answers, inner: outer.json<unknown>() }));
