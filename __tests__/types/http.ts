/** The HTTP adapters as TypeScript users meet them: compiled, never run. */
import express, { type Request as ExpressRequest } from 'express';
import Fastify, { type FastifyRequest } from 'fastify';
import { Hono, type Context } from 'hono';
import type { Attempt } from '../../src/core/attempt/attempt.js';
import {
  expressIdempotency,
  expressIdempotencyErrors,
  problemFor,
  recordPlace,
  type ExpressIdempotency,
  type RecordPlace,
  type RememberedAnswer,
} from '../../src/http/express.js';
import { fastifyIdempotency, type RememberedAnswer as FastifyRemembered } from '../../src/http/fastify.js';
import {
  fetchIdempotency,
  type FetchIdempotency,
  type RememberedAnswer as FetchRemembered,
} from '../../src/http/fetch.js';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { typed } from './same.js';

const store = new InMemoryStore();
const idempotency = createIdempotency({ name: 'run', store });

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- as passport and its like do it
  namespace Express {
    interface Request {
      user?: { id: string };
    }
  }
}
declare module 'fastify' {
  interface FastifyRequest {
    session: { user: string };
  }
}

export function onExpress(): void {
  const app = express();
  const protect = expressIdempotency({ store, scope: (req) => req.user?.id });
  typed<ExpressIdempotency>()(protect);
  app.use(protect);
  app.use('/v1', express.json(), protect);
  app.post('/orders/:id', protect, (req, res) => {
    typed<Attempt | undefined>()(req.idempotency);
    typed<string>()(req.params.id);
    res.json(req.query['page'] ?? null);
  });
  expressIdempotency({ idempotency, scope: (req: ExpressRequest) => req.get('x-api-key') });
  expressIdempotency({ store, scope: async (req) => req.get('x-api-key'), skip: (req) => req.ip === '::1' });
  expressIdempotency({
    store,
    scope: 'shared',
    remember: (status) => (status === 504 ? 'unknown' : undefined),
  });
  expressIdempotency({
    store,
    scope: 'shared',
    onAbandoned: async (attempt, req) =>
      req.method === 'PATCH' ? 'run' : { status: 200, body: attempt.key },
  });
  app.use(expressIdempotencyErrors());
  app.use((error: unknown, _req: ExpressRequest, res: express.Response, next: express.NextFunction) => {
    const problem = problemFor(error, { profile: 'stripe' });
    if (!problem) return next(error);
    res.status(problem.status).set(problem.headers).send(problem.body);
  });
  // @ts-expect-error scope is required
  expressIdempotency({ store });
  // @ts-expect-error a word that means nothing
  expressIdempotency({ store, scope: 'tenant' });
  // @ts-expect-error an option that nobody reads
  expressIdempotency({ store, scope: 'shared', retention: '24h' });
}

export async function onFastify(): Promise<void> {
  const app = Fastify();
  await app.register(fastifyIdempotency, { store, scope: (request) => String(request.headers['x-api-key']) });
  await app.register(fastifyIdempotency, { store, scope: (request: FastifyRequest) => request.session.user });
  // @ts-expect-error scope is required
  await app.register(fastifyIdempotency, { store });
  app.post('/orders', { config: { idempotency: { required: false, ttl: '7d' } } }, (request) => {
    typed<Attempt | null>()(request.idempotency);
    return {};
  });
  app.post('/free', { config: { idempotency: false } }, () => ({}));
}

export function onFetch(): void {
  const protect = fetchIdempotency({ store, scope: (request) => request.headers.get('x-api-key') });
  typed<FetchIdempotency>()(protect);
  const handler: (request: Request) => Promise<Response> = protect(() => new Response());
  void handler;
  const withContext = protect(async (request, context: Context) => context.json({ url: request.url }));
  typed<(request: Request, context: Context) => Promise<Response>>()(withContext);
  new Hono().post('/orders', (context) => withContext(context.req.raw, context));
  // Next's route handlers, whose request and context are its own.
  interface NextRequest extends Request {
    readonly nextUrl: URL;
  }
  interface RouteContext {
    readonly params: Promise<{ id: string }>;
  }
  const next = fetchIdempotency({
    store,
    scope: (request: NextRequest) => request.nextUrl.host,
    route: async (_request, context: RouteContext) => `/orders/${(await context.params).id}`,
    key: async (request) => ((await request.json()) as { id: string }).id,
  })(async (request: NextRequest, context: RouteContext) =>
    Response.json({ at: request.nextUrl.pathname, id: (await context.params).id }),
  );
  typed<(request: NextRequest, context: RouteContext) => Promise<Response>>()(next);
  const POST: (request: NextRequest, context: RouteContext) => Promise<Response> | Response = next;
  void POST;
  const hono = fetchIdempotency({
    store,
    scope: (_request, context: Context) => context.req.header('x-api-key'),
  });
  const inHono = hono((_request, context: Context) => context.json({}));
  new Hono().post('/refunds', (context) => inHono(context.req.raw, context));
  fetchIdempotency({
    store,
    scope: 'shared',
    remember: async (status, { error, answer }) =>
      error instanceof Error && !answer && status === 500 ? 'unknown' : undefined,
  });
  // @ts-expect-error a profile that nobody publishes
  fetchIdempotency({ store, scope: 'shared', profile: 'paypal' });
  // @ts-expect-error a handler answers with a Response
  protect(() => 'text');
}

typed<RecordPlace>()(recordPlace({ method: 'POST', route: '/orders', scope: 7 }));

// What `ttlOf` is told has a name in every adapter, so that the function can stand apart from the options.
const ttlOf = ({ status }: RememberedAnswer) => (status < 400 ? '24h' : '1h');
expressIdempotency({ store, scope: 'shared', ttlOf });
const ttlOfFastify: (answer: FastifyRemembered) => string | undefined = ttlOf;
const ttlOfFetch: (answer: FetchRemembered) => string | undefined = ttlOf;
fetchIdempotency({ store, scope: 'shared', ttlOf: ttlOfFetch });
void ttlOfFastify;
