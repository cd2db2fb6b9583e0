
import Fastify from 'fastify';
import { currentAttempt, InMemoryStore } from 'twiceshy';
import { fastifyIdempotency } from 'twiceshy/fastify';
import { fetchIdempotency } from 'twiceshy/fetch';

const store = new InMemoryStore();

const app = Fastify();
await app.register(fastifyIdempotency, { store, scope: (request) => String(request.headers['x-api-key']) });
app.post('/orders', async (request, reply) => reply.code(201).send({ key: request.idempotency?.key }));
app.post('/search', { config: { idempotency: false } }, () => []); // or options of its own: { required: false }

const idempotent = fetchIdempotency({ store, prefix: 'other-service', scope: (request) => request.headers.get('x-api-key') });
const POST = idempotent(async (request) => Response.json({ key: currentAttempt()?.key }, { status: 201 }));

const headers = { 'idempotency-key': 'order-1', 'x-api-key': 'ann' };
const request = () => new Request('http://shop/orders', { method: 'POST', headers, body: '{}' });
console.log((await POST(request())).status); // 201
console.log((await POST(request())).headers.get('idempotency-replayed')); // true
export {};
