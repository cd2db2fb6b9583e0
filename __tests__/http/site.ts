import type { Attempt } from '../../src/core/attempt/attempt.js';
import type { HttpOptions } from '../../src/http/internal/options.js';

/** A handler's view of a request, the same under every framework. */
export interface Call {
  readonly path: string;
  readonly body: unknown;
  readonly header: (name: string) => string | undefined;
  /** As the adapter hands it to the handler. */
  readonly attempt: Attempt | undefined;
}

/** What a handler answers, and the framework sends in its own way. */
export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Uint8Array;
  /** In the place of a body: sent piece by piece, as it comes. */
  readonly stream?: AsyncIterable<Uint8Array>;
}
export type Handler = (call: Call) => Answer | Promise<Answer>;

/** What functions in the options see of a request, the same under every framework. */
export interface Seen extends Pick<Call, 'header'> {
  /** Parsed. Under fetch it is read anew each time. */
  readonly body: () => unknown;
}
type OfSeen<Result> = (seen: Seen) => Result | Promise<Result>;
type ByRequest = 'scope' | 'key' | 'host' | 'headers' | 'skip' | 'fingerprint' | 'route' | 'onAbandoned';
/** The options of every adapter; functions of the request are given what all frameworks have. */
export interface SiteOptions extends Omit<HttpOptions<never>, ByRequest> {
  scope?: 'shared' | OfSeen<string | undefined>;
  key?: OfSeen<string | number | null | undefined>;
  host?: boolean | OfSeen<string | undefined>;
  headers?: OfSeen<Record<string, string>>;
  skip?: OfSeen<boolean>;
  route?: OfSeen<string>;
  fingerprint?: OfSeen<unknown>;
  onAbandoned?: HttpOptions<object>['onAbandoned'];
}

export interface Route {
  readonly method: string;
  readonly path: string;
  readonly handler: Handler;
  /** Over those of the site; `false` leaves the route alone. */
  readonly options?: SiteOptions | false;
}

/** What a server is to serve. */
export interface Site {
  readonly options: SiteOptions;
  readonly routes: readonly Route[];
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
}
export type StartServer = (site: Site) => Promise<RunningServer>;

/** The options for one framework. */
export function optionsFor<Req>(
  options: SiteOptions,
  headerOf: (request: Req, name: string) => string | undefined,
  bodyOf: (request: Req) => unknown,
): HttpOptions<Req> {
  const { scope = 'shared', key, host, headers, skip, route, fingerprint, ...others } = options;
  const seen = (request: Req): Seen => ({
    header: (name) => headerOf(request, name),
    body: () => bodyOf(request),
  });
  return {
    ...(others as Omit<HttpOptions<Req>, ByRequest>),
    scope: scope === 'shared' ? scope : (request: Req) => scope(seen(request)),
    ...(key && { key: (request: Req) => key(seen(request)) }),
    ...(host !== undefined && {
      host: typeof host === 'function' ? (request: Req) => host(seen(request)) : host,
    }),
    ...(headers && { headers: (request: Req) => headers(seen(request)) }),
    ...(route && { route: (request: Req) => route(seen(request)) }),
    ...(skip && { skip: (request: Req) => skip(seen(request)) }),
    ...(fingerprint && { fingerprint: (request: Req) => fingerprint(seen(request)) }),
  };
}

export function oneHeader(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}
