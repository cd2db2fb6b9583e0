import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type express from 'express';
import { type Express, type NextFunction, type Request, type Response } from 'express';
import { expressIdempotency, expressIdempotencyErrors } from '../../../src/http/express.js';
import { oneHeader, optionsFor, type Answer, type Handler, type RunningServer, type Site } from '../site.js';
import { listen } from './listen.js';

type Factory = typeof express;

/** @param framework Express 5 or 4 */
export function startExpress(framework: Factory): (site: Site) => Promise<RunningServer> {
  return (site) => listen(createServer(appOf(framework, site)));
}

function appOf(framework: Factory, { options, routes }: Site): Express {
  const app = framework();
  app.use(framework.json(), framework.raw({ type: 'application/octet-stream' }), framework.text());
  for (const { method, path, handler, options: own } of routes) {
    const settings = optionsFor<{ get(name: string): string | undefined; body?: unknown }>(
      { ...options, ...own },
      (req, name) => req.get(name),
      (req) => req.body,
    );
    const middlewares = own === false ? [] : [expressIdempotency(settings)];
    app[method.toLowerCase() as 'post'](path, ...middlewares, handle(handler));
  }
  app.use(expressIdempotencyErrors());
  app.use((error: Error, _req: Request, res: Response, _next: NextFunction) => {
    res.status(500).json({ handledBy: 'the app', message: error.message });
  });
  return app;
}

function handle(handler: Handler) {
  return (req: Request, res: Response, next: NextFunction): void => {
    const call = {
      path: req.originalUrl,
      body: req.body as unknown,
      header: (name: string) => oneHeader(req.headers[name]),
      attempt: req.idempotency,
    };
    Promise.resolve()
      .then(() => handler(call))
      .then((answer) => send(res, answer))
      .catch(next);
  };
}

async function send(res: Response, { status = 200, headers = {}, body = '', stream }: Answer): Promise<void> {
  res.status(status).set(headers);
  if (stream) return pipeline(Readable.from(stream, { objectMode: false }), res);
  if (typeof body === 'string') res.send(body);
  // Not send(): a content type would be added.
  else res.end(body);
}
