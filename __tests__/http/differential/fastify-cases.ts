import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { FILE, NODE_HANDLERS } from './node-handlers.js';

export interface FastifyCase {
  readonly handler: (request: FastifyRequest, reply: FastifyReply) => unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly schema?: object;
  /** The handler answers on Node's response itself, and so leaves out what plugins set on Fastify's reply. */
  readonly isHijacked?: boolean;
}

const later = () => new Promise<void>((resolve) => setImmediate(resolve));
const textStream = (...parts: string[]) => Readable.from(parts, { objectMode: true });

const OWN: Readonly<Record<string, FastifyCase['handler']>> = {
  'an object': async () => ({ a: 1 }),
  'an object, at once': (_, reply) => void reply.send({ a: 1 }),
  'an object, with a status': async (_, reply) => reply.code(201).header('Location', '/1').send({ id: 1 }),
  'a list': async () => [1, 2],
  'a number': async (_, reply) => reply.send(JSON.stringify(5)),
  null: async (_, reply) => reply.send(null),
  nothing: async (_, reply) => reply.send(),
  'a text': async () => 'grüße',
  'an empty text': async () => '',
  bytes: async () => Buffer.of(0, 255),
  'a typed array': async () => new Uint8Array([1, 2]),
  html: async (_, reply) => reply.type('text/html').send('<p>x</p>'),
  'a large text': async () => 'grüße '.repeat(50_000),
  '204': async (_, reply) => reply.code(204).send(),
  '205': async (_, reply) => reply.code(205).send(),
  '304': async (_, reply) => reply.code(304).send(),
  '402': async (_, reply) => reply.code(402).send({ error: 'no funds' }),
  '404 of its own': async (_, reply) => reply.callNotFound(),
  '500': async (_, reply) => reply.code(500).send('broken'),
  'a redirect': async (_, reply) => reply.redirect('/other'),
  'a redirect 303': async (_, reply) => reply.redirect('http://shop.example/1', 303),
  cookies: async (_, reply) => reply.header('set-cookie', ['a=1', 'b=2']).send('x'),
  'cookies of the plugin': async (_, reply) =>
    (reply as unknown as { setCookie(name: string, value: string): FastifyReply })
      .setCookie('a', 'b')
      .send('x'),
  'headers of its own': async (_, reply) =>
    reply.headers({ 'X-A': '1', ETag: '"1"', Vary: 'Origin' }).send('x'),
  'headers of the raw response': async (_, reply) => (reply.raw.setHeader('X-Raw', '1'), 'x'),
  'headers that were removed': async (_, reply) => (reply.header('x-a', '1').removeHeader('x-a'), 'x'),
  'a length of its own': async (_, reply) => reply.header('content-length', '1').send('x'),
  'a stream of texts': async (_, reply) => reply.send(textStream('first,', 'second,', 'third')),
  'a stream of bytes': async (_, reply) => reply.send(Readable.from([Buffer.of(1), Buffer.of(2)])),
  'a stream with a length': async (_, reply) =>
    reply.header('content-length', '12').send(textStream('first,', 'second')),
  'a file': async (_, reply) => reply.type('text/plain').send(createReadStream(FILE)),
  'a web stream': async (_, reply) => reply.send(new Blob(['web ', 'stream']).stream()),
  'a Response': async (_, reply) =>
    reply.send(new Response('text', { status: 201, headers: { 'x-a': '1' } })),
  'a generator': async (_, reply) => {
    const parts = async function* () {
      yield 'one,';
      await later();
      yield 'two';
    };
    return reply.send(Readable.from(parts()));
  },
  'server-sent events': async (_, reply) => {
    reply.header('content-type', 'text/event-stream');
    return reply.send(textStream('data: 1\n\n', 'data: 2\n\n'));
  },
  trailers: async (_, reply) => {
    reply.trailer('x-sum', (_reply: unknown, _payload: unknown, done: (error: null, value: string) => void) =>
      done(null, '4'),
    );
    return reply.send('body');
  },
  'an error that is thrown': async () => {
    throw new Error('down');
  },
  'an error that is thrown at once': () => {
    throw new Error('down');
  },
  'an error that is sent': (_, reply) => void reply.send(new Error('down')),
  'an error with a status': async () => {
    throw Object.assign(new Error('no funds'), { statusCode: 402 });
  },
  'an error in a stream': async (_, reply) => {
    const parts = async function* () {
      yield 'one,';
      await later();
      throw new Error('down');
    };
    return reply.send(Readable.from(parts()));
  },
  'a header that HTTP can not carry': async (_, reply) =>
    reply.code(201).header('x-name', 'O’Neill').send({ a: 1 }),
  'a header of the safe list that HTTP can not carry': async (_, reply) =>
    reply.header('content-disposition', 'filename=’').send({ a: 1 }),
  'a header that HTTP can not carry, on the raw response': (_, reply) => {
    reply.raw.writeHead(201, { 'x-name': '’' });
    reply.raw.end('x');
  },
  'two sends': async (_, reply) => (reply.send('one'), reply),
  'a later send': (_, reply) => void setImmediate(() => void reply.send('later')),
  'its own serializer': async (_, reply) => reply.serializer(() => '[x]').send({ a: 1 }),
  'the parsed body': async (request) => ({ body: request.body }),
  'a reply that is destroyed': (_, reply) => void reply.raw.destroy(),
};

const gzip = { 'Accept-Encoding': 'gzip' };
const upload = { 'Content-Type': 'multipart/form-data; boundary=b' };
const MULTIPART = [
  ...['--b', 'Content-Disposition: form-data; name="f"; filename="f.txt"', 'Content-Type: text/plain', ''],
  ...['file', '--b--', ''],
].join('\r\n');

const SPECIAL: Readonly<Record<string, FastifyCase>> = {
  'a compressed object': { handler: async () => ({ text: 'abc '.repeat(600) }), headers: gzip },
  'a compressed stream': {
    handler: async (_, reply) => reply.type('text/plain').send(textStream('abc'.repeat(500), 'def')),
    headers: gzip,
  },
  'a schema of the answer': {
    handler: async () => ({ a: 1, b: 2 }),
    schema: { response: { 200: { type: 'object', properties: { a: { type: 'integer' } } } } },
  },
  'a schema that the body breaks': {
    handler: async () => ({}),
    schema: { body: { type: 'object', required: ['other'] } },
  },
  'JSON that can not be parsed': { handler: async () => ({}), body: '{' },
  'a type that nobody parses': { handler: async () => ({}), headers: { 'Content-Type': 'text/odd' } },
  'a text that was parsed': {
    handler: async (request) => request.body,
    headers: { 'Content-Type': 'text/plain' },
    body: 'grüße',
  },
  'an upload': {
    handler: async (request) => {
      const file = await (request as unknown as { file(): Promise<{ toBuffer(): Promise<Buffer> }> }).file();
      return { size: (await file.toBuffer()).length };
    },
    headers: upload,
    body: MULTIPART,
  },
  'an upload that nobody reads': { handler: async () => ({}), headers: upload, body: MULTIPART },
  'a hijacked reply': {
    isHijacked: true,
    handler: (_, reply) => {
      reply.hijack();
      reply.raw.writeHead(202, { 'X-A': 'b' }).end('x');
    },
  },
  'a cross-origin request': { handler: async () => ({}), headers: { Origin: 'http://a.example' } },
};

/** Every case of Fastify, by name. */
export const FASTIFY_CASES: Readonly<Record<string, FastifyCase>> = {
  ...Object.fromEntries(Object.entries(OWN).map(([name, handler]) => [name, { handler }])),
  ...SPECIAL,
  ...Object.fromEntries(
    Object.entries(NODE_HANDLERS).map(([name, handler]): [string, FastifyCase] => [
      `Node: ${name}`,
      {
        isHijacked: true,
        handler: (request, reply) => {
          reply.hijack();
          return handler(request.raw, reply.raw);
        },
      },
    ]),
  ),
};
