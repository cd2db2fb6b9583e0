import { readFileSync } from 'node:fs';
import { FILE } from './node-handlers.js';

export interface FetchCase {
  readonly handler: (request: Request) => Response | Promise<Response>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const later = () => new Promise<void>((resolve) => setImmediate(resolve));
const bytes = (text: string) => new TextEncoder().encode(text);

function streamOf(...parts: string[]): ReadableStream<Uint8Array> {
  const rest = [...parts];
  return new ReadableStream({
    async pull(controller) {
      await later();
      const next = rest.shift();
      if (next === undefined) controller.close();
      else controller.enqueue(bytes(next));
    },
  });
}

function streamAtOnce(...parts: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(bytes(part));
      controller.close();
    },
  });
}

const gzipped = () => new Response('abc '.repeat(600)).body!.pipeThrough(new CompressionStream('gzip'));
const BODIES: Readonly<Record<string, () => ConstructorParameters<typeof Response>[0]>> = {
  text: () => 'grüße',
  'an empty text': () => '',
  nothing: () => null,
  bytes: () => Uint8Array.of(0, 255, 1),
  'no bytes': () => new Uint8Array(),
  'an ArrayBuffer': () => bytes('buffer').buffer,
  'a Blob': () => new Blob(['blob'], { type: 'text/css' }),
  'a form': () => new URLSearchParams({ a: '1' }),
  'a stream': () => streamOf('one,', 'two,', 'three'),
  'a stream that is there': () => streamAtOnce('one,', 'two'),
  'a stream of one chunk': () => streamAtOnce('one'),
  'an empty stream': () => streamAtOnce(),
  'a large text': () => 'grüße '.repeat(50_000),
  'a large stream': () => streamOf(...Array.from({ length: 8 }, () => 'x'.repeat(20_000))),
};
const STATUSES = [200, 201, 202, 303, 400, 402, 404, 422, 429, 500, 503];

const ofBodies = Object.entries(BODIES).flatMap(([name, make]) => [
  [name, () => new Response(make())],
  [
    `${name}, with a type`,
    () => new Response(make(), { status: 201, headers: { 'Content-Type': 'text/x' } }),
  ],
  [
    `${name}, later`,
    async () => (await later(), new Response(make(), { headers: { 'X-A': '1', ETag: '"1"' } })),
  ],
]) as [string, FetchCase['handler']][];
const ofStatuses = STATUSES.flatMap((status) => [
  [`${status} with text`, () => new Response('x', { status })],
  [`${status} with JSON`, () => Response.json({ status }, { status })],
]) as [string, FetchCase['handler']][];

const OWN: Readonly<Record<string, FetchCase['handler']>> = {
  'Response.json': () => Response.json({ a: 1 }),
  'a redirect': () => Response.redirect('http://shop.example/1', 303),
  '204': () => new Response(null, { status: 204 }),
  '205': () => new Response(null, { status: 205 }),
  '304': () => new Response(null, { status: 304, headers: { ETag: '"1"' } }),
  'a reason phrase': () => new Response('x', { status: 201, statusText: 'Made' }),
  cookies: () => {
    const response = new Response('x');
    response.headers.append('Set-Cookie', 'a=1; Path=/');
    response.headers.append('Set-Cookie', 'b=2');
    return response;
  },
  'a cookie, and what may be cached': () =>
    new Response('x', { headers: { 'Set-Cookie': 'a=1', 'Cache-Control': 'public, max-age=60' } }),
  'headers that are added later': () => {
    const response = Response.json({});
    response.headers.set('X-Later', '1');
    return response;
  },
  'a length of its own': () => new Response('abc', { headers: { 'Content-Length': '3' } }),
  'a stream with a length': () =>
    new Response(streamOf('abc', 'def'), { headers: { 'Content-Length': '6' } }),
  'a file': () => new Response(readFileSync(FILE), { headers: { 'Content-Type': 'text/plain' } }),
  'a part of a file': () =>
    new Response(readFileSync(FILE).subarray(0, 9), {
      status: 206,
      headers: { 'Content-Range': 'bytes 0-8/99' },
    }),
  'a download': () =>
    new Response('pdf', { headers: { 'Content-Disposition': 'attachment; filename=a.pdf' } }),
  'server-sent events': () =>
    new Response(streamOf('data: 1\n\n', 'data: 2\n\n'), {
      headers: { 'Content-Type': 'text/event-stream' },
    }),
  'a compressed stream': () => new Response(gzipped(), { headers: { 'Content-Encoding': 'gzip' } }),
  'a clone': () => new Response('x').clone(),
  'a transformed stream': () => new Response(new Response('text').body!.pipeThrough(new TransformStream())),
  'the request echoed': (request) => new Response(request.body),
  'the text of the request': async (request) => new Response(await request.text()),
  'the JSON of the request': async (request) => Response.json(await request.json()),
  'an error that is thrown': () => {
    throw new Error('down');
  },
  'an error that is rejected': () => Promise.reject(new Error('down')),
  'an error in a stream': () =>
    new Response(
      new ReadableStream({
        async pull(controller) {
          await later();
          controller.error(new Error('down'));
        },
      }),
    ),
};

/** Every case of the fetch standard, by name. */
export const FETCH_CASES: Readonly<Record<string, FetchCase>> = {
  ...Object.fromEntries(
    [...ofBodies, ...ofStatuses, ...Object.entries(OWN)].map(([name, handler]) => [name, { handler }]),
  ),
  'a body that nobody reads': { handler: () => new Response('x'), body: 'x'.repeat(100_000) },
};
