import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { fetchIdempotency, type FetchIdempotencyOptions } from '../../src/http/fetch.js';
import { InMemoryStore } from '../../src/stores/memory.js';
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
    await expect(handler(post(form))).rejects.toThrow(/multipart.*fingerprint\(request\)/);
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
