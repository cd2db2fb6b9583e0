import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:http2';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from '@jest/globals';
import express5, { type NextFunction, type Request as Req, type Response as Res } from 'express';
import Fastify, { type FastifyInstance } from 'fastify';
import { Hono } from 'hono';
import { expressIdempotency } from '../../src/http/express.js';
import { fastifyIdempotency } from '../../src/http/fastify.js';
import { fetchIdempotency } from '../../src/http/fetch.js';
import { FaultyStore, storeDown } from '../../src/testing/faulty-store.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { deferred } from '../support/deferred.js';
import { send, until } from './contract/harness.js';
import { compression, fastifyPlugins } from './differential/middlewares.js';
import { listen } from './servers/listen.js';

const run = promisify(execFile);
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
const store = () => new InMemoryStore();
const shared = () => ({ store: store(), scope: 'shared' }) as const;

async function serveExpress(build: (app: express5.Express) => void): Promise<{ url: string; port: number }> {
  const app = express5();
  app.set('env', 'test');
  app.use(express5.json());
  build(app);
  app.use((error: Error & { code?: string }, _req: Req, res: Res, _next: NextFunction) => {
    res.status(500).json({ code: error.code, message: error.message });
  });
  const server = await listen(createServer(app));
  closing.push(() => server.stop());
  return server;
}

async function serveFastify(build: (app: FastifyInstance) => Promise<void>, options = {}): Promise<string> {
  const app = Fastify({ forceCloseConnections: true, ...options }) as FastifyInstance;
  await build(app);
  closing.push(() => app.close());
  return app.listen({ port: 0, host: '127.0.0.1' });
}

const post = (body = '{"a":1}') =>
  new Request('http://shop/orders', { method: 'POST', headers: { 'idempotency-key': 'k' }, body });
const isReplay = (response: Response) => response.headers.get('idempotency-replayed') === 'true';

/** A request over plain HTTP, with the headers that are given and no others. */
async function plain(port: number, headers: Record<string, string>) {
  const sent = httpRequest({
    port,
    path: '/orders',
    method: 'POST',
    headers: { 'idempotency-key': 'k', ...headers },
  });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode, headers: response.headers, bytes: Buffer.concat(chunks) };
}

describe('one Request object, several times', () => {
  test('after its answer: a replay', async () => {
    let runs = 0;
    const handler = fetchIdempotency(shared())(() => Response.json({ run: ++runs }));
    const one = post();
    expect(isReplay(await handler(one))).toBe(false);
    const again = await handler(one);
    expect([isReplay(again), await again.json()]).toEqual([true, { run: 1 }]);
  });

  test('after a 503 while the store is down: nothing runs', async () => {
    const faulty = new FaultyStore(store());
    faulty.faults.claim = () => {
      throw storeDown();
    };
    let runs = 0;
    const protect = fetchIdempotency({ store: faulty, scope: 'shared', storeTimeout: 20, logger: {} });
    const handler = protect(() => Response.json({ run: ++runs }));
    const one = post();
    expect([(await handler(one)).status, (await handler(one)).status, runs]).toEqual([503, 503, 0]);
    faulty.heal();
    await until(async () => (await handler(post())).status === 200);
    expect(runs).toBe(1);
  });

  test('after a 409 beside the first: 409 again', async () => {
    const [started, goOn] = [deferred(), deferred()];
    let runs = 0;
    const handler = fetchIdempotency(shared())(async () => {
      runs++;
      started.resolve();
      await goOn.promise;
      return new Response('x');
    });
    const first = handler(post());
    await started.promise;
    const one = post();
    expect([(await handler(one)).status, (await handler(one)).status]).toEqual([409, 409]);
    goOn.resolve();
    await first;
    expect(runs).toBe(1);
  });

  test('while it runs, from elsewhere: it is not taken for nested', async () => {
    const [started, goOn] = [deferred(), deferred()];
    const handler = fetchIdempotency(shared())(async () => {
      started.resolve();
      await goOn.promise;
      return new Response('x');
    });
    const one = post();
    const first = handler(one);
    await started.promise;
    expect((await handler(one)).status).toBe(409);
    goOn.resolve();
    await first;
  });

  test('nested, with the same options: it is protected once', async () => {
    const protect = fetchIdempotency(shared());
    const handler = protect(protect(() => new Response('x')));
    expect((await handler(post())).status).toBe(200);
    expect(isReplay(await handler(post()))).toBe(true);
  });
});

describe('a request that a handler makes in its own process is a request of its own', () => {
  test('fetch: app.request() of Hono, to another route, and to the same one under another key', async () => {
    const app = new Hono();
    const protect = fetchIdempotency(shared());
    const runs = { orders: 0, mails: 0 };
    const inside = async (path: string, key: string) =>
      (await app.request(path, { method: 'POST', headers: { 'idempotency-key': key }, body: 'b' })).text();
    app.post('/mails', (context) => protect(() => new Response(`mail ${++runs.mails}`))(context.req.raw));
    app.post('/orders', (context) =>
      protect(async (request) => {
        const order = ++runs.orders;
        if (request.headers.get('idempotency-key') === 'inner') return new Response('inner');
        const mails = [await inside('/mails', 'outer'), await inside('/mails', 'outer')];
        return new Response([order, ...mails, await inside('/orders', 'inner')].join());
      })(context.req.raw),
    );
    expect(await inside('/orders', 'outer')).toBe('1,mail 1,mail 1,inner');
    expect(await inside('/mails', 'outer')).toBe('mail 1');
    expect(await inside('/orders', 'inner')).toBe('inner');
    expect(runs).toEqual({ orders: 2, mails: 1 });
  });

  test('fetch: to the same route under the same key it would wait for itself, and is refused', async () => {
    let runs = 0;
    const handler: (request: Request) => Promise<Response> = fetchIdempotency(shared())(async () => {
      runs++;
      const inner = await handler(post());
      return new Response(await inner.text(), { status: 201 });
    });
    expect(await (await handler(post())).json()).toMatchObject({ code: 'INVALID_KEY' });
    expect(runs).toBe(1);
  });
});

describe('an inner protection with other options is a fault of the app, said at the first request', () => {
  const message =
    /protected twice.*fetchIdempotency|protected twice.*expressIdempotency|protected twice.*fastifyIdempotency/;
  const byTenant = (request: { headers: unknown }) => String(request.headers);

  test('fetch', async () => {
    let runs = 0;
    const inner = fetchIdempotency({ ...shared(), scope: byTenant })(() => Response.json({ run: ++runs }));
    const handler = fetchIdempotency(shared())(inner);
    await expect(handler(post())).rejects.toMatchObject({ code: 'INVALID_OPTIONS', message });
    expect(runs).toBe(0);
  });

  test('Express', async () => {
    let runs = 0;
    const { url } = await serveExpress((app) => {
      app.use(expressIdempotency(shared()));
      app.post('/orders', expressIdempotency({ store: store(), scope: byTenant }), (_req, res) => {
        res.json({ run: ++runs });
      });
    });
    const got = await send(url, { key: 'k' });
    expect(got).toMatchObject({ status: 500, json: { code: 'INVALID_OPTIONS' } });
    expect(got.text).toMatch(message);
    expect(runs).toBe(0);
  });

  test('names both by what differs: of objects their class, of functions that they are some', async () => {
    const inside = (inner: object, outer: object = {}) => {
      const handler = fetchIdempotency({ ...shared(), ...inner })(() => Response.json({}));
      const around = fetchIdempotency({ ...shared(), ...outer })(handler);
      return around(post()).then(String, (error: Error) => error.message);
    };
    expect(await inside({ store: store() }, { store: store() })).toMatch(
      /by fetchIdempotency\(\) \(store: InMemoryStore\), and inside of that by fetchIdempotency\(\) \(store: another InMemoryStore\)/,
    );
    const one = store();
    expect(await inside({ store: one, scope: byTenant }, { store: one })).toMatch(
      /\(scope: "shared"\), .* \(scope: a function\)/,
    );
    expect(await inside({ store: one, ttl: '2h' }, { store: one })).toMatch(/\(ttl: undefined\), .* \(ttl: /);
  });

  test('Fastify', async () => {
    let runs = 0;
    const url = await serveFastify(async (app) => {
      await app.register(fastifyIdempotency, shared());
      await app.register(async (child) => {
        await child.register(fastifyIdempotency, { store: store(), scope: byTenant });
        child.post('/orders', () => ({ run: ++runs }));
      });
    });
    const got = await send(url, { key: 'k' });
    expect(got).toMatchObject({ status: 500, json: { code: 'INVALID_OPTIONS' } });
    expect(got.text).toMatch(message);
    expect(runs).toBe(0);
  });
});

describe('a head that HTTP can not carry: what the framework says of it is the answer, and no success is recorded', () => {
  const name = 'O’Neill';

  test('Express, by writeHead', async () => {
    let runs = 0;
    const { url } = await serveExpress((app) =>
      app.post('/orders', expressIdempotency(shared()), (_req, res) => {
        runs++;
        res.writeHead(201, { location: `/orders/${name}` });
        res.end('{}');
      }),
    );
    expect((await send(url, { key: 'k' })).status).toBe(500);
    expect(await send(url, { key: 'k' })).toMatchObject({ status: 500, isReplay: false });
    expect(runs).toBe(2);
  });

  test('Express, by a status that is none', async () => {
    const { url } = await serveExpress((app) =>
      app.post(
        '/orders',
        expressIdempotency(shared()),
        (_req, res) => void res.writeHead(2000, { a: 'b' }).end(),
      ),
    );
    expect((await send(url, { key: 'k' })).status).toBe(500);
    expect(await send(url, { key: 'k' })).toMatchObject({ status: 500, isReplay: false });
  });

  test('Fastify, by its own headers and on the raw response', async () => {
    const script = fileURLToPath(new URL('./unwritable.ts', import.meta.url));
    const { stdout } = await run(process.execPath, ['--import', import.meta.resolve('tsx'), script], {
      timeout: 15_000,
    });
    expect(JSON.parse(stdout)).toEqual(Array(6).fill([500, null]));
  });

  test('what onAbandoned answers goes to the error handler too, on a response that is as it was', async () => {
    const url = await serveFastify(async (app) => {
      const onAbandoned = () => ({ status: 201, headers: { location: name }, body: 'x' });
      await app.register(fastifyIdempotency, { ...shared(), onAbandoned });
      app.post('/orders', (_request, reply) => reply.code(500).send({}));
    });
    await send(url, { key: 'k' });
    const got = await send(url, { key: 'k' });
    expect(got.status).toBe(500);
    expect(got.headers.get('location')).toBeNull();
  });
});

test.each(['false', 'true', 1, 0, undefined, null, {}])(
  'skip that answers %p is refused, and nothing runs',
  async (said) => {
    let runs = 0;
    const skip = (() => said) as unknown as () => boolean;
    const handler = fetchIdempotency({ ...shared(), skip })(() => Response.json({ run: ++runs }));
    await expect(handler(post())).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: /skip\(\) returned/,
    });
    expect(runs).toBe(0);
  },
);

describe('over HTTP/2', () => {
  const ask = async (url: string, body: string, more = {}, isEnded = false) => {
    const client = connect(url);
    const stream = client.request({
      ...{
        ':method': 'POST',
        ':path': '/orders',
        'content-type': 'application/json',
        'idempotency-key': 'k',
      },
      ...more,
    });
    if (body !== '' || isEnded) stream.end(body);
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    stream.end();
    client.close();
    return {
      status: headers[':status'],
      replayed: headers['idempotency-replayed'],
      text: Buffer.concat(chunks).toString('latin1'),
    };
  };

  test('a body without a content-length counts', async () => {
    const url = await serveFastify(
      async (app) => {
        await app.register(fastifyIdempotency, shared());
        app.post('/orders', (request) => request.body);
      },
      { http2: true },
    );
    expect(await ask(url, '{"amount":10}')).toMatchObject({ status: 200, text: '{"amount":10}' });
    expect((await ask(url, '{"amount":9999}')).status).toBe(422);
    expect(await ask(url, '{"amount":10}')).toMatchObject({ status: 200, replayed: 'true' });
  });

  test('a request that ends behind its headers, without a byte, has no body: it runs, and is replayed', async () => {
    let runs = 0;
    const url = await serveFastify(
      async (app) => {
        await app.register(fastifyIdempotency, shared());
        app.post('/orders', () => `run ${++runs}`);
      },
      { http2: true },
    );
    const bodiless = { 'content-type': undefined };
    expect(await ask(url, '', bodiless, true)).toMatchObject({ status: 200, text: 'run 1' });
    expect(await ask(url, '', bodiless, true)).toMatchObject({
      status: 200,
      text: 'run 1',
      replayed: 'true',
    });
    // One that never ends is not waited for.
    expect((await ask(url, '', bodiless)).status).toBe(415);
    // With a byte of no type that anybody reads it can not be compared.
    expect((await ask(url, 'x', bodiless)).status).toBe(415);
  });

  test('an answer without a body does not end before it is recorded', async () => {
    const faulty = new FaultyStore(store());
    const mayRecord = deferred();
    faulty.faults.settle = (moment) => (moment === 'sent' ? mayRecord.promise : undefined);
    const url = await serveFastify(
      async (app) => {
        await app.register(fastifyIdempotency, { store: faulty, scope: 'shared' });
        app.post('/orders', (_request, reply) => reply.code(204).send());
        app.get('/ping', () => 'pong');
      },
      { http2: true },
    );
    let isThere = false;
    const answer = ask(url, '{}').then((got) => ((isThere = true), got));
    await until(() => faulty.calls.settle === 1);
    // What was sent by now would have come before this.
    await ask(url, '', { ':path': '/ping', ':method': 'GET' });
    expect(isThere).toBe(false);
    mayRecord.resolve();
    expect((await answer).status).toBe(204);
  });
});

test('Fastify: a path without a route is answered by Fastify alone', async () => {
  const url = await serveFastify(async (app) => {
    await app.register(fastifyIdempotency, shared());
    app.post('/orders', () => ({}));
  });
  for (const key of [undefined, 'k', 'k']) {
    const got = await send(url, { key, path: '/none' });
    expect(got).toMatchObject({ status: 404, isReplay: false });
    expect(got.json['code']).toBeUndefined();
  }
});

describe('hints for whoever writes the app, once', () => {
  test('Fastify: a caller that a later preHandler would have named', async () => {
    const warnings: string[] = [];
    const url = await serveFastify(async (app) => {
      const logger = { warn: (message: string) => void warnings.push(message) };
      await app.register(fastifyIdempotency, { store: store(), scope: () => undefined, logger });
      app.post('/orders', () => ({}));
    });
    for (let sent = 0; sent < 2; sent++)
      expect(await send(url, { key: 'k' })).toMatchObject({
        status: 403,
        json: { code: 'IDEMPOTENCY_SCOPE_MISSING' },
      });
    expect(warnings).toEqual([
      expect.stringMatching(/scope\(\) returned no caller for POST \/orders.*onRequest or preValidation/),
    ]);
  });

  test('Fastify: an authorization in a preHandler of a route', async () => {
    const warnings: string[] = [];
    await serveFastify(async (app) => {
      const logger = { warn: (message: string) => void warnings.push(message) };
      await app.register(fastifyIdempotency, { ...shared(), logger });
      const checkPermission = (_request: unknown, _reply: unknown, done: () => void) => done();
      app.post('/orders', { preHandler: checkPermission }, () => ({}));
      app.get('/orders', { preHandler: checkPermission }, () => ({}));
    });
    expect(warnings).toEqual([expect.stringMatching(/\/orders: checkPermission runs after.*preValidation/)]);
  });

  test('Express: an authorization behind us, in the route or the app', async () => {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const requireAuth = (_req: Req, _res: Res, next: NextFunction) => next();
    const authorsOf = (_req: Req, _res: Res, next: NextFunction) => next();
    const { url } = await serveExpress((app) => {
      const done = (_req: Req, res: Res) => void res.json({});
      app.post('/fine', authorsOf, requireAuth, expressIdempotency({ ...shared(), logger }), authorsOf, done);
      app.post('/orders', expressIdempotency({ ...shared(), logger }), requireAuth, done);
      app.use(expressIdempotency({ ...shared(), logger }));
      app.use(requireAuth);
      app.post('/app', done);
    });
    for (const path of ['/fine', '/orders', '/orders', '/app']) await send(url, { key: 'k', path });
    expect(warnings).toEqual([
      expect.stringMatching(/\/orders: requireAuth runs after.*before expressIdempotency/),
      expect.stringMatching(/\/app: requireAuth runs after/),
    ]);
  });
});

describe('a replay is in a coding that its client takes', () => {
  const text = 'abc '.repeat(100);
  const codings: [string, string | undefined][] = [
    ['gzip', 'gzip'],
    ['identity', undefined],
    ['gzip;q=0, br', undefined],
    ['*', 'gzip'],
  ];

  test('@fastify/compress', async () => {
    const url = await serveFastify(async (app) => {
      await app.register(fastifyPlugins.compress, { threshold: 10, encodings: ['gzip'] } as never);
      await app.register(fastifyIdempotency, shared());
      app.post('/orders', async () => ({ text }));
    });
    const port = Number(new URL(url).port);
    await plain(port, { 'accept-encoding': 'gzip' });
    for (const [accepted, coding] of codings) {
      const got = await plain(port, { 'accept-encoding': accepted });
      expect([got.headers['idempotency-replayed'], got.headers['content-encoding']]).toEqual([
        'true',
        coding,
      ]);
      if (coding === undefined) expect(JSON.parse(got.bytes.toString())).toEqual({ text });
    }
  });

  test('compression behind us in Express', async () => {
    const { port } = await serveExpress((app) =>
      app.post(
        '/orders',
        expressIdempotency(shared()),
        compression({ threshold: 10 }) as never,
        (_req, res) => {
          res.json({ text });
        },
      ),
    );
    await plain(port, { 'accept-encoding': 'gzip' });
    const got = await plain(port, { 'accept-encoding': 'identity' });
    expect(got.headers['content-encoding']).toBeUndefined();
    expect(JSON.parse(got.bytes.toString())).toEqual({ text });
  });

  test('fetch', async () => {
    const headers = { 'content-encoding': 'gzip', etag: '"1"' };
    const handler = fetchIdempotency(shared())(() => new Response(gzipSync(text), { headers }));
    const request = (accepted: string) => {
      const one = post();
      one.headers.set('accept-encoding', accepted);
      return one;
    };
    await handler(request('gzip'));
    const got = await handler(request('identity'));
    expect([got.headers.get('content-encoding'), got.headers.get('etag'), await got.text()]).toEqual([
      null,
      'W/"1"',
      text,
    ]);
  });
});

describe('what a replay says to browsers and caches', () => {
  const answerWith = async (headers: Record<string, string>) => {
    const handler = fetchIdempotency(shared())(() => new Response('x', { headers }));
    await handler(post());
    return (await handler(post())).headers;
  };

  test.each([
    ['content-security-policy', "default-src 'none'"],
    ['x-content-type-options', 'nosniff'],
    ['surrogate-control', 'no-store'],
    ['cdn-cache-control', 'no-store'],
    ['vercel-cdn-cache-control', 'no-store'],
    ['content-range', 'bytes 0-1/2'],
  ])('%s is that of the first answer', async (name, value) => {
    expect((await answerWith({ [name]: value })).get(name)).toBe(value);
  });

  test.each([
    [undefined, 'private'],
    ['public, max-age=60', 'max-age=60, private'],
    ['no-store', 'no-store'],
    ['private, max-age=5', 'private, max-age=5'],
  ])('an answer with a cookie and cache-control: %s is for one person: %s', async (said, expected) => {
    const headers = {
      'set-cookie': 'a=1',
      'cdn-cache-control': 'max-age=60',
      ...(said && { 'cache-control': said }),
    };
    const replayed = await answerWith(headers);
    expect([replayed.get('set-cookie'), replayed.get('cdn-cache-control')]).toEqual([null, null]);
    expect(replayed.get('cache-control')).toBe(expected);
  });
});

describe('a streamed Response', () => {
  test('that is longer than its content-length comes in its own order', async () => {
    const parts = async function* () {
      for (const part of ['ab', 'cd', 'ef']) {
        await new Promise((resolve) => setImmediate(resolve));
        yield new TextEncoder().encode(part);
      }
    };
    const body = () => ReadableStream.from(parts());
    const headers = { 'content-length': '2' };
    const handler = fetchIdempotency(shared())(() => new Response(body() as never, { headers }));
    expect(await (await handler(post())).text()).toBe('abcdef');
    expect(await (await handler(post())).text()).toBe('abcdef');
  });

  test('is told to stop once its client has left and it is over maxBodyBytes', async () => {
    let made = 0;
    const cancelled = deferred();
    const endless = () =>
      new ReadableStream<Uint8Array>({
        async pull(controller) {
          made++;
          await new Promise((resolve) => setImmediate(resolve));
          controller.enqueue(new Uint8Array(1_000));
        },
        cancel: () => cancelled.resolve(),
      });
    const handler = fetchIdempotency({ ...shared(), maxBodyBytes: 10_000 })(() => new Response(endless()));
    const reader = (await handler(post())).body!.getReader();
    await reader.read();
    await reader.cancel();
    await cancelled.promise;
    expect(made).toBeLessThan(30);
    const again = await handler(post());
    expect([again.status, ((await again.json()) as { code: string }).code]).toEqual([
      409,
      'RESULT_UNAVAILABLE',
    ]);
  });

  test('is told to stop once its lease is lost', async () => {
    const cancelled = deferred();
    const silent = () =>
      new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new Uint8Array(10)),
        cancel: () => cancelled.resolve(),
      });
    const options = { ...shared(), lease: 30, maxHold: 30, waitTimeout: 30, logger: {} };
    const handler = fetchIdempotency(options)(() => new Response(silent()));
    const answer = await handler(post());
    await expect(answer.text()).rejects.toThrow(/lease was lost/);
    await cancelled.promise;
  });
});

test('an endless answer of Express is not followed once its client has left and it is over maxBodyBytes', async () => {
  const closed = deferred();
  const { port, url } = await serveExpress((app) =>
    app.post('/orders', expressIdempotency({ ...shared(), maxBodyBytes: 10_000 }), (_req, res) => {
      const goOn = () => {
        while (res.write(Buffer.alloc(1_000))) if (res.destroyed) break;
      };
      res.on('drain', () => setImmediate(goOn));
      res.on('close', () => closed.resolve());
      goOn();
    }),
  );
  const sent = httpRequest({
    port,
    path: '/orders',
    method: 'POST',
    headers: { 'idempotency-key': 'k', 'content-type': 'application/json', 'content-length': 14 },
  });
  sent.on('error', () => undefined).end('{"amount": 5 }');
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  await once(response, 'readable');
  sent.destroy();
  await closed.promise;
  await until(
    async () =>
      (await send(url, { key: 'k' })).status === 409 &&
      (await send(url, { key: 'k' })).json['code'] === 'RESULT_UNAVAILABLE',
  );
});
