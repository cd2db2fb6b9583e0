import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Attempt } from '../core/attempt/attempt.js';
import { warnOfAuthorization } from './internal/exchange/authorization.js';
import { Exchange } from './internal/exchange/exchange.js';
import { serveNode } from './internal/node/middleware.js';
import { noteError } from './internal/exchange/noted-errors.js';
import { httpSettings, readHttpOptions, type HttpOptions } from './internal/options.js';

export * from './internal/shared-exports.js';

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- the only way to add to the Request of Express
  namespace Express {
    interface Request {
      /** The attempt that the handler runs in, or undefined if the request is not protected. */
      idempotency?: Attempt | undefined;
    }
  }
}

/**
 * The members of an Express 4 or 5 request that are used here, with those that other packages add. Body, params and query are
 * left out, because Express would use their types for the handlers that follow. In options, annotate `(req: Request)`.
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
 * Idempotency keys for Express 5 and 4. Put the middleware after the body parsers and after the one that identifies the caller.
 * The handler finds its attempt in `req.idempotency` and in `currentAttempt()`.
 *
 * In a route, records belong to the route's pattern. In an app or a router, they belong to the path.
 *
 * @example app.post('/orders', expressIdempotency({ store, scope: (req) => req.user.id }), handler);
 * @throws UsageError INVALID_OPTIONS
 */
export function expressIdempotency(options: ExpressIdempotencyOptions): ExpressIdempotency {
  const exchange = new Exchange(
    httpSettings('expressIdempotency()', readHttpOptions('expressIdempotency()', options)),
  );
  let hasLooked = false;
  const middleware: ExpressIdempotency = (req, res, next) => {
    // The request has an answer already, for example from a handler that called next() after answering.
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
      route: routePattern(req, middleware),
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
 * Passes errors to the option `remember`, because Express gives them to error middlewares only. Put
 * `app.use(expressIdempotencyErrors())` after the routes and before your error handlers. It sends no answer, and passes the
 * error on.
 */
export function expressIdempotencyErrors(): (
  error: unknown,
  req: object,
  res: object,
  next: (error?: unknown) => void,
) => void {
  // Express recognises an error middleware by its four parameters.
  return (error, _req, res, next) => {
    noteError(res, error);
    next(error);
  };
}

/** The functions that run after this middleware: in its route, or else in the app. */
function behind(req: ExpressRequest, middleware: ExpressIdempotency): unknown[] {
  const { app, route } = req as { app?: { router?: unknown; _router?: unknown }; route?: unknown };
  // Express 4 has `_router`, and throws for `router`.
  for (const at of [route, app?._router ?? app?.router]) {
    const { stack } = (at ?? {}) as { stack?: readonly { handle?: unknown }[] };
    const handles = stack?.map(({ handle }) => handle) ?? [];
    if (handles.includes(middleware)) return handles.slice(handles.indexOf(middleware) + 1);
  }
  return [];
}

/** The pattern of the route that contains this middleware. `req.route` may still be an earlier route, so its stack is checked. */
function routePattern(req: ExpressRequest, middleware: ExpressIdempotency): string | undefined {
  const route = req.route as { path?: unknown; stack?: readonly { handle?: unknown }[] } | undefined;
  if (!route?.stack?.some(({ handle }) => handle === middleware)) return undefined;
  return req.baseUrl + String(route.path);
}
