import type { IncomingMessage, ServerResponse } from 'node:http';
// Only so that TypeScript finds the module that is added to below; nothing of it stays in the build.
import type {} from 'fastify';
import type { Attempt } from '../core/attempt/attempt.js';
import { bare, invalid, show } from '../core/check.js';
import { warnOfAuthorization } from './internal/exchange/authorization.js';
import { Exchange } from './internal/exchange/exchange.js';
import { serveNode, type NodeExchange } from './internal/node/middleware.js';
import { tellError } from './internal/exchange/told-errors.js';
import { httpSettings, readHttpOptions, type HttpOptions, type ReadOptions } from './internal/options.js';

export * from './internal/shared-exports.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The attempt that the handler runs in; null for a request that is not protected. */
    idempotency: Attempt | null;
  }
  interface FastifyContextConfig {
    /** `false` leaves the route alone; options stand over those of the plugin. */
    idempotency?: false | Partial<FastifyIdempotencyOptions>;
  }
}

/** What we look at of a request of Fastify 5. */
export interface FastifyRequestLike {
  readonly method: string;
  readonly url: string;
  readonly originalUrl: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
  readonly params: unknown;
  readonly query: unknown;
  readonly ip: string;
  readonly raw: object;
  /** Whether no route was found. */
  readonly is404?: boolean;
  readonly routeOptions: { readonly url?: string | undefined; readonly config: unknown };
}
interface FastifyReplyLike {
  readonly raw: object;
  hijack(): unknown;
  getHeaders(): Record<string, number | string | string[] | undefined>;
}
type Hook = (request: FastifyRequestLike, reply: FastifyReplyLike, done: (error?: Error) => void) => void;
/** The subset of a Fastify instance that we call. */
export interface FastifyLike {
  hasRequestDecorator(name: string): boolean;
  decorateRequest(name: string, value: null): unknown;
  addHook(name: string, hook: unknown): unknown;
}
export type FastifyIdempotencyOptions = HttpOptions<FastifyRequestLike>;
type FastifyPlugin = (
  instance: FastifyLike,
  options: FastifyIdempotencyOptions,
  done: (error?: Error) => void,
) => void;

interface AddedRoute {
  readonly config?: unknown;
  readonly preHandler?: unknown;
  readonly url: string;
  readonly method: string | string[];
}
type RouteOptions = false | Partial<FastifyIdempotencyOptions>;
const NAME = 'fastifyIdempotency()';

const plugin: FastifyPlugin = (instance, options, done) => {
  try {
    install(instance, options);
    done();
  } catch (error) {
    // Thrown, it would be taken for a plugin that never ends.
    done(error as Error);
  }
};

function install(instance: FastifyLike, options: FastifyIdempotencyOptions): void {
  const ofPlugin = readHttpOptions(NAME, options);
  const byDefault = new Exchange(httpSettings(NAME, ofPlugin));
  const ofRoutes = new Map<RouteOptions, Exchange<FastifyRequestLike>>();
  const exchangeOf = (own: RouteOptions | undefined): Exchange<FastifyRequestLike> => {
    if (!own) return byDefault;
    let exchange = ofRoutes.get(own);
    if (!exchange) ofRoutes.set(own, (exchange = new Exchange(settingsOf(ofPlugin, own))));
    return exchange;
  };
  if (!instance.hasRequestDecorator('idempotency')) instance.decorateRequest('idempotency', null);
  // A mistake in a route's options shows when the route is added, not when it is called; for a route that was added
  // before this plugin was loaded, when it is called.
  instance.addHook('onRoute', ({ config, preHandler, url, method }: AddedRoute) => {
    const own = routeOptions(config);
    const exchange = exchangeOf(own);
    const isProtected = own !== false && [method].flat().some((each) => exchange.concerns(each));
    if (!isProtected) return;
    const remedy = 'make it an onRequest or preValidation hook';
    warnOfAuthorization([preHandler].flat(), url, remedy, exchange.settings.warn);
  });
  // After parsing and validation: what fails there is no answer to be remembered.
  const hook: Hook = (request, reply, done) => {
    // Fastify runs hooks for what no route is there for, too.
    if (request.is404) return done();
    const own = routeOptions(request.routeOptions.config);
    const exchange = exchangeOf(own);
    if (own === false || !exchange.concerns(request.method)) return done();
    void serveNode(exchange, request, nodeExchange(request, reply, done));
  };
  instance.addHook('preHandler', hook);
  instance.addHook(
    'onError',
    (_request: unknown, reply: FastifyReplyLike, error: Error, done: () => void) => {
      tellError(reply.raw, error);
      done();
    },
  );
}

/** A route's options, over those of the plugin. */
function settingsOf(ofPlugin: ReadOptions<FastifyRequestLike>, own: Partial<FastifyIdempotencyOptions>) {
  const { options, notes } = readHttpOptions(NAME, own);
  return httpSettings(NAME, { options: bare({ ...ofPlugin.options, ...options }), notes });
}

function nodeExchange(...[request, reply, done]: Parameters<Hook>): NodeExchange {
  const res = reply.raw as ServerResponse;
  return {
    raw: request.raw as IncomingMessage,
    res,
    body: request.body,
    bodyRemedy: 'its content type parser gave nothing',
    scopeHint:
      'fastifyIdempotency() is a preHandler hook, and preHandler hooks that were added after it, or to the route, run later: ' +
      'let an onRequest or preValidation hook tell who the caller is',
    url: request.originalUrl,
    route: request.routeOptions.url,
    next: (attempt) => {
      if (attempt) Object.assign(request, { idempotency: attempt });
      done();
    },
    fail: (error) => done(error as Error),
    takeOver: () => {
      // No onSend hook may change a replay, but what earlier hooks set (CORS, say) goes with it.
      reply.hijack();
      for (const [name, value] of Object.entries(reply.getHeaders()))
        if (value !== undefined) res.setHeader(name, value);
    },
  };
}

function routeOptions(config: unknown): RouteOptions | undefined {
  if (typeof config !== 'object' || config === null || !('idempotency' in config)) return undefined;
  const { idempotency } = config;
  if (idempotency === undefined || idempotency === false) return idempotency;
  if (typeof idempotency === 'object' && idempotency !== null) return idempotency;
  throw invalid(`config.idempotency is ${show(idempotency)}: give false, or options`);
}

/**
 * Idempotency keys for Fastify 5: `app.register(fastifyIdempotency, { store, scope })`, for the routes that are added
 * after it, in this scope and those within. A route has options of its own in `config: { idempotency: { required: false } }`,
 * or none with `config: { idempotency: false }`. The handler finds its attempt in `request.idempotency` and in
 * `currentAttempt()`.
 *
 * It is a preHandler hook: let an onRequest or preValidation hook tell who the caller is.
 * @throws UsageError INVALID_OPTIONS when it is registered, or a route is added
 */
export const fastifyIdempotency: FastifyPlugin = Object.assign(plugin, {
  // What fastify-plugin does: the hooks are of the scope that registers us, not of one of our own.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'twiceshy',
  [Symbol.for('plugin-meta')]: { name: 'twiceshy', fastify: '5.x' },
});
