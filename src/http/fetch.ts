import { Exchange } from './internal/exchange/exchange.js';
import type { Facts } from './internal/exchange/facts.js';
import { isBodiless, type Answered } from './internal/exchange/answer.js';
import { FetchBody } from './internal/fetch/body.js';
import { FetchRecording } from './internal/fetch/recording.js';
import { httpSettings, readHttpOptions, type HttpOptions } from './internal/options.js';

export * from './internal/shared-exports.js';

/** Functions in the options also get the handler's other arguments: `scope: (request, context: Context) => ...`. */
export type FetchIdempotencyOptions = HttpOptions<Request, unknown[]>;
export type FetchHandler<Rest extends unknown[], Req extends Request = Request> = (
  request: Req,
  ...rest: Rest
) => Response | Promise<Response>;
/** The request may have a framework's own type, such as Next's. */
export type FetchIdempotency = <Rest extends unknown[] = [], Req extends Request = Request>(
  handler: FetchHandler<Rest, Req>,
) => (request: Req, ...rest: Rest) => Promise<Response>;

/** The status of an answer to a client that has left, and does not see it. */
const CLIENT_LEFT = 499;

/**
 * Idempotency keys for handlers of the fetch standard (Hono, Bun, Deno, Next route handlers). It returns a function that wraps
 * handlers. The handler gets the request with its body unread, and finds its attempt in `currentAttempt()`.
 *
 * Records belong to the path. If paths contain parameters and a key must be unique across them, give the option `route`.
 *
 * @example export const POST = fetchIdempotency({ store, scope })(async (request) => Response.json(await create(request)));
 * @throws UsageError INVALID_OPTIONS
 */
export function fetchIdempotency(options: FetchIdempotencyOptions): FetchIdempotency {
  const exchange = new Exchange(
    httpSettings('fetchIdempotency()', readHttpOptions('fetchIdempotency()', options)),
  );
  return (handler) =>
    async (request, ...rest) => {
      if (!exchange.concerns(request.method)) return handler(request, ...rest);
      const recording = new FetchRecording(exchange.settings);
      let hasStarted = false;
      const marks: Mark[] = [];
      const facts = requestFacts(request, rest, exchange.settings.maxRequestBytes, marks);
      const answered = exchange.answer(request, facts, () => {
        hasStarted = true;
        void recording.follow(() => handler(request, ...rest));
        return recording.ended;
      });
      const replied = answered.then((reply): Response | Promise<Response> => {
        if (hasStarted && reply.kind !== 'own') recording.cut();
        switch (reply.kind) {
          case 'pass':
            return handler(request, ...rest);
          case 'own':
            return recording.release();
          case 'answer':
            return toResponse(reply.answer);
          case 'throw':
            throw reply.error;
          case 'left':
            return new Response(null, { status: CLIENT_LEFT });
        }
      });
      const response = await Promise.race([recording.streamed, replied]);
      return marks.length > 0 && hasStarted ? marked(response, marks) : response;
    };
}

function toResponse({ status, headers, body }: Answered): Response {
  const pairs = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map((each): [string, string] => [name, String(each)]),
  );
  // Null for an empty body, because some servers add a content type to an empty one.
  const isAbsent = isBodiless(status) || body.length === 0;
  // As bytes: for a string, Response adds a content type of its own.
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : (body as Uint8Array<ArrayBuffer>);
  return new Response(isAbsent ? null : bytes, {
    status,
    headers: pairs,
  });
}

type Mark = readonly [name: string, value: string];

function marked(response: Response, marks: readonly Mark[]): Response {
  const headers = new Headers(response.headers);
  for (const [name, value] of marks) headers.set(name, value);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

function requestFacts<Req extends Request>(
  request: Req,
  rest: readonly unknown[],
  maxRequestBytes: number,
  marks: Mark[],
): Facts<Req> {
  const body = new FetchBody(request, maxRequestBytes);
  const { pathname, search, host } = new URL(request.url);
  return {
    method: request.method,
    path: pathname,
    query: search,
    route: pathname,
    header: (name) => request.headers.get(name) ?? undefined,
    host: () => host,
    asked: () => [body.copy(), ...rest],
    isReading: () => body.isReading,
    mark: (...mark) => void marks.push(mark),
    body: () => body.compared(),
    // A caller may pass the same Request object several times.
    comesOnce: false,
    onGone(listener) {
      if (request.signal.aborted) listener();
      else request.signal.addEventListener('abort', listener, { once: true });
    },
  };
}
