import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Attempt } from '../core/attempt/attempt.js';
import { warnOfAuthorization } from './internal/exchange/authorization.js';
import { Exchange } from './internal/exchange/exchange.js';
import { serveNode } from './internal/node/middleware.js';
import { tellError } from './internal/exchange/told-errors.js';
import { httpSettings, readHttpOptions, type HttpOptions } from './internal/options.js';

export * from './internal/shared-exports.js';

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- the only way to add to the Request of Express
  namespace Express {
    interface Request {
      /** The attempt that the handler runs in; undefined for a request that is not protected. */
      idempotency?: Attempt | undefined;
    }
  }
}

/**
 * What we look at of a request of Express 4 or 5, with what other packages add to it. Body, params and query are left
 * out, since Express would take their types from here for the handlers that follow: annotate `(req: Request)`.
 */
export interface ExpressRequest extends Express.Request {
  readonly method: string;
  readonly originalUrl: string;
  readonly baseUrl: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly ip?: string | undefined;
  readonly route?: unknown;
  get(name: string): string | undefined;
}
type ExpressResponse = object;
export type ExpressIdempotencyOptions = HttpOptions<ExpressRequest>;
export type ExpressIdempotency = (
  req: ExpressRequest,
  res: ExpressResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Idempotency keys for Express 5 and 4: `app.post('/orders', expressIdempotency({ store, scope }), handler)`, behind
 * the body parsers and behind whatever tells who the caller is. The handler finds its attempt in `req.idempotency` and
 * in `currentAttempt()`.
 *
 * As middleware of a route, records belong to the route's pattern; of an app or a router, to the path.
 * @throws UsageError INVALID_OPTIONS
 */
export function expressIdempotency(options: ExpressIdempotencyOptions): ExpressIdempotency {
  const exchange = new Exchange(
    httpSettings('expressIdempotency()', readHttpOptions('expressIdempotency()', options)),
  );
  let hasLooked = false;
  const middleware: ExpressIdempotency = (req, res, next) => {
    // What has an answer already needs none of ours: a handler that answered and passed the request on, say.
    if (!exchange.concerns(req.method) || (res as ServerResponse).headersSent) return next();
    if (!hasLooked) {
      hasLooked = true;
      const remedy = 'put it before expressIdempotency()';
      warnOfAuthorization(behind(req, middleware), req.originalUrl, remedy, exchange.settings.warn);
    }
    void serveNode(exchange, req, {
      raw: req as unknown as IncomingMessage,
      res: res as ServerResponse,
      body: 'body' in req ? req.body : undefined,
      bodyRemedy: 'put express.json(), or the parser of its type, before expressIdempotency()',
      url: req.originalUrl,
      route: routeOf(req, middleware),
      next: (attempt) => {
        if (attempt) req.idempotency = attempt;
        next();
      },
      fail: next,
    });
  };
  return middleware;
}

/**
 * Tells `remember` of errors, which Express tells to error middlewares only: `app.use(expressIdempotencyErrors())`, behind the
 * routes and before your own error handlers. It answers nothing, and passes the error on.
 */
export function expressIdempotencyErrors(): (
  error: unknown,
  req: object,
  res: object,
  next: (error?: unknown) => void,
) => void {
  // Express knows an error middleware by its four parameters.
  return (error, _req, res, next) => {
    tellError(res, error);
    next(error);
  };
}

/** The functions that stand behind us: in our route, or else in the app. */
function behind(req: ExpressRequest, middleware: ExpressIdempotency): unknown[] {
  const { app, route } = req as { app?: { router?: unknown; _router?: unknown }; route?: unknown };
  // Express 4 has the first, and throws for the second.
  for (const at of [route, app?._router ?? app?.router]) {
    const { stack } = (at ?? {}) as { stack?: readonly { handle?: unknown }[] };
    const handles = stack?.map(({ handle }) => handle) ?? [];
    if (handles.includes(middleware)) return handles.slice(handles.indexOf(middleware) + 1);
  }
  return [];
}

/** The route's pattern, if it is this route's stack that we stand in: an earlier route's is left in the request. */
function routeOf(req: ExpressRequest, middleware: ExpressIdempotency): string | undefined {
  const route = req.route as { path?: unknown; stack?: readonly { handle?: unknown }[] } | undefined;
  if (!route?.stack?.some(({ handle }) => handle === middleware)) return undefined;
  return req.baseUrl + String(route.path);
}
