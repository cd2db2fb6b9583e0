import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { recordPlace } from '../../../src/http/fetch.js';
import { deferred } from '../../support/deferred.js';
import type { Answer } from '../site.js';
import { rawPost, until, type OpenShop } from './harness.js';
import { expectProblem } from './requests.js';

const encode = (text: string) => new TextEncoder().encode(text);

async function* chunks(...parts: (string | Promise<string>)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield encode(await part);
}

const PLAIN = { 'content-type': 'text/plain; charset=utf-8' };
const BYTES = { 'content-type': 'application/octet-stream' };
const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, at) => at);

/** Each makes a new answer, since a stream is read once. */
const ANSWERS: readonly [string, () => Answer][] = [
  [
    'JSON',
    () => ({
      status: 201,
      headers: { 'content-type': 'application/json', location: '/orders/1' },
      body: '{ "id": 1 }',
    }),
  ],
  ['text', () => ({ headers: PLAIN, body: '\uFEFFgrüße, 世界 \u0000' })],
  ['binary', () => ({ headers: BYTES, body: ALL_BYTES })],
  ['half a character', () => ({ headers: PLAIN, body: Uint8Array.of(0xe4, 0xb8) })],
  ['nothing', () => ({ status: 200 })],
  ['204', () => ({ status: 204 })],
  [
    'compressed',
    () => ({ headers: { ...PLAIN, 'content-encoding': 'gzip' }, body: gzipSync('x'.repeat(999)) }),
  ],
  ['a stream', () => ({ headers: PLAIN, stream: chunks('one,', 'two,', 'three') })],
  ['a refusal', () => ({ status: 402, headers: PLAIN, body: 'no funds' })],
  ['two links', () => ({ headers: { link: ['</a>; rel="a"', '</b>; rel="b"'] }, body: 'x' })],
];

/** What a duplicate is answered, and that the first answer is as it would be without us. */
export function describeReplay(open: OpenShop): void {
  describe('a replay', () => {
    test.each(ANSWERS)('is the first answer byte for byte, status and headers: %s', async (_, make) => {
      const shop = await open({ handler: make });
      const first = await shop.send({ key: 'k' });
      const again = await shop.send({ key: 'k' });
      expect(shop.runs()).toBe(1);
      expect([first.isReplay, again.isReplay]).toEqual([false, true]);
      expect(again.status).toBe(first.status);
      expect(again.bytes).toEqual(first.bytes);
      for (const name of ['content-type', 'content-encoding', 'location', 'link', 'etag'])
        expect(again.headers.get(name)).toBe(first.headers.get(name));
    });

    test('has the headers of a safe list and those that are named, and never Set-Cookie', async () => {
      const headers = {
        'set-cookie': ['sid=1', 'b=2'],
        'x-order': '7',
        'x-trace': 'abc',
        'cache-control': 'no-store',
      };
      const shop = await open({
        handler: () => ({ headers, body: 'x' }),
        options: { replayHeaders: ['X-Order'] },
      });
      const first = await shop.send({ key: 'k' });
      expect(first.headers.getSetCookie()).toEqual(['sid=1', 'b=2']);
      const again = await shop.send({ key: 'k' });
      expect(again.headers.getSetCookie()).toEqual([]);
      expect(again.headers.get('x-order')).toBe('7');
      expect(again.headers.get('cache-control')).toBe('no-store');
      expect(again.headers.get('x-trace')).toBeNull();
      expect(again.headers.get('date')).not.toBeNull();
    });

    test('of a body over the limit is not to be had: all of it for the first one, a clear 409 for the others', async () => {
      const big = 'x'.repeat(100);
      for (const make of [
        () => ({ body: big, status: 201 }),
        () => ({ stream: chunks(big, big), status: 201 }),
      ]) {
        const shop = await open({ handler: make, options: { maxBodyBytes: 99 } });
        const first = await shop.send({ key: 'k' });
        expect(first).toMatchObject({ status: 201, isReplay: false });
        expect(first.text).toContain(big);
        const again = await shop.send({ key: 'k' });
        expectProblem(again, 409, 'RESULT_UNAVAILABLE');
        expect(again.json['detail']).toMatch(/processed and answered with status 201; .* too large/);
        expect(shop.runs()).toBe(1);
      }
    });

    test('is readable in the store where it is text, and a person finds it there', async () => {
      const shop = await open({
        handler: () => ({ status: 201, headers: PLAIN, body: 'paid' }),
        options: { scope: () => 'ann' },
      });
      await shop.send({ key: 'k' });
      const record = await shop.idempotency.get(
        'k',
        recordPlace({ method: 'POST', route: '/orders', scope: 'ann' }),
      );
      expect(record?.result).toMatchObject({ status: 201, body: 'paid', headers: PLAIN });
    });

    test('of what is no answer of ours is a problem, not a guess', async () => {
      const shop = await open();
      await shop.idempotency.run(
        'k',
        () => 'not an answer',
        recordPlace({ method: 'POST', route: '/orders' }),
      );
      expectProblem(await shop.send({ key: 'k' }), 500, 'CORRUPT_RECORD');
    });
  });

  describe("the first one's own answer", () => {
    test.each(ANSWERS)('has the very bytes that it has without us: %s', async (_, make) => {
      const shop = await open({
        routes: [
          { method: 'POST', path: '/orders', handler: make },
          { method: 'PATCH', path: '/orders', handler: make, options: false },
        ],
      });
      const raw = async (method: string) => {
        const client = await rawPost(
          shop.server.port,
          ['Idempotency-Key: k', 'Connection: close'],
          undefined,
          method,
        );
        await client.closed();
        return split(client.received());
      };
      expect(await raw('POST')).toEqual(await raw('PATCH'));
    });

    test('does not end before the record is written', async () => {
      const shop = await open({ handler: () => ({ status: 201, body: 'paid' }) });
      const mayRecord = deferred();
      shop.store.faults.settle = (moment) => (moment === 'sent' ? mayRecord.promise : undefined);
      const client = await rawPost(shop.server.port, ['Idempotency-Key: k', 'Connection: close']);
      await until(() => shop.store.calls.settle === 1);
      // What the server had to send by now would have come before this answer.
      await shop.send();
      expect(client.received().length).toBe(0);
      mayRecord.resolve();
      expect(await client.closed()).toContain('paid');
    });

    test('keeps its last byte back where the client knows the length of the stream', async () => {
      const mayEnd = deferred<string>();
      const stream = () => chunks('abc', mayEnd.promise);
      const shop = await open({
        handler: () => ({ headers: { ...PLAIN, 'content-length': '6' }, stream: stream() }),
      });
      const mayRecord = deferred();
      shop.store.faults.settle = (moment) => (moment === 'sent' ? mayRecord.promise : undefined);
      const client = await rawPost(shop.server.port, ['Idempotency-Key: k', 'Connection: close']);
      await client.until(/abc$/);
      mayEnd.resolve('def');
      await until(() => shop.store.calls.settle === 1);
      await client.until(/abcde$/);
      await shop.send();
      expect(client.received().toString()).toMatch(/abcde$/);
      mayRecord.resolve();
      expect(await client.closed()).toMatch(/abcdef$/);
      expect((await shop.send({ key: 'k' })).text).toBe('abcdef');
    });

    test('streams as it comes', async () => {
      const second = deferred<string>();
      const shop = await open({
        handler: () => ({ headers: PLAIN, stream: chunks('one,', second.promise) }),
      });
      const client = await rawPost(shop.server.port, ['Idempotency-Key: k', 'Connection: close']);
      await client.until(/one,/);
      second.resolve('two');
      expect(await client.closed()).toMatch(/one,[^]*two/);
      expect((await shop.send({ key: 'k' })).text).toBe('one,two');
    });

    test('is not read faster than the client takes it, once it is over the limit', async () => {
      const chunk = new Uint8Array(1024 * 1024);
      const total = 32;
      let made = 0;
      const stream = async function* () {
        for (; made < total; made++) yield chunk;
      };
      const shop = await open({
        handler: () => ({ headers: BYTES, stream: stream() }),
        options: { maxBodyBytes: 10 },
      });
      const client = await rawPost(shop.server.port, ['Idempotency-Key: k', 'Connection: close']);
      client.socket.pause();
      let seen = -1;
      for (let still = 0; still < 20; still = made === seen ? still + 1 : 0) {
        seen = made;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect(made).toBeLessThan(total);
      client.socket.resume();
      await client.closed();
      expect(client.received().length).toBeGreaterThan(total * chunk.length);
    });

    test('waits for one store deadline at most; meanwhile this process answers duplicates', async () => {
      const shop = await open({
        handler: () => ({ status: 201, body: 'paid' }),
        options: { storeTimeout: 50, concurrent: 'wait' },
      });
      shop.store.faults.settle = () => new Promise(() => undefined);
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, text: 'paid', isReplay: false });
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, text: 'paid', isReplay: true });
      expect(shop.runs()).toBe(1);
    });
  });
}

/** Head and body apart, without what changes from one moment to the next; the order of headers means nothing. */
function split(response: Buffer): { head: string[]; body: string } {
  const at = response.indexOf('\r\n\r\n');
  const lines = response.subarray(0, at).toString('latin1').split('\r\n');
  const head = lines
    .filter((line) => !/^date:/i.test(line))
    .map((line) => line.toLowerCase().replaceAll('; ', ';'));
  return { head: head.sort(), body: response.subarray(at).toString('latin1') };
}
