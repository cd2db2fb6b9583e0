import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import type { Server } from 'node:http';
import { currentAttempt } from '../../../src/idempotency/current-attempt.js';
import { fetchIdempotency, type FetchHandler } from '../../../src/http/fetch.js';
import {
  optionsFor,
  type Answer,
  type Handler,
  type Route,
  type RunningServer,
  type Site,
  type SiteOptions,
} from '../site.js';
import { listen } from './listen.js';

type Fetch = (request: Request) => Promise<Response>;

/** Plain `Request -> Response`, with as much of a router as the tests need. */
export function startFetch({ options, routes }: Site): Promise<RunningServer> {
  const table = routes.map((route) => ({
    route,
    answer: protectedOf(route, options)(handle(route.handler)),
  }));
  return serve(async (request) => {
    const { pathname } = new URL(request.url);
    const found = table.find(({ route }) => route.method === request.method && matches(route.path, pathname));
    try {
      return (await found?.answer(request)) ?? new Response(null, { status: 404 });
    } catch (error) {
      return errorAnswer(error);
    }
  });
}

/** The same in routes of Hono, with its context as a further argument. */
export function startHono({ options, routes }: Site): Promise<RunningServer> {
  const app = new Hono();
  for (const route of routes) {
    const handler = handle(route.handler);
    const answer = protectedOf(
      route,
      options,
    )<[{ readonly path: string }]>((request, context) => {
      if (!context.path) throw new Error('no context');
      return handler(request);
    });
    app.on(route.method, route.path, (context) => answer(context.req.raw, context.req));
  }
  app.onError((error) => errorAnswer(error));
  return serve(async (request) => app.fetch(request));
}

function serve(fetch: Fetch): Promise<RunningServer> {
  return listen(createAdaptorServer({ fetch }) as Server);
}

function protectedOf({ options: own }: Route, options: SiteOptions) {
  if (own === false) return <Rest extends unknown[]>(handler: FetchHandler<Rest>) => handler;
  return fetchIdempotency(
    optionsFor<Request>(
      { ...options, ...own },
      (request, name) => request.headers.get(name) ?? undefined,
      (request) => request.json(),
    ),
  );
}

function errorAnswer(error: unknown): Response {
  return Response.json({ handledBy: 'the app', message: (error as Error).message }, { status: 500 });
}

function matches(pattern: string, path: string): boolean {
  return new RegExp(`^${pattern.replaceAll(/:\w+/g, '[^/]+')}$`).test(path);
}

function handle(handler: Handler): (request: Request) => Promise<Response> {
  return async (request) => {
    const attempt = currentAttempt();
    const { pathname, search } = new URL(request.url);
    const text = await request.text();
    const answer = await handler({
      path: pathname + search,
      body: request.headers.get('content-type') === 'application/json' ? (JSON.parse(text) as unknown) : text,
      header: (name) => request.headers.get(name) ?? undefined,
      attempt,
    });
    return toResponse(answer);
  };
}

function toResponse({ status = 200, headers = {}, body = '', stream }: Answer): Response {
  const init = {
    status,
    headers: Object.entries(headers).flatMap(([name, value]) =>
      [value].flat().map((each): [string, string] => [name, each]),
    ),
  };
  if (status === 204) return new Response(null, init);
  return new Response(stream ? streamOf(stream) : (body as string), init);
}

function streamOf(chunks: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await iterator.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
  });
}
