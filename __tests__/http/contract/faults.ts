import { describe, expect, test } from '@jest/globals';
import { storeDown } from '../../../src/testing/faulty-store.js';
import { InMemoryStore } from '../../../src/stores/memory/store.js';
import { deferred } from '../../support/deferred.js';
import type { Answer, Handler } from '../site.js';
import { rawPost, until, type OpenShop, type Shop } from './harness.js';
import { expectProblem, waitingHandler } from './requests.js';

const KEY = ['Idempotency-Key: k'];
const down = (): never => {
  throw storeDown();
};

/** A store of its own process, on the records of another one. */
async function twoProcesses(
  open: OpenShop,
  handlers: [Handler, Handler],
  options = {},
): Promise<[Shop, Shop]> {
  const on = new InMemoryStore();
  return [
    await open({ on, handler: handlers[0], options }),
    await open({ on, handler: handlers[1], options }),
  ];
}

/** Clients that leave, handlers that hang, stores that are down, leases that are lost. */
export function describeFaults(open: OpenShop): void {
  describe('a client that leaves', () => {
    test('while the handler runs: it finishes, its answer is recorded, the retry gets it', async () => {
      const { handler, started, goOn } = waitingHandler();
      const shop = await open({ handler });
      const client = await rawPost(shop.server.port, KEY);
      await started;
      client.leave();
      await client.closed();
      await shop.send();
      goOn();
      await until(() => shop.store.calls.settle === 1);
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, text: '{"id":1}', isReplay: true });
      expect(shop.runs()).toBe(1);
    });

    test('before the handler has started: nothing runs, and the key is free', async () => {
      const shop = await open();
      const mayClaim = deferred();
      shop.store.faults.claim = (moment) => (moment === 'sent' ? mayClaim.promise : undefined);
      const client = await rawPost(shop.server.port, KEY);
      await until(() => shop.store.calls.claim === 1);
      client.leave();
      await client.closed();
      // The server has noticed once it answers another request, which came later.
      await shop.send();
      mayClaim.resolve();
      delete shop.store.faults.claim;
      await until(() => shop.store.calls.release === 1);
      expect(shop.runs()).toBe(0);
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, isReplay: false });
    });

    test('while the answer is streamed: the retry gets all of it', async () => {
      const next = deferred<string>();
      const stream = async function* () {
        yield new TextEncoder().encode('one,');
        yield new TextEncoder().encode(await next.promise);
      };
      const first = (): Answer => ({ headers: { 'content-type': 'text/plain' }, stream: stream() });
      let runs = 0;
      const shop = await open({ handler: () => (runs++ === 0 ? first() : { body: 'one,two' }) });
      const client = await rawPost(shop.server.port, KEY);
      await client.until(/one,/);
      client.leave();
      await client.closed();
      await shop.send();
      next.resolve('two');
      // Some frameworks break the stream off then: the handler has failed, and the retry runs it.
      await until(async () => (await shop.send({ key: 'k' })).status === 200);
      expect((await shop.send({ key: 'k' })).text).toBe('one,two');
    });

    test('of a handler that never answers: the key is free when its lease is over, after maxHold', async () => {
      const { handler, started, goOn } = waitingHandler();
      let runs = 0;
      const shop = await open({
        handler: (call) => (runs++ === 0 ? handler(call) : { status: 201, body: 'second' }),
        options: { lease: 60, maxHold: 60 },
      });
      const client = await rawPost(shop.server.port, KEY);
      await started;
      client.leave();
      await until(async () => (await shop.send({ key: 'k' })).status === 201);
      expect((await shop.send({ key: 'k' })).text).toBe('second');
      goOn();
    });
  });

  describe('a handler whose lease was lost', () => {
    test('is not what its client hears of: it gets the answer that was recorded', async () => {
      const { handler, started, goOn } = waitingHandler();
      const second: Handler = () => ({ status: 201, body: 'second', headers: { location: '/2' } });
      const [one, other] = await twoProcesses(open, [handler, second], { lease: 60, maxHold: 60 });
      const answer = one.send({ key: 'k' });
      await started;
      await until(async () => (await other.send({ key: 'k' })).status === 201);
      const got = await answer;
      expect(got).toMatchObject({ status: 201, text: 'second', isReplay: true });
      expect(got.headers.get('location')).toBe('/2');
      goOn();
      await until(() => one.store.calls.settle === 1);
      expect((await one.send({ key: 'k' })).text).toBe('second');
    });

    test('and that has ended meanwhile is replaced all the same: nothing of it had left', async () => {
      const first: Handler = () => ({ status: 201, body: 'first' });
      const second: Handler = () => ({ status: 201, body: 'second' });
      const [one, other] = await twoProcesses(open, [first, second], { lease: 60 });
      const late = deferred();
      one.store.faults.settle = (moment) => (moment === 'sent' ? late.promise : undefined);
      const answer = one.send({ key: 'k' });
      await until(() => one.store.calls.settle === 1);
      await until(async () => (await other.send({ key: 'k' })).status === 201);
      late.resolve();
      expect(await answer).toMatchObject({ status: 201, text: 'second', isReplay: true });
    });

    test('and that streams breaks off: its client has no whole answer that is not the recorded one', async () => {
      const next = deferred<string>();
      const stream = async function* () {
        yield new TextEncoder().encode('first,');
        yield new TextEncoder().encode(await next.promise);
      };
      const first: Handler = () => ({ stream: stream(), headers: { 'content-type': 'text/plain' } });
      const [one, other] = await twoProcesses(open, [first, () => ({ body: 'second' })], {
        lease: 60,
        maxHold: 60,
      });
      const client = await rawPost(one.server.port, KEY);
      await client.until(/first,/);
      await until(async () => (await other.send({ key: 'k' })).status === 200);
      const text = await client.closed();
      expect(text).toContain('first,');
      expect(text).not.toContain('\r\n0\r\n');
      next.resolve('end');
    });
  });

  describe('a store that is down', () => {
    test('503 with Retry-After, and nothing runs', async () => {
      const shop = await open({ options: { storeTimeout: 30 } });
      shop.store.faults.claim = down;
      const got = await shop.send({ key: 'k' });
      expectProblem(got, 503, 'STORE_UNAVAILABLE');
      expect(Number(got.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(got.text).not.toContain('connection broke');
      expect(shop.runs()).toBe(0);
      shop.store.heal();
      await until(async () => (await shop.send({ key: 'k' })).status === 201);
      expect(shop.runs()).toBe(1);
    });

    test("onStoreError: 'run' runs it unprotected, with an event", async () => {
      const shop = await open({ options: { storeTimeout: 30, onStoreError: 'run' } });
      shop.store.faults.claim = down;
      const events: string[] = [];
      shop.idempotency.on('unprotected', ({ key }) => events.push(key));
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, isReplay: false });
      expect(events).toEqual(['k']);
    });

    test('between the effect and its record: the answer is given, and recorded when the store is back', async () => {
      const shop = await open({ options: { storeTimeout: 30, concurrent: 'wait' } });
      shop.store.faults.settle = down;
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, isReplay: false });
      shop.store.heal();
      await until(() => shop.idempotency.stats().recordedLate === 1);
      expect(await shop.send({ key: 'k' })).toMatchObject({ status: 201, isReplay: true });
      expect(shop.runs()).toBe(1);
    });
  });
}
