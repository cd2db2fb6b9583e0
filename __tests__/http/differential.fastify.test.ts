import { connect, type ClientHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Fastify, { type FastifyInstance } from 'fastify';
import { fastifyIdempotency } from '../../src/http/fastify.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { exchange, expectReplay, FORMS } from './differential/client.js';
import { FASTIFY_CASES } from './differential/fastify-cases.js';
import { exchange2 } from './differential/http2-client.js';
import { fastifyPlugins } from './differential/middlewares.js';

const NAMES = Object.keys(FASTIFY_CASES);
const asking = (side: 'with' | 'bare', name: string, key: string) => {
  const { headers = {}, body } = FASTIFY_CASES[name]!;
  return { path: `/${side}/${NAMES.indexOf(name)}`, body, headers: { ...headers, 'Idempotency-Key': key } };
};

/** Every case twice, with us and without; plugins before us, and their hooks around. */
async function appOf(options: object): Promise<FastifyInstance> {
  const app = Fastify({ ...options, forceCloseConnections: true }) as FastifyInstance;
  await app.register(fastifyPlugins.cookie);
  await app.register(fastifyPlugins.cors, { origin: 'http://a.example' } as never);
  await app.register(fastifyPlugins.compress, { threshold: 100, encodings: ['gzip'] } as never);
  await app.register(fastifyPlugins.multipart);
  app.post('/sentinel', async () => ({ sentinel: true }));
  const addAll = (scope: FastifyInstance, side: 'with' | 'bare') =>
    Object.values(FASTIFY_CASES).forEach(({ handler, schema = {} }, at) =>
      scope.post(`/${side}/${at}`, { schema }, handler as never),
    );
  addAll(app, 'bare');
  await app.register(async (scope) => {
    await scope.register(fastifyIdempotency, {
      ...{ store: new InMemoryStore(), scope: 'shared', required: false },
      fingerprint: (request) => request.url,
    });
    addAll(scope, 'with');
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return app;
}

const portOf = (app: FastifyInstance) => (app.server.address() as AddressInfo).port;
const asBare = (text: string) => text.replaceAll('/with/', '/bare/');
let sent = 0;

describe('Fastify 5, with us and without us', () => {
  let app: FastifyInstance;
  beforeAll(async () => {
    app = await appOf({});
  });
  afterAll(async () => {
    app.server.closeAllConnections();
    await app.close();
  });

  test.each(NAMES)('%s', async (name) => {
    const inEachForm = FORMS.map(async (form) => {
      const [bare, ours] = await Promise.all([
        exchange(portOf(app), form, asking('bare', name, 'k')),
        exchange(portOf(app), form, asking('with', name, `k${sent++}`)),
      ]);
      expect({ form, got: asBare(ours) }).toEqual({ form, got: bare });
    });
    await Promise.all(inEachForm);
    const setAnew = FASTIFY_CASES[name]!.isHijacked ? ['access-control-allow-origin'] : [];
    await expectReplay(portOf(app), asking('with', name, `k${sent++}`), setAnew);
  });
});

describe('Fastify 5 over HTTP/2, with us and without us', () => {
  let app: FastifyInstance;
  let client: ClientHttp2Session;
  beforeAll(async () => {
    app = await appOf({ http2: true });
    client = connect(`http://127.0.0.1:${portOf(app)}`);
  });
  afterAll(async () => {
    client.destroy();
    await app.close();
  });

  /** HTTP/2 has none of these, or Node sends bytes of freed memory for it (20.20), or never answers. */
  const notThere =
    /connection|reason phrase|chunked by name|a length that is exceeded|status that is none|end with an empty text/;
  test.each(NAMES.filter((name) => !notThere.test(name)))('%s', async (name) => {
    const bare = await exchange2(client, asking('bare', name, 'k'));
    const ours = await exchange2(client, asking('with', name, `k${sent++}`));
    expect(asBare(ours)).toBe(bare);
  });
});
