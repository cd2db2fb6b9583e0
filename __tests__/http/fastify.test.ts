import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from '@jest/globals';
import Fastify, { type FastifyInstance } from 'fastify';
import { fastifyIdempotency, recordPlace } from '../../src/http/fastify.js';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { send, until } from './contract/harness.js';
import { describeHttpContract } from './contract.js';
import { startFastify } from './servers/fastify.js';

const run = promisify(execFile);

describeHttpContract('Fastify 5', startFastify);

describe('Fastify 5', () => {
  const open: FastifyInstance[] = [];
  afterEach(async () => {
    for (const app of open.splice(0)) {
      app.server.closeAllConnections();
      await app.close();
    }
  });
  const shop = (options = {}) => {
    const app = Fastify();
    open.push(app);
    const idempotency = createIdempotency({ name: 'run', store: new InMemoryStore(), logger: {} });
    void app.register(fastifyIdempotency, { idempotency, scope: 'shared', ...options });
    return { app, idempotency };
  };
  const listening = (app: FastifyInstance) => app.listen({ port: 0, host: '127.0.0.1' });

  test('the record belongs to the route pattern with the prefix of its scope', async () => {
    const { app, idempotency } = shop();
    await app.register(
      (scope, _options, done) => {
        scope.post('/orders/:id', () => ({ id: 1 }));
        done();
      },
      { prefix: '/v1' },
    );
    const url = await listening(app);
    await send(url, { key: 'k', path: '/v1/orders/7' });
    expect(
      await idempotency.get('k', recordPlace({ method: 'POST', route: '/v1/orders/:id' })),
    ).toBeDefined();
    expect((await send(url, { key: 'k', path: '/v1/orders/8' })).status).toBe(422);
  });

  test('a route has options of its own in its config', async () => {
    const { app } = shop();
    app.post('/orders', () => ({}));
    app.post('/lax', { config: { idempotency: { required: false } } }, () => ({}));
    app.post('/free', { config: { idempotency: false } }, (request) => ({ attempt: request.idempotency }));
    const url = await listening(app);
    expect((await send(url)).status).toBe(400);
    expect((await send(url, { path: '/lax' })).status).toBe(200);
    expect((await send(url, { path: '/free', key: 'k' })).json).toEqual({ attempt: null });
    expect((await send(url, { path: '/free', key: 'k' })).isReplay).toBe(false);
  });

  test('wrong options show when the plugin is registered, and when a route is added', async () => {
    const { app } = shop({ scope: undefined });
    await expect(app.ready()).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
    const { app: other } = shop();
    await other.after();
    const misspelled = { config: { idempotency: { requird: false } } } as object;
    expect(() => other.post('/orders', misspelled, () => ({}))).toThrow(/no option "requird"/);
  });

  test('what fails in validation is no answer', async () => {
    const { app } = shop();
    const schema = {
      body: { type: 'object', required: ['amount'], properties: { amount: { type: 'integer' } } },
    };
    app.post('/orders', { schema }, () => ({}));
    const url = await listening(app);
    expect((await send(url, { key: 'k', body: {} })).status).toBe(400);
    expect(await send(url, { key: 'k' })).toMatchObject({ status: 200, isReplay: false });
  });

  test('a replay is not changed by onSend hooks once more, has the headers of earlier hooks, and is seen by onResponse', async () => {
    const { app } = shop();
    const seen: [number, unknown][] = [];
    app.addHook('onRequest', (_request, reply, done) => {
      reply.header('access-control-allow-origin', '*');
      done();
    });
    app.addHook('onSend', (_request, _reply, payload, done) => done(null, `[${String(payload)}]`));
    app.addHook('onResponse', (_request, reply, done) => {
      seen.push([reply.statusCode, reply.getHeader('idempotency-replayed') ?? null]);
      done();
    });
    app.post('/orders', (_request, reply) => reply.code(201).send('body'));
    const url = await listening(app);
    for (const isReplay of [false, true]) {
      const got = await send(url, { key: 'k' });
      expect(got).toMatchObject({ status: 201, text: '[body]', isReplay });
      expect(got.headers.get('access-control-allow-origin')).toBe('*');
    }
    await until(() => seen.length === 2);
    expect(seen.map(([status]) => status)).toEqual([201, 201]);
  });

  test('a handler that took the response over is recorded too', async () => {
    const { app } = shop();
    let runs = 0;
    app.post('/orders', (_request, reply) => {
      reply.hijack();
      reply.raw.writeHead(202, { 'content-type': 'text/plain' }).end(`run ${++runs}`);
    });
    const url = await listening(app);
    await send(url, { key: 'k' });
    expect(await send(url, { key: 'k' })).toMatchObject({ status: 202, text: 'run 1', isReplay: true });
  });

  test('app.inject() meets it as a real client does', async () => {
    // In a process of its own: jest cannot load what inject() is made of.
    const script = fileURLToPath(new URL('./inject.ts', import.meta.url));
    const { stdout, stderr } = await run(process.execPath, ['--import', import.meta.resolve('tsx'), script]);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      answers: [
        { status: 200, body: { run: 1 } },
        { status: 200, body: { run: 1 }, replayed: 'true' },
      ],
      // A request that a handler makes is one of its own, and protected as such.
      inner: [{ body: { mail: 1 } }, { body: { mail: 1 }, replayed: 'true' }],
    });
  });

  test('over HTTP/2 it is the same', async () => {
    const app = Fastify({ http2: true });
    let runs = 0;
    await app.register(fastifyIdempotency, { store: new InMemoryStore(), scope: 'shared' });
    app.post('/orders', (_request, reply) => reply.code(201).send({ run: ++runs }));
    const client = connect(await app.listen({ port: 0, host: '127.0.0.1' }));
    const post = async () => {
      const stream = client.request({
        ':method': 'POST',
        ':path': '/orders',
        'idempotency-key': 'k',
        'content-type': 'application/json',
      });
      stream.end('{}');
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      let text = '';
      for await (const chunk of stream) text += String(chunk);
      return { status: headers[':status'], isReplay: headers['idempotency-replayed'] === 'true', text };
    };
    expect(await post()).toEqual({ status: 201, isReplay: false, text: '{"run":1}' });
    expect(await post()).toEqual({ status: 201, isReplay: true, text: '{"run":1}' });
    client.close();
    await app.close();
  });

  test('a body that no parser made anything of is refused loudly', async () => {
    const messages: string[] = [];
    const logger = { warn: (message: string) => void messages.push(message) };
    const app = Fastify();
    open.push(app);
    void app.register(fastifyIdempotency, { store: new InMemoryStore(), scope: 'shared', logger });
    app.addContentTypeParser('text/csv', (_request, payload, done) => {
      payload.resume().on('end', () => done(null, undefined));
    });
    app.post('/orders', () => ({}));
    const url = await listening(app);
    const got = await send(url, { key: 'k', headers: { 'content-type': 'text/csv' } });
    expect(got).toMatchObject({ status: 415, json: { code: 'IDEMPOTENCY_BODY_UNSUPPORTED' } });
    expect(messages[0]).toMatch(/content type parser returned nothing.*fingerprint\(request\)/);
  });
});
