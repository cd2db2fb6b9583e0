import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { fetchIdempotency, type FetchIdempotencyOptions } from '../../src/http/fetch.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { describeHttpContract } from './contract.js';
import { startFetch, startHono } from './servers/fetch.js';

// The server says on it that a stream broke, which some tests are about.
const spoken = jest.spyOn(console, 'error');
beforeAll(() => void spoken.mockImplementation(() => undefined));
afterAll(() => spoken.mockRestore());

describeHttpContract('fetch', startFetch);
describeHttpContract('Hono', startHono);

describe('a wrapped handler', () => {
  const protect = (more: Partial<FetchIdempotencyOptions> = {}) =>
    fetchIdempotency({ store: new InMemoryStore(), scope: 'shared', ...more });
  const post = (body: string | FormData | undefined, headers: Record<string, string> = {}) =>
    new Request('http://shop/orders/7', {
      method: 'POST',
      headers: { 'idempotency-key': 'k', ...headers },
      ...(body !== undefined && { body }),
    });

  test('is given the request with its body unread, and the further arguments', async () => {
    const handler = protect()(async (request, context: { id: number }) =>
      Response.json({ body: await request.text(), ...context }),
    );
    const answer = await handler(post('text'), { id: 7 });
    expect(await answer.json()).toEqual({ body: 'text', id: 7 });
  });

  test('functions of the request read forms and text of a copy, and are given the further arguments', async () => {
    const seen: unknown[] = [];
    const handler = protect({
      scope: (_request, context: { user: string }) => context.user,
      fingerprint: async (request) => (await request.formData()).get('name'),
      skip: async (request) => (await request.text()) === 'skip',
    })(async (request, context: { user: string }) => {
      seen.push((await request.formData()).get('name'), context.user);
      return Response.json({}, { status: 201 });
    });
    const form = (name: string) => {
      const data = new FormData();
      data.set('name', name);
      return post(data);
    };
    expect((await handler(form('a'), { user: 'ann' })).status).toBe(201);
    expect((await handler(form('a'), { user: 'ann' })).headers.get('idempotency-replayed')).toBe('true');
    expect((await handler(form('b'), { user: 'ann' })).status).toBe(422);
    expect((await handler(form('b'), { user: 'bob' })).status).toBe(201);
    expect(seen).toEqual(['a', 'ann', 'b', 'bob']);
  });

  test('a copy is the request in all else: its class, what a framework added, its stream', async () => {
    class FrameworkRequest extends Request {
      readonly cookies = { sid: 's1' };
    }
    const of: unknown[] = [];
    const handler = protect({
      scope: async (request: FrameworkRequest) => {
        of.push(request instanceof FrameworkRequest, request.url, request.headers.get('idempotency-key'));
        of.push(await new Response(request.body).text(), request.bodyUsed);
        return request.cookies.sid;
      },
    })((request: FrameworkRequest) => request.text().then((text) => new Response(text)));
    const request = new FrameworkRequest('http://shop/x', {
      method: 'POST',
      headers: { 'idempotency-key': 'k' },
      body: 'text',
    });
    expect(await (await handler(request)).text()).toBe('text');
    expect(of).toEqual([true, 'http://shop/x', 'k', 'text', true]);
  });

  test('a body that is not what an option reads it as is 400', async () => {
    const handler = protect({ scope: async (request) => ((await request.json()) as { t: string }).t })(
      () => new Response(),
    );
    const got = await handler(post('{', { 'content-type': 'application/json' }));
    expect([got.status, await got.json()]).toMatchObject([400, { code: 'IDEMPOTENCY_BODY_INVALID' }]);
  });

  test.each([
    ['a length that says so', { 'content-length': '1000000' }, 0],
    ['more than was said', {}, 4],
  ])(
    'reads no more of a request than maxRequestBytes: %s is 413, and the handler does not run',
    async (_, headers, most) => {
      let made = 0;
      let runs = 0;
      const body = new ReadableStream<Uint8Array>(
        { pull: (controller) => (made++, controller.enqueue(new Uint8Array(1_000))) },
        { highWaterMark: 0 },
      );
      const handler = protect({ maxRequestBytes: 2_500 })(() => (runs++, new Response()));
      const init = { method: 'POST', headers: { 'idempotency-key': 'k', ...headers }, body, duplex: 'half' };
      const got = await handler(new Request('http://shop/x', init as RequestInit));
      expect([got.status, await got.json()]).toMatchObject([413, { code: 'PAYLOAD_TOO_LARGE' }]);
      expect(made).toBeLessThanOrEqual(most);
      expect(runs).toBe(0);
    },
  );

  test('recognises JSON that is written another way', async () => {
    const handler = protect()(() => Response.json({}));
    const json = { 'content-type': 'application/vnd.shop+json; charset=utf-8' };
    await handler(post('{"a":1,"b":2}', json));
    expect((await handler(post('{ "b": 2, "a": 1 }', json))).headers.get('idempotency-replayed')).toBe(
      'true',
    );
    expect((await handler(post('{"a":1', json))).status).toBe(422);
  });

  test('refuses loudly what it cannot compare: a body read before, and multipart', async () => {
    const handler = protect()(() => Response.json({}));
    const read = post('text');
    await read.text();
    await expect(handler(read)).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
    const form = new FormData();
    form.set('a', '1');
    const messages: string[] = [];
    const warned = protect({ logger: { warn: (message) => void messages.push(message) } })(
      () => new Response(),
    );
    expect((await warned(post(form))).status).toBe(415);
    expect(messages[0]).toMatch(/multipart.*fingerprint\(request\)/);
    const told = protect({ fingerprint: () => 'the same' })(() => Response.json({}));
    expect((await told(post(form))).status).toBe(200);
  });

  test('has its redirects, cookies and empty answers as they are', async () => {
    const cookies = {
      headers: [['set-cookie', 'a=1'] as [string, string], ['set-cookie', 'b=2'] as [string, string]],
    };
    const answers = [
      Response.redirect('http://shop/orders/8', 303),
      new Response(null, { status: 204 }),
      new Response('x', cookies),
    ];
    for (const answer of answers) {
      const handler = protect()(() => answer.clone());
      const first = await handler(post(undefined));
      expect([first.status, first.headers.get('location')]).toEqual([
        answer.status,
        answer.headers.get('location'),
      ]);
      expect(first.headers.getSetCookie()).toEqual(answer.headers.getSetCookie());
      expect((await handler(post(undefined))).status).toBe(answer.status);
    }
  });

  test('reads no further than the limit ahead of a client that reads nothing', async () => {
    let made = 0;
    const endless = () =>
      new ReadableStream<Uint8Array>({
        pull: (controller) => {
          made++;
          controller.enqueue(new Uint8Array(1_000));
        },
      });
    const handler = protect({ maxBodyBytes: 10_000 })(() => new Response(endless()));
    const answer = await handler(post(undefined));
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    expect(made).toBeLessThan(20);
    expect(answer.status).toBe(200);
  });
});
