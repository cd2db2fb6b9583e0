import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import express from 'express';
import Fastify, { type FastifyInstance } from 'fastify';
import { createIdempotency, idempotent, makeIdempotent } from '../../src/index.js';
import { expressIdempotency } from '../../src/http/express.js';
import { fastifyIdempotency } from '../../src/http/fastify.js';
import { fetchIdempotency } from '../../src/http/fetch.js';
import { idempotentConsumer } from '../../src/queue/consumer.js';
import { KeyValueStore } from '../../src/stores/keyvalue/store.js';
import { chargeTask, middleware } from '../support/tasks.js';

/** Every key holds a record that a version to come has written: of format 3, as far as anybody can know it. */
function storeOfTheFuture() {
  const written: unknown[] = [];
  const record = {
    status: 'COMPLETED',
    expiresAt: 9e15,
    createdAt: 1,
    hitCount: 0,
    lease: { v: 3, shape: 'new' },
  };
  const object = {
    get: () => record,
    set: (_: string, value: unknown) => void written.push(value),
    delete: () => void written.push('deleted'),
    clear: () => undefined,
  };
  const store = new KeyValueStore(object as never, { onWarning: () => undefined });
  return { store, written };
}

describe('a record of format 3: every adapter says "upgrade", runs nothing, and leaves it alone', () => {
  const { store, written } = storeOfTheFuture();
  const logger = {};
  let runs = 0;
  const work = (): string => `ran ${++runs}`;
  const refusal = {
    code: 'RECORD_TOO_NEW',
    message: expect.stringMatching(/newer version.*upgrade/) as unknown,
  };
  const untouched = () => expect({ runs, written }).toEqual({ runs: 0, written: [] });

  test('run(), and get()', async () => {
    const idempotency = createIdempotency({ store, name: 'charge', logger });
    await expect(idempotency.run('k', work)).rejects.toMatchObject(refusal);
    await expect(idempotency.get('k')).rejects.toMatchObject(refusal);
    await expect(idempotency.run('k', work, { onStoreError: 'run' })).rejects.toMatchObject(refusal);
    expect(idempotency.stats().refusals).toEqual({ RECORD_TOO_NEW: 2 });
    untouched();
  });

  test('idempotent() and makeIdempotent()', async () => {
    await expect(idempotent({ key: 'k', store, logger, execute: work })).rejects.toMatchObject(refusal);
    const charge = makeIdempotent(
      async function charge(_: number) {
        return work();
      },
      { store, logger },
    );
    await expect(charge(1)).rejects.toMatchObject(refusal);
    untouched();
  });

  test('a task ends as a failed Result with the code', async () => {
    const task = chargeTask(middleware({ store }), {}, work);
    const result = await task.execute({ orderId: 'o-1' });
    expect(result).toMatchObject({ status: 'failed', metadata: { code: 'RECORD_TOO_NEW' } });
    untouched();
  });

  test('a consumer lets the message come again, and never drops it', async () => {
    const consume = idempotentConsumer({ store, name: 'q', key: (id: string) => id, handler: work, logger });
    expect(await consume('m-1')).toMatchObject({ action: 'retry', failed: false, error: refusal });
    untouched();
  });

  describe('over HTTP: 503, to be tried again', () => {
    const scope = 'shared';
    let server: Server;
    let fastify: FastifyInstance;
    beforeAll(async () => {
      const app = express().use(express.json());
      app.post('/orders', expressIdempotency({ store, scope, logger }), (_, res) => void res.json(work()));
      server = createServer(app as never).listen(0, '127.0.0.1');
      await once(server, 'listening');
      fastify = Fastify();
      await fastify.register(fastifyIdempotency, { store, scope, logger });
      fastify.post('/orders', () => work());
    });
    afterAll(async () => {
      server.close();
      await fastify.close();
    });
    const headers = { 'idempotency-key': 'k', 'content-type': 'application/json' };
    const expectProblem = (status: number, retryAfter: unknown, body: string) => {
      expect({ status, code: (JSON.parse(body) as { code: string }).code }).toEqual({
        status: 503,
        code: 'RECORD_TOO_NEW',
      });
      expect(Number(retryAfter)).toBeGreaterThanOrEqual(1);
      untouched();
    };

    test('Express', async () => {
      const { port } = server.address() as AddressInfo;
      const init = { method: 'POST', headers: { ...headers, connection: 'close' }, body: '{}' };
      const response = await fetch(`http://127.0.0.1:${port}/orders`, init);
      expectProblem(response.status, response.headers.get('retry-after'), await response.text());
    });

    test('Fastify', async () => {
      const url = await fastify.listen({ host: '127.0.0.1', port: 0 });
      const init = { method: 'POST', headers: { ...headers, connection: 'close' }, body: '{}' };
      const response = await fetch(`${url}/orders`, init);
      expectProblem(response.status, response.headers.get('retry-after'), await response.text());
    });

    test('fetch', async () => {
      const handler = fetchIdempotency({ store, scope, logger })(() => new Response(work()));
      const response = await handler(
        new Request('http://localhost/orders', { method: 'POST', headers, body: '{}' }),
      );
      expectProblem(response.status, response.headers.get('retry-after'), await response.text());
    });
  });
});
