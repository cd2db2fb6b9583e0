import { describe, expect, test } from '@jest/globals';
import { ERRORS_PAGE } from '../../../src/http/internal/problem/problem.js';
import { InMemoryStore } from '../../../src/stores/memory/store.js';
import type { Handler, Seen } from '../site.js';
import { rawPost, until, type Got, type OpenShop } from './harness.js';
import { expectProblem, waitingHandler } from './requests.js';

const later = <V>(value: V): Promise<V> => new Promise((resolve) => setImmediate(resolve, value));
const of = async ({ body }: Seen) => ((await body()) as Record<string, unknown>) ?? {};
const CORS = { 'access-control-allow-origin': 'https://a.example', 'access-control-expose-headers': 'x' };

/** Functions of the request, what remember is told, when to come again, CORS, and contracts that others publish. */
export function describeComplete(open: OpenShop): void {
  describe('a function of the request', () => {
    test('key: the key stands in the body, and the header counts where it answers nothing', async () => {
      const shop = await open({ options: { key: async (seen) => (await of(seen))['id'] as string } });
      const event = { id: 'evt_1' };
      expect((await shop.send({ body: event })).isReplay).toBe(false);
      expect((await shop.send({ body: event })).isReplay).toBe(true);
      expect((await shop.send({ body: event, key: 'another' })).isReplay).toBe(true);
      expectProblem(await shop.send({ body: {} }), 400, 'IDEMPOTENCY_KEY_MISSING');
      expect((await shop.send({ body: {}, key: 'k' })).isReplay).toBe(false);
      expect((await shop.send({ body: {}, key: 'k' })).isReplay).toBe(true);
      expect(shop.runs()).toBe(2);
    });

    test.each([[{}], ['user:undefined'], [['a']], [true], ['x'.repeat(513)]])(
      'key: what a client puts there and is no key (%j) is 400, and nothing runs',
      async (id) => {
        const shop = await open({ options: { key: async (seen) => (await of(seen))['id'] as string } });
        expectProblem(await shop.send({ body: { id } }), 400, 'IDEMPOTENCY_KEY_INVALID');
        expect(shop.runs()).toBe(0);
      },
    );

    test('each may be async and read the body, and the handler still reads it', async () => {
      const seen: unknown[] = [];
      const shop = await open({
        handler: ({ body }) => (seen.push(body), { status: 201, body: '{}' }),
        options: {
          scope: async (request) => (await of(request))['tenant'] as string,
          skip: async (request) => (await of(request))['dry'] === true,
          route: async (request) => `/of/${String((await of(request))['tenant'])}`,
          fingerprint: async (request) => (await of(request))['amount'],
          remember: (status) => later(status === 201),
        },
      });
      const body = { tenant: 't', amount: 5 };
      expect((await shop.send({ key: 'k', body })).isReplay).toBe(false);
      expect((await shop.send({ key: 'k', body: { ...body, note: 'again' } })).isReplay).toBe(true);
      expectProblem(await shop.send({ key: 'k', body: { ...body, amount: 6 } }), 422, 'KEY_REUSED');
      expect((await shop.send({ key: 'k', body: { ...body, dry: true } })).isReplay).toBe(false);
      expect((await shop.send({ key: 'k', body: { ...body, tenant: 'u' } })).isReplay).toBe(false);
      expect(seen).toEqual([body, { ...body, dry: true }, { ...body, tenant: 'u' }]);
    });

    test('onAbandoned is given the request, and may read its body', async () => {
      let asked: unknown;
      const shop = await open({
        handler: () => ({ status: 504 }),
        options: {
          onAbandoned: async (_attempt, request) => {
            const { body, json } = request as { body: unknown; json?: () => Promise<unknown> };
            asked = json ? await json() : body;
            return { status: 200, body: 'found' };
          },
        },
      });
      await shop.send({ key: 'k' });
      expect((await shop.send({ key: 'k' })).text).toBe('found');
      expect(asked).toEqual({ amount: 5 });
    });
  });

  describe('remember', () => {
    const failing = (): never => {
      throw Object.assign(new Error('declined'), { code: 'card_declined' });
    };

    test('sees the error that the answer was made of', async () => {
      const seen: unknown[] = [];
      const shop = await open({
        handler: failing,
        options: {
          remember: (status, { error }) => {
            seen.push(status, (error as { code?: string }).code);
            return 'final';
          },
        },
      });
      const first = await shop.send({ key: 'k' });
      expect(first).toMatchObject({ status: 500, json: { handledBy: 'the app', message: 'declined' } });
      expect(seen).toEqual([500, 'card_declined']);
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 500, json: first.json });
      expect(shop.runs()).toBe(1);
    });

    test('sees the whole answer, also of a stream, once it has ended', async () => {
      const stream = async function* () {
        yield new TextEncoder().encode('one,');
        yield await later(new TextEncoder().encode('two'));
      };
      const seen: unknown[] = [];
      const shop = await open({
        handler: () => ({ headers: { 'content-type': 'text/plain' }, stream: stream() }),
        options: { remember: (_status, { answer }) => (seen.push(answer?.body), undefined) },
      });
      await shop.send({ key: 'k' });
      expect(seen).toEqual(['one,two']);
    });

    test.each<[string, () => unknown]>([
      ['throws', failing],
      ['rejects', () => Promise.reject(new Error('no'))],
      ['answers nonsense', () => 'perhaps'],
      ['answers a promise of nonsense', () => later(7)],
    ])('that %s is an event, and its default holds', async (_name, remember) => {
      const shop = await open({ options: { remember: remember as () => undefined } });
      const faults: unknown[] = [];
      shop.idempotency.on('no-verdict', ({ error }) => faults.push(error));
      expect((await shop.send({ key: 'k' })).status).toBe(201);
      expect((await shop.send({ key: 'k' })).isReplay).toBe(true);
      expect(faults).toEqual([expect.any(Error)]);
    });

    test.each([401, 407])('%i is "not now": with fresh credentials the same key runs', async (status) => {
      const answers = [status];
      const shop = await open({ handler: () => ({ status: answers.shift() ?? 201 }) });
      // Written by hand, since fetch makes an error of a 407.
      const client = await rawPost(shop.server.port, ['Idempotency-Key: k', 'Connection: close']);
      expect(await client.closed()).toContain(`HTTP/1.1 ${status} `);
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, isReplay: false });
    });

    test('a corrected form under the same key: refused by default, run where 422 is released', async () => {
      const check: Handler = ({ body }) => ({ status: (body as { ok?: boolean }).ok ? 201 : 422 });
      const wrong = { key: 'k', body: {} };
      const right = { key: 'k', body: { ok: true } };
      const byDefault = await open({ handler: check });
      await byDefault.send(wrong);
      expect(await byDefault.send(wrong)).toMatchObject({ status: 422, isReplay: true });
      expectProblem(await byDefault.send(right), 422, 'KEY_REUSED');
      const released = await open({
        handler: check,
        options: { remember: (status) => (status === 422 ? 'release' : undefined) },
      });
      await released.send(wrong);
      expect(await released.send(right)).toMatchObject({ status: 201, isReplay: false });
      expect(await released.send(right)).toMatchObject({ status: 201, isReplay: true });
    });
  });

  describe('a refused duplicate', () => {
    test('is told to come in a second, not when the lease ends, and costs no store command', async () => {
      const { handler, started, goOn } = waitingHandler();
      const on = new InMemoryStore();
      const shop = await open({ handler, on, options: { lease: '20s' } });
      const elsewhere = await open({ on, options: { lease: '20s' } });
      const first = shop.send({ key: 'k' });
      await started;
      const before = { ...shop.store.calls };
      for (const each of [shop, elsewhere]) {
        const refused = await each.send({ key: 'k' });
        expectProblem(refused, 409, 'CONCURRENT_REQUEST');
        expect(refused.headers.get('retry-after')).toBe('1');
        expect(refused.json['retryable']).toBe(true);
      }
      expect(shop.store.calls).toEqual(before);
      // In another process it is the claim, as of a replay.
      expect(elsewhere.store.calls).toMatchObject({ claim: 1 });
      expect(elsewhere.store.calls.read ?? 0).toBe(0);
      goOn();
      await first;
    });
  });

  describe('CORS', () => {
    const at = (origin: string) => ({ key: 'k', headers: { origin } });

    test('a replay has what the handler said, to the same Origin only', async () => {
      const shop = await open({ handler: () => ({ status: 201, headers: CORS, body: 'x' }) });
      await shop.send(at('https://a.example'));
      const same = await shop.send(at('https://a.example'));
      expect(same.isReplay).toBe(true);
      expect(same.headers.get('access-control-allow-origin')).toBe('https://a.example');
      expect(same.headers.get('access-control-expose-headers')).toBe('x');
      const other = await shop.send(at('https://b.example'));
      expect(other).toMatchObject({ status: 201, isReplay: true });
      expect([...other.headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([]);
    });

    test('headers(request) stand on all that is answered in the place of the handler, and on nothing else', async () => {
      const shop = await open({
        options: {
          headers: ({ header }) => ({
            'Access-Control-Allow-Origin': header('origin') ?? '*',
            'content-type': 'x/y',
          }),
        },
      });
      const allowed = (got: Got) => got.headers.get('access-control-allow-origin');
      expect(allowed(await shop.send(at('https://a.example')))).toBeNull();
      expect(allowed(await shop.send(at('https://a.example')))).toBe('https://a.example');
      const problem = await shop.send({ headers: { origin: 'https://c.example' } });
      expectProblem(problem, 400, 'IDEMPOTENCY_KEY_MISSING');
      expect(allowed(problem)).toBe('https://c.example');
      expect(allowed(await shop.send({ ...at('https://b.example'), body: { other: 1 } }))).toBe(
        'https://b.example',
      );
    });

    test('headers that throws makes no error of an answer', async () => {
      const shop = await open({
        options: {
          headers: () => {
            throw new Error('no');
          },
        },
      });
      await shop.send({ key: 'k' });
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, isReplay: true });
    });
  });

  describe('what a client alone can make', () => {
    const deep = `${'['.repeat(600)}${']'.repeat(600)}`;
    test('is 4xx: deep JSON, and a body of a type that nobody reads', async () => {
      const shop = await open();
      const post = (type: string, body: string) =>
        fetch(`${shop.server.url}/orders`, {
          method: 'POST',
          headers: { 'idempotency-key': `k${body.length}`, 'content-type': type },
          body,
        });
      expect((await post('application/json', `[${deep}]`)).status).toBeLessThan(500);
      const form = await post('multipart/form-data; boundary=b', '--b--');
      expect(form.status).toBe(415);
      expect(shop.runs()).toBeLessThan(2);
    });
  });

  describe('host', () => {
    test('G10: with host: true, keys of one host are unknown to the others; without, they are shared', async () => {
      for (const host of [true, false]) {
        const shop = await open({ options: { host } });
        // It says "Host: test".
        const ask = async () =>
          (await rawPost(shop.server.port, ['Idempotency-Key: k', 'Connection: close'])).closed();
        await ask();
        expect(await ask()).toMatch(/idempotency-replayed: true/i);
        expect((await shop.send({ key: 'k' })).isReplay).toBe(!host);
      }
    });

    test('a function names it, behind a proxy say; no host is 400', async () => {
      const shop = await open({ options: { host: ({ header }) => header('x-forwarded-host') } });
      const send = (host: string) => shop.send({ key: 'k', headers: { 'x-forwarded-host': host } });
      expect((await send('a.example')).isReplay).toBe(false);
      expect((await send('A.example')).isReplay).toBe(true);
      expect((await send('b.example')).isReplay).toBe(false);
      expectProblem(await shop.send({ key: 'k' }), 400, 'IDEMPOTENCY_KEY_INVALID');
    });
  });

  describe('the form of problems', () => {
    test('problem(code, facts) shapes them; undefined leaves one as it is', async () => {
      const shop = await open({
        options: {
          problem: (code, { link, retryable, key, detail }) =>
            code === 'KEY_REUSED'
              ? { status: 409, headers: { 'X-Code': code }, body: { link, retryable, key, detail } }
              : undefined,
        },
      });
      expectProblem(await shop.send(), 400, 'IDEMPOTENCY_KEY_MISSING');
      await shop.send({ key: 'k' });
      const got = await shop.send({ key: 'k', body: { other: 1 } });
      expect(got.status).toBe(409);
      expect(got.headers.get('x-code')).toBe('KEY_REUSED');
      expect(got.headers.get('content-type')).toMatch(/^application\/json/);
      expect(got.json).toMatchObject({ link: `${ERRORS_PAGE}#KEY_REUSED`, retryable: false, key: 'k' });
    });
  });

  describe('a profile', () => {
    /** Missing key, first, replay, another body, and in flight. */
    const story = async (profile: 'ietf' | 'stripe' | 'acp') => {
      const { handler, started, goOn } = waitingHandler();
      const shop = await open({ handler, options: { profile } });
      const key = '"k-1"';
      const missing = await shop.send();
      const first = shop.send({ key });
      await started;
      const inFlight = await shop.send({ key });
      goOn();
      return {
        shop,
        missing,
        inFlight,
        first: await first,
        replay: await shop.send({ key }),
        reused: await shop.send({ key, body: { other: 1 } }),
      };
    };

    test('ietf: 400, 422 and 409 with a link, keys in quotes only', async () => {
      const { shop, missing, inFlight, replay, reused } = await story('ietf');
      expectProblem(missing, 400, 'IDEMPOTENCY_KEY_MISSING');
      expectProblem(inFlight, 409, 'CONCURRENT_REQUEST');
      expectProblem(reused, 422, 'KEY_REUSED');
      expect(replay.headers.get('idempotency-replayed')).toBe('true');
      expectProblem(await shop.send({ key: 'k-1' }), 400, 'IDEMPOTENCY_KEY_INVALID');
    });

    test('stripe: its error object, 400 for another request, 409 in flight, Idempotent-Replayed and the key', async () => {
      const { shop, missing, inFlight, first, replay, reused } = await story('stripe');
      const error = (got: Got) => got.json['error'] as Record<string, unknown>;
      expect(missing.status).toBe(400);
      expect(error(missing)).toMatchObject({ type: 'invalid_request_error' });
      expect(inFlight.status).toBe(409);
      expect(error(inFlight)).toMatchObject({ type: 'idempotency_error', code: 'idempotency_key_in_use' });
      expect(inFlight.headers.get('stripe-should-retry')).toBe('true');
      expect(reused.status).toBe(400);
      expect(error(reused)).toMatchObject({
        type: 'idempotency_error',
        doc_url: `${ERRORS_PAGE}#KEY_REUSED`,
      });
      expect(error(reused)).toHaveProperty('message');
      expect(reused.headers.get('stripe-should-retry')).toBe('false');
      expect(reused.headers.get('content-type')).toBe('application/json');
      expect(first.headers.get('idempotent-replayed')).toBeNull();
      expect(replay.headers.get('idempotent-replayed')).toBe('true');
      expect(replay.headers.get('idempotency-replayed')).toBeNull();
      for (const got of [first, replay, reused, inFlight])
        expect(got.headers.get('idempotency-key')).toBe('k-1');
      expect((await shop.send({ key: 'x'.repeat(255) })).status).toBe(201);
      expect((await shop.send({ key: 'x'.repeat(256) })).status).toBe(400);
    });

    test('acp: the flat error, 400, 422 and 409 with its codes, Idempotent-Replayed and the key', async () => {
      const { shop, missing, inFlight, first, replay, reused } = await story('acp');
      const invalid = { type: 'invalid_request', message: expect.any(String) };
      expect([missing.status, missing.json]).toEqual([400, { ...invalid, code: 'idempotency_key_required' }]);
      expect([reused.status, reused.json]).toEqual([422, { ...invalid, code: 'idempotency_conflict' }]);
      expect([inFlight.status, inFlight.json]).toEqual([409, { ...invalid, code: 'idempotency_in_flight' }]);
      expect(inFlight.headers.get('retry-after')).toBe('1');
      expect(replay.status).toBe(first.status);
      expect(replay.headers.get('idempotent-replayed')).toBe('true');
      for (const got of [first, replay, reused, inFlight])
        expect(got.headers.get('idempotency-key')).toBe('k-1');
      expect((await shop.send({ key: 'x'.repeat(256) })).status).toBe(400);
      shop.store.faults.claim = () => {
        throw new Error('down');
      };
      const down = await shop.send({ key: 'down' });
      expect([down.status, down.json['type']]).toEqual([503, 'service_unavailable']);
      shop.store.heal();
    });

    test('acp: one key on two paths is two operations, and a 5xx is not kept', async () => {
      const answers = [500];
      const shop = await open({
        options: { profile: 'acp' },
        routes: [
          { method: 'POST', path: '/sessions/:id', handler: () => ({ status: answers.shift() ?? 201 }) },
        ],
      });
      expect((await shop.send({ key: 'k', path: '/sessions/1' })).status).toBe(500);
      expect((await shop.send({ key: 'k', path: '/sessions/1' })).status).toBe(201);
      expect((await shop.send({ key: 'k', path: '/sessions/2' })).status).toBe(201);
      await until(() => shop.runs() === 3);
    });
  });
}
