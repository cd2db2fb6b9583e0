import { describe, expect, test } from '@jest/globals';
import { currentAttempt } from '../../../src/idempotency/current-attempt.js';
import { recordPlace } from '../../../src/http/fetch.js';
import { deferred } from '../../support/deferred.js';
import type { Attempt } from '../../../src/core/attempt/attempt.js';
import type { Call } from '../site.js';
import { until, type OpenShop } from './harness.js';
import { expectProblem } from './requests.js';

const ORDERS = recordPlace({ method: 'POST', route: '/orders' });

/** What is remembered of a handler's answer, and what the handler is given. */
export function describeOutcomes(open: OpenShop): void {
  describe('what is remembered', () => {
    test.each([200, 201, 303, 400, 402, 404, 422])('%i is: a duplicate gets it again', async (status) => {
      const shop = await open({ handler: () => ({ status, body: 'x' }) });
      const { server } = shop;
      // fetch would follow a redirect.
      const ask = () =>
        fetch(`${server.url}/orders`, {
          method: 'POST',
          headers: { 'idempotency-key': 'k' },
          redirect: 'manual',
        });
      const [first, again] = [await ask(), await ask()];
      expect([first.status, again.status]).toEqual([status, status]);
      expect(again.headers.get('idempotency-replayed')).toBe('true');
      expect(shop.runs()).toBe(1);
    });

    test.each([408, 409, 425, 429, 500, 503])('%i is not: the next request runs', async (status) => {
      let answer = status;
      const shop = await open({ handler: () => ({ status: answer, body: 'x' }) });
      expect(await shop.send({ key: 'k' })).toMatchObject({ status, text: 'x', isReplay: false });
      answer = 201;
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, isReplay: false });
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, isReplay: true });
      expect(shop.runs()).toBe(2);
    });

    test("a thrown error is not, and reaches the framework's own error handler", async () => {
      const failures: (() => never)[] = [
        () => {
          throw new Error('no provider');
        },
      ];
      const shop = await open({
        handler: async () => {
          await Promise.resolve();
          failures.pop()?.();
          return { status: 201 };
        },
      });
      const first = await shop.send({ key: 'k' });
      expect(first).toMatchObject({ status: 500, json: { handledBy: 'the app', message: 'no provider' } });
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, isReplay: false });
      expect(shop.runs()).toBe(2);
    });

    test('deriveKey is the same after an error, a 5xx and a 429, and new where remember says "retryable"', async () => {
      const keys: string[] = [];
      const ends = [500, 504, 429, 502, 201];
      const shop = await open({
        handler: async ({ attempt }) => {
          keys.push(attempt!.deriveKey('charge'));
          await Promise.resolve();
          const status = ends.shift()!;
          if (status === 500) throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
          return { status };
        },
        options: { remember: (status) => (status === 502 ? 'retryable' : status < 300) },
      });
      for (const status of [...ends]) expect(await shop.send({ key: 'k' })).toMatchObject({ status });
      expect(new Set(keys.slice(0, 4)).size).toBe(1);
      expect(new Set(keys).size).toBe(2);
    });

    test('whoever waited on a failing request gets that failure', async () => {
      const started = deferred();
      const goOn = deferred();
      const shop = await open({
        handler: async () => {
          started.resolve();
          await goOn.promise;
          throw new Error('no provider');
        },
        options: { concurrent: 'wait' },
      });
      const first = shop.send({ key: 'k' });
      await started.promise;
      const second = shop.send({ key: 'k' });
      // It has joined once its claim was not sent.
      await until(() => shop.idempotency.stats().joins === 1);
      goOn.resolve();
      const failure = { status: 500, json: { handledBy: 'the app', message: 'no provider' } };
      expect(await first).toMatchObject(failure);
      expect(await second).toMatchObject(failure);
      expect(shop.runs()).toBe(1);
    });

    test('remember(status) changes it: true, false, or a verdict', async () => {
      const answers = [404, 503, 504];
      const shop = await open({
        handler: () => ({ status: answers.shift() ?? 201 }),
        options: { remember: (status) => (status === 404 ? false : status === 503 ? true : undefined) },
      });
      expect((await shop.send({ key: 'k' })).status).toBe(404);
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 503, isReplay: false });
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 503, isReplay: true });
    });

    test("under onAbandoned: 'block', 500 is in doubt until a person has said what it came to; 429 is not", async () => {
      const answers = [429, 500];
      const shop = await open({
        handler: () => ({ status: answers.shift() ?? 201 }),
        options: { onAbandoned: 'block' },
      });
      await shop.send({ key: 'k' });
      expect((await shop.send({ key: 'k' })).status).toBe(500);
      expectProblem(await shop.send({ key: 'k' }), 409, 'IN_DOUBT');
      expect(shop.runs()).toBe(2);
      await shop.idempotency.resolve(
        'k',
        { result: { status: 201, headers: {}, body: 'it was paid' } },
        ORDERS,
      );
      expect(await shop.send({ key: 'k' })).toMatchObject({
        status: 201,
        text: 'it was paid',
        isReplay: true,
      });
    });

    test('a reconcile function answers in the place of the handler, or lets it run', async () => {
      const found: (undefined | 'run')[] = [undefined, 'run'];
      const shop = await open({
        handler: () => ({ status: 504 }),
        options: {
          onAbandoned: () =>
            found.shift() ?? { status: 200, headers: { 'Content-Type': 'text/plain' }, body: 'found' },
        },
      });
      await shop.send({ key: 'k1' });
      const reconciled = await shop.send({ key: 'k1' });
      expect(reconciled).toMatchObject({ status: 200, text: 'found' });
      expect(reconciled.headers.get('content-type')).toMatch(/^text\/plain/);
      expect(await shop.send({ key: 'k1' })).toMatchObject({ text: 'found', isReplay: true });
      await shop.send({ key: 'k2' });
      await shop.send({ key: 'k2' });
      expect(shop.runs()).toBe(3);
    });
  });

  describe('the handler', () => {
    test('finds its attempt in its own request and in currentAttempt(), also after awaiting', async () => {
      const seen: (Attempt | undefined)[] = [];
      const shop = await open({
        handler: async ({ attempt }: Call) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          seen.push(attempt, currentAttempt());
          return {};
        },
        options: { required: false },
      });
      await shop.send({ key: '"k"' });
      await shop.send();
      expect(seen[0]).toBeDefined();
      expect(seen[1]).toBe(seen[0]);
      expect(seen[0]).toMatchObject({ key: 'k', attempt: 1 });
      expect(seen.slice(2)).toEqual([undefined, undefined]);
    });

    test('does a step once, also when it fails after it and the client retries', async () => {
      let charges = 0;
      const shop = await open({
        handler: async ({ attempt }) => {
          const charge = await attempt!.step('charge', () => ({ id: `ch_${++charges}` }));
          if (attempt!.attempt === 1) throw new Error('no mail server');
          return { status: 201, body: charge.id };
        },
      });
      expect((await shop.send({ key: 'k' })).status).toBe(500);
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, text: 'ch_1' });
      expect(charges).toBe(1);
    });
  });
}
