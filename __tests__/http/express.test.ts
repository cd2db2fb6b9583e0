import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, test } from '@jest/globals';
import express5, { type Express, type NextFunction, type Request, type Response } from 'express';
// @ts-expect-error Express 4 brings no types, and those installed are of 5
import express4 from 'express4';
import { expressIdempotency, recordPlace, type ExpressIdempotencyOptions } from '../../src/http/express.js';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { deferred } from '../support/deferred.js';
import { rawPost, send, until } from './contract/harness.js';
import { describeHttpContract } from './contract.js';
import { startExpress } from './servers/express.js';
import { listen } from './servers/listen.js';
import type { RunningServer } from './site.js';

const frameworks: [string, typeof express5][] = [
  ['Express 5', express5],
  ['Express 4', express4 as typeof express5],
];
for (const [name, framework] of frameworks) describeHttpContract(name, startExpress(framework));

describe.each(frameworks)('%s', (_, express) => {
  const open: RunningServer[] = [];
  afterEach(async () => {
    for (const server of open.splice(0)) await server.stop();
  });
  const serve = async (app: Express) => {
    const server = await listen(createServer(app));
    open.push(server);
    return server;
  };
  const store = () => new InMemoryStore();
  const protect = (more: Partial<ExpressIdempotencyOptions> = {}) =>
    expressIdempotency({ ...(!more.idempotency && { store: store() }), scope: 'shared', ...more });

  /** An app with JSON parsed, `POST /orders` protected, and this handler. */
  const orders = (handler: (req: Request, res: Response, next: NextFunction) => unknown, more = {}) => {
    const app = express();
    app.use(express.json());
    app.post('/orders', protect(more), handler as (req: Request, res: Response, next: NextFunction) => void);
    return serve(app);
  };

  describe('the route', () => {
    test('as middleware of a route it is the pattern with its mount point, of an app or a router the path', async () => {
      const idempotency = createIdempotency({ name: 'run', store: store(), logger: {} });
      const answer = (_req: Request, res: Response) => void res.json({});
      const app = express();
      app.use(express.json());
      const router = express.Router();
      router.post('/orders/:id', protect({ idempotency }), answer);
      const whole = express.Router();
      whole.use(protect({ idempotency }));
      whole.post('/orders/:id', answer);
      app.use('/v1', router);
      app.use('/v2', whole);
      const { url } = await serve(app);
      await send(url, { key: 'k', path: '/v1/orders/7' });
      await send(url, { key: 'k', path: '/v2/orders/7' });
      const found = (route: string) => idempotency.get('k', recordPlace({ method: 'POST', route }));
      expect(await found('/v1/orders/:id')).toBeDefined();
      expect(await found('/v2/orders/7')).toBeDefined();
      // One key, one operation of the route: another order under it is a mistake.
      expect((await send(url, { key: 'k', path: '/v1/orders/8' })).status).toBe(422);
      expect((await send(url, { key: 'k', path: '/v2/orders/8' })).status).toBe(200);
    });

    test('is not that of an earlier route that only passed the request on', async () => {
      const idempotency = createIdempotency({ name: 'run', store: store(), logger: {} });
      const app = express();
      app.use(express.json());
      app.all(/.*/, (_req, _res, next) => next());
      app.use(protect({ idempotency }), (_req, res) => void res.json({}));
      const { url } = await serve(app);
      await send(url, { key: 'k', path: '/a' });
      expect((await send(url, { key: 'k', path: '/b', body: {} })).status).toBe(200);
      expect(await idempotency.get('k', recordPlace({ method: 'POST', route: '/a' }))).toBeDefined();
    });

    test('is protected once where the app and the route both protect it', async () => {
      const idempotency = createIdempotency({ name: 'run', store: store(), logger: {} });
      const app = express();
      app.use(express.json(), protect({ idempotency }));
      app.post('/orders', protect({ idempotency }), (_req, res) => void res.json({}));
      const { url } = await serve(app);
      expect((await send(url, { key: 'k' })).status).toBe(200);
      expect((await send(url, { key: 'k' })).isReplay).toBe(true);
      expect(idempotency.stats().misses).toBe(1);
    });
  });

  test('what fails before it is no answer: validation, parsing, the limits of a parser', async () => {
    let runs = 0;
    const app = express();
    app.use(express.json());
    const valid = (req: Request, res: Response, next: NextFunction) =>
      (req.body as { amount?: unknown }).amount ? next() : void res.status(400).json({});
    app.post('/orders', valid, protect(), (_req, res) => void res.json({ runs: ++runs }));
    const { url } = await serve(app);
    expect((await send(url, { key: 'k', body: {} })).status).toBe(400);
    expect(await send(url, { key: 'k' })).toMatchObject({ status: 200, isReplay: false });
  });

  test.each([
    ['no parser at all', 'application/json', false, 500],
    ['a parser of another type', 'text/csv', true, 415],
    ['a multipart body', 'multipart/form-data; boundary=b', true, 415],
  ])(
    'a body that nobody parsed (%s) is refused loudly, unless fingerprint says what counts',
    async (_name, type, isParsed, status) => {
      const messages: string[] = [];
      const logger = { warn: (message: string) => void messages.push(message) };
      const app = express();
      if (isParsed) app.use(express.json());
      app.post('/orders', protect({ logger }), (_req, res) => void res.json({}));
      app.post(
        '/told',
        protect({ fingerprint: (req) => req.headers['x-digest'] ?? 'no digest' }),
        (_req, res) => void res.json({}),
      );
      app.use((error: Error, _req: Request, res: Response, _next: NextFunction) => {
        messages.push(error.message);
        res.status(500).end();
      });
      const { url } = await serve(app);
      const headers = { 'content-type': type };
      expect((await send(url, { key: 'k', headers })).status).toBe(status);
      expect(messages[0]).toMatch(
        /body (was not parsed: put express.json\(\)|is multipart).*fingerprint\(request\)/,
      );
      expect((await send(url, { key: 'k', headers, path: '/told' })).status).toBe(200);
    },
  );

  describe('errors', () => {
    test.each([
      ['next(err)', (_req: Request, _res: Response, next: NextFunction) => next(new Error('down'))],
      [
        'a synchronous throw',
        () => {
          throw new Error('down');
        },
      ],
    ])("%s: Express's own error handler answers, and the key is free", async (_name, failing) => {
      let runs = 0;
      const server = await orders(
        (req, res, next) => (runs++ === 0 ? failing(req, res, next) : void res.json({})),
        {},
      );
      const silent = process.env['NODE_ENV'];
      process.env['NODE_ENV'] = 'test';
      expect((await send(server.url, { key: 'k' })).status).toBe(500);
      expect(await send(server.url, { key: 'k' })).toMatchObject({ status: 200, isReplay: false });
      process.env['NODE_ENV'] = silent;
    });

    test('after the first byte: the connection breaks, and the key is free at once', async () => {
      let runs = 0;
      const server = await orders((_req, res, next) => {
        if (runs++ > 0) return void res.json({});
        res.write('half');
        setImmediate(() => next(new Error('down')));
      });
      const client = await rawPost(server.port, ['Idempotency-Key: k']);
      expect(await client.closed()).toContain('half');
      expect(await send(server.url, { key: 'k' })).toMatchObject({ status: 200, isReplay: false });
    });

    test.each([
      ['destroys its response', (res: Response) => void res.destroy()],
      ['destroys its connection', (res: Response) => void res.req.socket.destroy()],
    ])('a handler that %s has failed: the key is free at once', async (_name, destroy) => {
      let runs = 0;
      const server = await orders((_req, res) => (runs++ === 0 ? destroy(res) : void res.json({})));
      await (await rawPost(server.port, ['Idempotency-Key: k'])).closed();
      expect(await send(server.url, { key: 'k' })).toMatchObject({ status: 200, isReplay: false });
    });

    test('also where the response is destroyed in another async context than its own', async () => {
      let runs = 0;
      const given = deferred<Response>();
      const server = await orders((_req, res) => (runs++ === 0 ? given.resolve(res) : void res.json({})));
      const client = await rawPost(server.port, ['Idempotency-Key: k']);
      (await given.promise).destroy();
      await client.closed();
      expect(await send(server.url, { key: 'k' })).toMatchObject({ status: 200, isReplay: false });
    });

    test('a pipe that the client cut off has failed: the key is free at once', async () => {
      let runs = 0;
      const never = deferred<string>();
      const slow = async function* () {
        yield 'one';
        yield await never.promise;
      };
      const server = await orders((_req, res) =>
        runs++ === 0 ? void Readable.from(slow()).pipe(res) : void res.json({}),
      );
      const client = await rawPost(server.port, ['Idempotency-Key: k']);
      await client.until(/one/);
      client.leave();
      await until(async () => (await send(server.url, { key: 'k' })).status === 200);
      never.resolve('two');
    });
  });

  describe('the response, for the handler', () => {
    test('is ended once it has ended it, although its last byte waits', async () => {
      const seen: unknown[] = [];
      const finished = deferred();
      const server = await orders((_req, res) => {
        res.status(201).write('a');
        res.end('b', () => finished.resolve());
        seen.push(res.headersSent, res.writableEnded, res.write('late'), res.end('again') === res);
        expect(() => res.setHeader('x', 'y')).toThrow(/after they are sent/);
      });
      expect(await send(server.url, { key: 'k' })).toMatchObject({ status: 201, text: 'ab' });
      await finished.promise;
      expect(seen).toEqual([true, true, false, true]);
      expect(await send(server.url, { key: 'k' })).toMatchObject({ status: 201, text: 'ab', isReplay: true });
    });

    test('an error after the answer changes nothing of it', async () => {
      const app = express();
      app.use(express.json());
      app.post('/orders', protect(), (_req, res, next) => {
        res.status(201).json({ id: 1 });
        next(new Error('too late'));
      });
      const seen: boolean[] = [];
      app.use((_error: Error, _req: Request, res: Response, _next: NextFunction) => {
        seen.push(res.headersSent);
        if (!res.headersSent) res.status(500).json({});
      });
      const { url } = await serve(app);
      expect(await send(url, { key: 'k' })).toMatchObject({ status: 201, text: '{"id":1}' });
      expect(seen).toEqual([true]);
    });

    test.each([
      ['an object', { 'Content-Type': 'text/plain', 'X-Kept': '1' }],
      ['a list', ['Content-Type', 'text/plain', 'X-Kept', '1']],
    ])('headers given to writeHead as %s are recorded', async (_name, headers) => {
      const app = express();
      app.disable('x-powered-by');
      app.use(express.json());
      app.post('/orders', protect({ replayHeaders: ['x-kept'] }), (_req, res) => {
        res.writeHead(202, headers as Record<string, string>);
        res.end('x');
      });
      const { url } = await serve(app);
      const first = await send(url, { key: 'k' });
      const again = await send(url, { key: 'k' });
      for (const got of [first, again]) {
        expect(got).toMatchObject({ status: 202, text: 'x' });
        expect(got.headers.get('content-type')).toBe('text/plain');
        expect(got.headers.get('x-kept')).toBe('1');
      }
    });

    test('what a middleware around it changes on the way out is changed again in a replay, not twice', async () => {
      const app = express();
      app.use(express.json());
      // As compression does: another body, and a header that goes with it.
      app.use((_req, res, next) => {
        const end = res.end.bind(res) as (chunk: string) => Response;
        res.end = ((chunk: unknown) => {
          const text = Buffer.isBuffer(chunk) ? chunk.toString() : String(chunk);
          return end(`[${text}]`);
        }) as typeof res.end;
        const writeHead = res.writeHead.bind(res);
        res.writeHead = ((status: number) => {
          res.removeHeader('content-length');
          res.setHeader('content-language', 'xx');
          return writeHead(status);
        }) as typeof res.writeHead;
        next();
      });
      app.post('/orders', protect(), (_req, res) => void res.send('body'));
      const { url } = await serve(app);
      const first = await send(url, { key: 'k' });
      const again = await send(url, { key: 'k' });
      expect([first.text, again.text]).toEqual(['[body]', '[body]']);
      expect([first, again].map(({ headers }) => headers.get('content-language'))).toEqual(['xx', 'xx']);
    });

    test("the app's own AsyncLocalStorage is seen by the handler", async () => {
      const context = new AsyncLocalStorage<string>();
      const app = express();
      app.use(express.json(), (_req, _res, next) => context.run('mine', next));
      app.post('/orders', protect(), (_req, res) => void res.json({ context: context.getStore() }));
      const { url } = await serve(app);
      expect((await send(url, { key: 'k' })).json).toEqual({ context: 'mine' });
    });
  });

  test('requests one after the other on one connection are told apart', async () => {
    let runs = 0;
    const server = await orders((_req, res) => void res.json({ run: ++runs }));
    const client = await rawPost(server.port, ['Idempotency-Key: a']);
    await client.until(/"run":1/);
    const request = [
      'POST /orders HTTP/1.1',
      'Host: x',
      'Content-Type: application/json',
      'Content-Length: 2',
      'Idempotency-Key: ',
    ];
    client.socket.write(
      `${request.join('\r\n')}b\r\n\r\n{}${request.join('\r\n')}a\r\nConnection: close\r\n\r\n{}`,
    );
    const text = await client.closed();
    expect(text).toContain('"run":2');
    expect(text).toContain('HTTP/1.1 422');
    expect(runs).toBe(2);
  });
});
