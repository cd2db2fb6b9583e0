import { describe, expect, test } from '@jest/globals';
import { deferred } from '../../support/deferred.js';
import type { Handler } from '../site.js';
import { rawPost, type Got, type OpenShop } from './harness.js';

const MEMBERS = ['code', 'detail', 'retryable', 'status', 'title', 'type'];
const PAGE = 'https://github.com/twiceshy/twiceshy/blob/main/docs/errors.md';

export function expectProblem(got: Got, status: number, code: string): void {
  expect(got.status).toBe(status);
  expect(got.headers.get('content-type')).toBe('application/problem+json');
  expect(got.json).toMatchObject({ status, code, type: `${PAGE}#${code}` });
  expect(Object.keys(got.json).sort()).toEqual(MEMBERS);
  expect(got.isReplay).toBe(false);
}

/** A handler that waits to be told. */
export function waitingHandler() {
  const started = deferred();
  const goOn = deferred();
  const handler: Handler = async () => {
    started.resolve();
    await goOn.promise;
    return { status: 201, body: '{"id":1}', headers: { 'content-type': 'application/json' } };
  };
  return { handler, started: started.promise, goOn: () => goOn.resolve() };
}

/** Which requests are one operation, which are refused, and which are none of our business. */
export function describeRequests(open: OpenShop): void {
  describe('the key', () => {
    test('quoted (RFC 8941) and bare, as Stripe sends it, are one key: the handler runs once', async () => {
      const shop = await open();
      expect((await shop.send({ key: '"a-1"' })).isReplay).toBe(false);
      expect((await shop.send({ key: '"a-1"' })).isReplay).toBe(true);
      expect((await shop.send({ key: 'a-1' })).isReplay).toBe(true);
      expect((await shop.send({ key: '"a-1";v=2' })).isReplay).toBe(true);
      expect(shop.runs()).toBe(1);
    });

    test('missing: 400; with required: false it runs unprotected, with an event for the audit', async () => {
      const shop = await open();
      expectProblem(await shop.send(), 400, 'IDEMPOTENCY_KEY_MISSING');
      expect(shop.runs()).toBe(0);
      const lax = await open({ options: { required: false } });
      expect((await lax.send()).status).toBe(201);
      expect((await lax.send()).isReplay).toBe(false);
      expect(lax.runs()).toBe(2);
      expect(lax.idempotency.stats().bypasses).toBe(2);
      await lax.send({ key: 'k' });
      expect((await lax.send({ key: 'k' })).isReplay).toBe(true);
      expect(lax.idempotency.stats().bypasses).toBe(2);
    });

    test.each([['"open'], ['"a" b'], ['two words'], ['""'], ['"umlaut ä"'], ['user:undefined'], ['']])(
      'malformed (%s): 400, and nothing runs',
      async (value) => {
        const shop = await open();
        const client = await rawPost(shop.server.port, [`Idempotency-Key: ${value}`, 'Connection: close']);
        const text = await client.closed();
        expect(text).toContain('HTTP/1.1 400 ');
        expect(text).toContain('"code":"IDEMPOTENCY_KEY_INVALID"');
        expect(shop.runs()).toBe(0);
      },
    );

    test('sent twice: 400', async () => {
      const shop = await open();
      const client = await rawPost(shop.server.port, [
        'Idempotency-Key: a',
        'Idempotency-Key: b',
        'Connection: close',
      ]);
      expect(await client.closed()).toContain('IDEMPOTENCY_KEY_INVALID');
    });

    test('bare with bareKeys: false: 400; under another name with header', async () => {
      const strict = await open({ options: { bareKeys: false, header: 'X-Request-Key' } });
      expectProblem(await strict.send({ headers: { 'X-Request-Key': 'a' } }), 400, 'IDEMPOTENCY_KEY_INVALID');
      expectProblem(await strict.send({ key: '"a"' }), 400, 'IDEMPOTENCY_KEY_MISSING');
      expect((await strict.send({ headers: { 'X-Request-Key': '"a"' } })).status).toBe(201);
    });

    test('problems carry the documentation link that was set', async () => {
      const shop = await open({ options: { docs: 'https://shop.example/problems' } });
      const { json } = await shop.send();
      expect(json).toMatchObject({
        type: 'https://shop.example/problems#IDEMPOTENCY_KEY_MISSING',
        title: 'The idempotency key is missing',
      });
    });
  });

  describe('the same key with another request', () => {
    test('another body or query: 422; the same members in another order: a replay', async () => {
      const shop = await open();
      await shop.send({ key: 'k', body: { a: 1, b: [2] } });
      expectProblem(await shop.send({ key: 'k', body: { a: 1, b: [3] } }), 422, 'KEY_REUSED');
      expectProblem(
        await shop.send({ key: 'k', body: { a: 1, b: [2] }, path: '/orders?x=1' }),
        422,
        'KEY_REUSED',
      );
      expect((await shop.send({ key: 'k', body: { b: [2], a: 1 } })).isReplay).toBe(true);
      expect(shop.runs()).toBe(1);
    });

    test('another binary body: 422; the same one: a replay', async () => {
      const shop = await open();
      await shop.send({ key: 'k', body: Uint8Array.of(0, 255, 1) });
      expectProblem(await shop.send({ key: 'k', body: Uint8Array.of(0, 255, 2) }), 422, 'KEY_REUSED');
      expect((await shop.send({ key: 'k', body: Uint8Array.of(0, 255, 1) })).isReplay).toBe(true);
    });

    test('another key with the same body is another operation', async () => {
      const shop = await open();
      await shop.send({ key: 'k1' });
      expect((await shop.send({ key: 'k2' })).isReplay).toBe(false);
      expect(shop.runs()).toBe(2);
    });

    test('fingerprint(request) says what counts instead', async () => {
      const shop = await open({ options: { fingerprint: ({ header }) => header('x-order') } });
      await shop.send({ key: 'k', headers: { 'x-order': '1' }, body: { at: 1 } });
      expect((await shop.send({ key: 'k', headers: { 'x-order': '1' }, body: { at: 2 } })).isReplay).toBe(
        true,
      );
      expectProblem(
        await shop.send({ key: 'k', headers: { 'x-order': '2' }, body: { at: 1 } }),
        422,
        'KEY_REUSED',
      );
    });
  });

  describe('a duplicate while the first one runs', () => {
    test('409 with a computed Retry-After; another body is 422 even then', async () => {
      const { handler, started, goOn } = waitingHandler();
      const shop = await open({ handler, options: { lease: '7s' } });
      const first = shop.send({ key: 'k' });
      await started;
      const second = await shop.send({ key: 'k' });
      expectProblem(second, 409, 'CONCURRENT_REQUEST');
      const retryAfter = Number(second.headers.get('retry-after'));
      expect(retryAfter).toBeGreaterThanOrEqual(1);
      expect(retryAfter).toBeLessThanOrEqual(7);
      expectProblem(await shop.send({ key: 'k', body: { amount: 6 } }), 422, 'KEY_REUSED');
      goOn();
      expect((await first).status).toBe(201);
      expect(shop.runs()).toBe(1);
    });

    test("concurrent: 'wait' gives it the first one's answer", async () => {
      const { handler, started, goOn } = waitingHandler();
      const shop = await open({ handler, options: { concurrent: 'wait' } });
      const first = shop.send({ key: 'k' });
      await started;
      const others = [shop.send({ key: 'k' }), shop.send({ key: 'k' })];
      goOn();
      expect((await first).isReplay).toBe(false);
      for (const each of await Promise.all(others)) {
        expect(each).toMatchObject({ status: 201, text: '{"id":1}', isReplay: true });
      }
      expect(shop.runs()).toBe(1);
    });

    test('waiting in vain: 409 IDEMPOTENCY_TIMEOUT with Retry-After', async () => {
      const { handler, started, goOn } = waitingHandler();
      const shop = await open({ handler, options: { concurrent: 'wait', waitTimeout: 20 } });
      const first = shop.send({ key: 'k' });
      await started;
      const second = await shop.send({ key: 'k' });
      expectProblem(second, 409, 'IDEMPOTENCY_TIMEOUT');
      expect(second.headers.get('retry-after')).toMatch(/^\d+$/);
      goOn();
      await first;
    });
  });

  describe('what is protected', () => {
    const route = (method: string) => ({ method, path: '/orders', handler: () => ({ body: method }) });

    test('POST and PATCH by default; GET never, PUT when it is named', async () => {
      const routes = ['POST', 'PATCH', 'PUT', 'GET'].map(route);
      const shop = await open({ routes });
      const isReplayed = async (method: string) => {
        await shop.send({ key: 'k', method });
        return (await shop.send({ key: 'k', method })).isReplay;
      };
      const replayed = [];
      for (const method of ['POST', 'PATCH', 'PUT', 'GET']) replayed.push(await isReplayed(method));
      expect(replayed).toEqual([true, true, false, false]);
      const other = await open({ routes, options: { methods: ['put'] } });
      await other.send({ key: 'k', method: 'PUT' });
      expect((await other.send({ key: 'k', method: 'PUT' })).isReplay).toBe(true);
      expect((await other.send({ key: 'k', method: 'POST' })).isReplay).toBe(false);
    });

    test('not what skip(request) lets through, and not a route that says no', async () => {
      const shop = await open({
        routes: [route('POST'), { ...route('PATCH'), options: false }],
        options: { skip: ({ header }) => header('x-internal') === 'yes' },
      });
      await shop.send({ key: 'k', headers: { 'x-internal': 'yes' } });
      expect((await shop.send({ key: 'k', headers: { 'x-internal': 'yes' } })).isReplay).toBe(false);
      expect(shop.idempotency.stats().bypasses).toBe(2);
      await shop.send({ key: 'k', method: 'PATCH' });
      expect((await shop.send({ key: 'k', method: 'PATCH' })).isReplay).toBe(false);
    });
  });

  describe('whose record it is', () => {
    const scoped = {
      scope: ({ header }: { header: (name: string) => string | undefined }) => header('x-user'),
    };

    test('a caller never gets the answer of another: keys belong to the scope', async () => {
      const shop = await open({
        handler: ({ header }) => ({ body: `of ${header('x-user')}` }),
        options: scoped,
      });
      for (const user of ['ann', 'bob', 'ann', 'bob']) {
        expect((await shop.send({ key: 'k', headers: { 'x-user': user } })).text).toBe(`of ${user}`);
      }
      expect(shop.runs()).toBe(2);
    });

    test('no caller: 403, and nothing runs', async () => {
      const shop = await open({ options: scoped });
      expectProblem(await shop.send({ key: 'k' }), 403, 'IDEMPOTENCY_SCOPE_MISSING');
      expect(shop.runs()).toBe(0);
    });

    test('a scope that names nobody, or throws, is a fault of the app, for its own error handler', async () => {
      const misspelled = await open({ options: { scope: () => 'user:undefined' } });
      expect(await misspelled.send({ key: 'k' })).toMatchObject({
        status: 500,
        json: { handledBy: 'the app' },
      });
      const throwing = await open({
        options: {
          scope: () => {
            throw new Error('no session');
          },
        },
      });
      expect(await throwing.send({ key: 'k' })).toMatchObject({
        status: 500,
        json: { message: 'no session' },
      });
      expect(misspelled.runs() + throwing.runs()).toBe(0);
    });

    test('a body that is nested too deep is the fault of the client: 413, and nothing runs', async () => {
      const shop = await open();
      const body = JSON.parse('['.repeat(600) + ']'.repeat(600)) as unknown;
      expectProblem(await shop.send({ key: 'k', body }), 413, 'PAYLOAD_TOO_LARGE');
      expect(shop.runs()).toBe(0);
    });

    test('G10: a record belongs to method and route; prefixes keep services apart', async () => {
      const routes = ['/orders', '/refunds', '/orders/:id/pay'].flatMap((path) => [
        { method: 'POST', path, handler: () => ({ body: `POST ${path}` }) },
        { method: 'PATCH', path, handler: () => ({ body: `PATCH ${path}` }) },
      ]);
      const shop = await open({ routes });
      const told = [];
      for (const path of ['/orders', '/refunds', '/orders/7/pay'])
        for (const method of ['POST', 'PATCH']) told.push(await shop.send({ key: 'k', path, method }));
      expect(told.map(({ isReplay }) => isReplay)).toEqual(Array(6).fill(false));
      expect(new Set(told.map(({ text }) => text)).size).toBe(6);
      const idempotency = shop.idempotency;
      const billing = await open({ options: { idempotency, prefix: 'billing' } });
      const stock = await open({ options: { idempotency, prefix: 'stock' } });
      expect((await billing.send({ key: 'k' })).isReplay).toBe(false);
      expect((await stock.send({ key: 'k' })).isReplay).toBe(false);
    });

    test('two servers on one store are one shop', async () => {
      const here = await open({ handler: () => ({ body: 'here' }) });
      const there = await open({
        handler: () => ({ body: 'there' }),
        options: { idempotency: here.idempotency },
      });
      await here.send({ key: 'k' });
      expect(await there.send({ key: 'k' })).toMatchObject({ text: 'here', isReplay: true });
    });
  });
}
