/**
 * Headers that HTTP can't carry, on Fastify; says in JSON what came of two requests each. In a process of its own: to
 * Fastify, the errors of Node's core are none inside of jest.
 */
import Fastify from 'fastify';
import { fastifyIdempotency } from 'twiceshy/fastify';
import { InMemoryStore } from 'twiceshy/memory';

const app = Fastify();
await app.register(fastifyIdempotency, { store: new InMemoryStore(), scope: 'shared' });
const name = 'O’Neill';
for (const header of ['x-name', 'content-disposition'])
  app.post(`/${header}`, async (_request, reply) => reply.code(201).header(header, name).send({ a: 1 }));
app.post('/raw', (_request, reply) => {
  reply.raw.writeHead(201, { 'x-name': name });
  reply.raw.end('x');
});
const url = await app.listen({ port: 0, host: '127.0.0.1' });
const got = [];
for (const path of ['/x-name', '/content-disposition', '/raw'])
  for (let sent = 0; sent < 2; sent++) {
    const answer = await fetch(url + path, { method: 'POST', headers: { 'idempotency-key': 'k' } });
    got.push([answer.status, answer.headers.get('idempotency-replayed')]);
  }
process.stdout.write(JSON.stringify(got));
app.server.closeAllConnections();
await app.close();
