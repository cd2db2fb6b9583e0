/** The shop on Fastify 5. */
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import { fastifyIdempotency } from 'twiceshy/fastify';
import { callerOf, listening, placeOrder, port, provider, rules, type Order } from './shop.js';

const app = Fastify();
await app.register(fastifyIdempotency, {
  ...rules,
  scope: (request) => callerOf(request.headers['x-api-key'] as string | undefined),
});

app.post('/orders', async (request, reply) => {
  const placed = await placeOrder(request.body as Order, request.idempotency!);
  return reply.code(201).send(placed);
});
app.get('/charges', () => provider.charges());
app.setErrorHandler((error: Error, _request, reply) => reply.code(500).send({ error: error.message }));

await app.listen({ port });
listening((app.server.address() as AddressInfo).port);
