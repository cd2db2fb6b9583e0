import { Readable } from 'node:stream';
import Fastify, { type FastifyReply } from 'fastify';
import { fastifyIdempotency, type FastifyRequestLike } from '../../../src/http/fastify.js';
import {
  oneHeader,
  optionsFor,
  type Answer,
  type RunningServer,
  type Site,
  type SiteOptions,
} from '../site.js';
import { listen } from './listen.js';

export async function startFastify({ options, routes }: Site): Promise<RunningServer> {
  const app = Fastify();
  const settings = (of: SiteOptions) =>
    optionsFor<FastifyRequestLike>(
      of,
      (request, name) => oneHeader(request.headers[name]),
      (request) => request.body,
    );
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_, body, done) =>
    done(null, body),
  );
  app.setErrorHandler((error: Error & { statusCode?: number }, _, reply) =>
    reply.code(error.statusCode ?? 500).send({ handledBy: 'the app', message: error.message }),
  );
  await app.register(fastifyIdempotency, settings(options));
  for (const { method, path, handler, options: own } of routes) {
    const idempotency = own === undefined || own === false ? own : settings({ ...options, ...own });
    app.route({
      method,
      url: path,
      config: idempotency === undefined ? {} : { idempotency },
      async handler(request, reply) {
        const answer = await handler({
          path: request.originalUrl,
          body: request.body,
          header: (name) => oneHeader(request.headers[name]),
          attempt: request.idempotency ?? undefined,
        });
        return send(reply, answer);
      },
    });
  }
  await app.listen({ port: 0, host: '127.0.0.1' });
  const server = await listen(app.server);
  return {
    ...server,
    async stop() {
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

function send(reply: FastifyReply, { status = 200, headers = {}, body = '', stream }: Answer): FastifyReply {
  reply.code(status).headers(headers);
  if (stream) return reply.send(Readable.from(stream, { objectMode: false }));
  return reply.send(typeof body === 'string' ? body : Buffer.from(body));
}
