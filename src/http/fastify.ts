import type { IncomingMessage, ServerResponse } from 'node:http';
// So that TypeScript finds the module that is augmented below. Nothing of it stays in the build.
import type {} from 'fastify';
import type { Attempt } from '../core/attempt/attempt.js';
import { bare, invalid, show } from '../core/check.js';
import { warnOfAuthorization } from './internal/exchange/authorization.js';
import { Exchange } from './internal/exchange/exchange.js';
import { serveNode, type NodeExchange } from './internal/node/middleware.js';
import { noteError } from './internal/exchange/noted-errors.js';
import { httpSettings, readHttpOptions, type HttpOptions, type ReadOptions } from './internal/options.js';

export * from './internal/shared-exports.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The attempt that the handler runs in, or null if the request is not protected. */
    idempotency: Attempt | null;
  }
  interface FastifyContextConfig {
    /** `false` turns the protection off for the route. Options take precedence over those of the plugin. */
    idempotency?: false | Partial<FastifyIdempotencyOptions>;
  }
}

/** The members of a Fastify 5 request that are used here. */
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
/** The methods of a Fastify instance that are called here. */
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
    // If it were thrown, Fastify would report a plugin that never finished.
    done(error as Error);
  }
};

function install(instance: FastifyLike, options: FastifyIdempotencyOptions): void {
  const pluginOptions = readHttpOptions(NAME, options);
  const pluginExchange = new Exchange(httpSettings(NAME, pluginOptions));
  const routeExchanges = new Map<RouteOptions, Exchange<FastifyRequestLike>>();
  const routeExchange = (own: RouteOptions | undefined): Exchange<FastifyRequestLike> => {
    if (!own) return pluginExchange;
    let exchange = routeExchanges.get(own);
    if (!exchange) routeExchanges.set(own, (exchange = new Exchange(routeSettings(pluginOptions, own))));
    return exchange;
  };
  if (!instance.hasRequestDecorator('idempotency')) instance.decorateRequest('idempotency', null);
  // Wrong options of a route are reported when the route is added. If it was added before this plugin was loaded, they are
  // reported when it is called.
  instance.addHook('onRoute', ({ config, preHandler, url, method }: AddedRoute) => {
    const own = routeOptions(config);
    const exchange = routeExchange(own);
    const isProtected = own !== false && [method].flat().some((each) => exchange.concerns(each));
    if (!isProtected) return;
    const remedy = 'make it an onRequest or preValidation hook';
    warnOfAuthorization([preHandler].flat(), url, remedy, exchange.settings.warn);
  });
  // After parsing and validation, so that their errors are not remembered as answers.
  const hook: Hook = (request, reply, done) => {
    // Fastify runs hooks also for requests that match no route.
    if (request.is404) return done();
    const own = routeOptions(request.routeOptions.config);
    const exchange = routeExchange(own);
    if (own === false || !exchange.concerns(request.method)) return done();
    void serveNode(exchange, request, nodeExchange(request, reply, done));
  };
  instance.addHook('preHandler', hook);
  instance.addHook(
    'onError',
    (_request: unknown, reply: FastifyReplyLike, error: Error, done: () => void) => {
      noteError(reply.raw, error);
      done();
    },
  );
}

/** The settings of a route: its own options take precedence over those of the plugin. */
function routeSettings(
  pluginOptions: ReadOptions<FastifyRequestLike>,
  own: Partial<FastifyIdempotencyOptions>,
) {
  const { options, notes } = readHttpOptions(NAME, own);
  return httpSettings(NAME, { options: bare({ ...pluginOptions.options, ...options }), notes });
}

function nodeExchange(...[request, reply, done]: Parameters<Hook>): NodeExchange {
  const res = reply.raw as ServerResponse;
  return {
    raw: request.raw as IncomingMessage,
    res,
    body: request.body,
    bodyRemedy: 'its content type parser returned nothing',
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
      // onSend hooks must not change a replay. Headers that earlier hooks set, such as CORS, are kept.
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
 * Idempotency keys for Fastify 5. The plugin protects the routes that are added after it, in its encapsulation context and those
 * within. A route has its own options in `config: { idempotency: { required: false } }`; `config: { idempotency: false }` turns
 * the protection off. The handler finds its attempt in `request.idempotency` and in `currentAttempt()`.
 *
 * It is a preHandler hook: identify the caller in an onRequest or preValidation hook.
 *
 * @example app.register(fastifyIdempotency, { store, scope: (request) => request.user.id });
 * @throws UsageError INVALID_OPTIONS when the plugin is registered, or a route is added
 */
export const fastifyIdempotency: FastifyPlugin = Object.assign(plugin, {
  // As fastify-plugin does: the hooks belong to the context that registers the plugin, not to a new one.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'twiceshy',
  [Symbol.for('plugin-meta')]: { name: 'twiceshy', fastify: '5.x' },
});
