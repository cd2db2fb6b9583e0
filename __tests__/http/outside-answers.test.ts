import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { afterEach, describe, expect, test } from '@jest/globals';
import express5, { type NextFunction, type Request, type Response } from 'express';
// @ts-expect-error Express 4 brings no types, and those installed are of 5
import express4 from 'express4';
import Fastify, { type FastifyReply } from 'fastify';
import { expressIdempotency, type ExpressIdempotencyOptions } from '../../src/http/express.js';
import { fastifyIdempotency } from '../../src/http/fastify.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { deferred } from '../support/deferred.js';
import { rawPost, send, until } from './contract/harness.js';
import { timeout } from './differential/middlewares.js';
import { listen } from './servers/listen.js';
import type { RunningServer } from './site.js';

const open: RunningServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.stop();
});

/** Made outside of all requests: what listens to it is called in the context of whoever emits. */
const pool = new EventEmitter();

describe.each([
  ['Express 5', express5],
  ['Express 4', express4 as typeof express5],
])('%s: an answer from outside of the attempt', (_, express) => {
  type Handler = (req: Request, res: Response, next: NextFunction) => unknown;
  /** In front stands a timer that can be told to fire. */
  async function shop(handler: Handler, more: Partial<ExpressIdempotencyOptions> = {}, status = 503) {
    const timer = deferred();
    let isOver = false;
    let runs = 0;
    const app = express();
    app.use(express.json());
    app.use((_req, res, next) => {
      if (!isOver)
        void timer.promise.then(() => {
          isOver = true;
          if (!res.headersSent) res.status(status).set('X-Timer', '1').json({ error: 'timeout' });
        });
      next();
    });
    const protect = expressIdempotency({ store: new InMemoryStore(), scope: 'shared', ...more });
    app.post('/orders', protect, ((req, res, next) => {
      runs++;
      return handler(req, res, next);
    }) as Handler as never);
    app.use((error: Error, _req: Request, res: Response, _next: NextFunction) => {
      res.status(500).json({ message: error.message });
    });
    const server = await listen(createServer(app));
    open.push(server);
    return {
      server,
      fire: () => timer.resolve(),
      runs: () => runs,
      send: () => send(server.url, { key: 'k' }),
    };
  }

  test.each([503, 500, 408])(
    'of %i goes to the client, and is not the outcome: that is what the handler says later',
    async (status) => {
      const goOn = deferred();
      const started = deferred();
      const {
        fire,
        runs,
        send: ask,
      } = await shop(
        async (_req, res) => {
          started.resolve();
          await goOn.promise;
          if (!res.headersSent) res.status(201).set('Location', '/1').json({ id: 1 });
        },
        {},
        status,
      );
      const first = ask();
      await started.promise;
      fire();
      const got = await first;
      expect(got).toMatchObject({ status, json: { error: 'timeout' }, isReplay: false });
      expect(got.headers.get('x-timer')).toBe('1');
      expect(await ask()).toMatchObject({ status: 409, json: { code: 'CONCURRENT_REQUEST' } });
      goOn.resolve();
      await until(async () => (await ask()).status === 201);
      const replay = await ask();
      expect(replay).toMatchObject({ json: { id: 1 }, isReplay: true });
      expect(replay.headers.get('location')).toBe('/1');
      expect(runs()).toBe(1);
    },
  );

  test('also where the callback of the handler has lost its async context', async () => {
    const started = deferred();
    const {
      fire,
      runs,
      send: ask,
    } = await shop((_req, res) => {
      pool.once('free', () => {
        if (!res.headersSent) res.status(201).json({ id: 1 });
      });
      started.resolve();
    });
    const first = ask();
    await started.promise;
    fire();
    expect((await first).status).toBe(503);
    pool.emit('free');
    await until(async () => (await ask()).status === 201);
    expect(await ask()).toMatchObject({ json: { id: 1 }, isReplay: true });
    expect(runs()).toBe(1);
  });

  test('any other answer counts, also from a callback that has lost its async context', async () => {
    const started = deferred();
    const { send: ask } = await shop((_req, res) => {
      pool.once('free', () => void res.status(201).json({ id: 1 }));
      started.resolve();
    });
    const first = ask();
    await started.promise;
    pool.emit('free');
    expect(await first).toMatchObject({ status: 201, isReplay: false });
    expect(await ask()).toMatchObject({ status: 201, isReplay: true });
  });

  test("the handler's own 503 counts: the next request runs at once", async () => {
    const { runs, send: ask } = await shop(async (_req, res) => {
      await Promise.resolve();
      res.status(503).json({});
    });
    expect((await ask()).status).toBe(503);
    expect((await ask()).status).toBe(503);
    expect(runs()).toBe(2);
  });

  test('the handler that fails later has failed: the next request runs', async () => {
    const goOn = deferred();
    const started = deferred();
    const {
      fire,
      runs,
      send: ask,
    } = await shop(async (_req, res, next) => {
      if (runs() > 1) return void res.json({});
      started.resolve();
      await goOn.promise;
      next(new Error('down'));
    });
    const first = ask();
    await started.promise;
    fire();
    expect((await first).status).toBe(503);
    goOn.resolve();
    await until(async () => (await ask()).status === 200);
    expect(runs()).toBe(2);
  });

  test('where the handler never answers, the outcome is unknown after lateAnswer: the key for the provider stays', async () => {
    const keys: (string | undefined)[] = [];
    const started = deferred();
    const { fire, send: ask } = await shop(
      (req, res) => {
        keys.push(req.idempotency?.deriveKey('charge'));
        started.resolve();
        if (keys.length > 1) res.json({});
      },
      { lateAnswer: 20 },
    );
    const first = ask();
    await started.promise;
    fire();
    expect((await first).status).toBe(503);
    await until(async () => (await ask()).status === 200);
    expect(keys).toHaveLength(2);
    expect(keys[1]).toBe(keys[0]);
  });

  test('the connection serves the next request', async () => {
    const started = deferred();
    const goOn = deferred();
    const { server, fire } = await shop(async (_req, res) => {
      started.resolve();
      await goOn.promise;
      res.status(201).json({});
    });
    const client = await rawPost(server.port, ['Idempotency-Key: k']);
    await started.promise;
    fire();
    await client.until(/timeout/);
    client.socket.write('GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(await client.closed()).toMatch(/HTTP\/1.1 503[^]*HTTP\/1.1 404/);
    goOn.resolve();
  });

  test('connect-timeout in front', async () => {
    const goOn = deferred();
    let runs = 0;
    const app = express();
    app.set('env', 'test');
    app.use(express.json(), timeout(20) as never);
    app.post('/orders', expressIdempotency({ store: new InMemoryStore(), scope: 'shared' }), (async (
      _req: Request,
      res: Response,
    ) => {
      runs++;
      await goOn.promise;
      res.status(201).json({});
    }) as never);
    const server = await listen(createServer(app));
    open.push(server);
    expect((await send(server.url, { key: 'k' })).status).toBe(503);
    expect((await send(server.url, { key: 'k' })).status).toBe(409);
    goOn.resolve();
    await until(async () => (await send(server.url, { key: 'k' })).status === 201);
    expect(runs).toBe(1);
  });
});

describe.each([
  ['its own reply', (reply: FastifyReply) => void reply.code(503).send({ error: 'timeout' })],
  ["Node's response", (reply: FastifyReply) => void reply.raw.writeHead(503).end('{"error":"timeout"}')],
])('Fastify: an answer from outside of the attempt, on %s', (_, give) => {
  test('is not the outcome: that is what the handler returns later', async () => {
    const app = Fastify();
    const timer = deferred();
    const started = deferred();
    const goOn = deferred();
    let runs = 0;
    app.addHook('onRequest', (_request, reply, done) => {
      if (runs === 0) void timer.promise.then(() => give(reply));
      done();
    });
    await app.register(fastifyIdempotency, { store: new InMemoryStore(), scope: 'shared' });
    app.post('/orders', async (_request, reply) => {
      runs++;
      started.resolve();
      await goOn.promise;
      return reply.code(201).send({ id: 1 });
    });
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    const ask = () => send(url, { key: 'k' });
    const first = ask();
    await started.promise;
    timer.resolve();
    expect(await first).toMatchObject({ status: 503, json: { error: 'timeout' } });
    expect((await ask()).status).toBe(409);
    goOn.resolve();
    await until(async () => (await ask()).status === 201);
    expect(await ask()).toMatchObject({ json: { id: 1 }, isReplay: true });
    expect(runs).toBe(1);
    app.server.closeAllConnections();
    await app.close();
  });
});
