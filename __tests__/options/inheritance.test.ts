import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { createIdempotency, InMemoryStore } from '../../src/index.js';
import type { LeaseStore } from '../../src/core/store.js';
import { fetchIdempotency, recordPlace } from '../../src/http/fetch.js';
import { idempotentConsumer } from '../../src/queue/consumer.js';
import { Transactions } from '../../src/transaction/transactions.js';

const store = new InMemoryStore();

/** A store that tells where its records are. */
function watched(): { store: LeaseStore; addresses: string[] } {
  const inner = new InMemoryStore();
  const addresses: string[] = [];
  const claim: LeaseStore['claim'] = (key, request) => {
    addresses.push(key.address);
    return inner.claim(key, request);
  };
  return {
    store: Object.assign(Object.create(inner) as LeaseStore, boundTo(inner), { claim }),
    addresses,
  };
}
function boundTo(inner: InMemoryStore) {
  return {
    renew: inner.renew.bind(inner),
    step: inner.step.bind(inner),
    settle: inner.settle.bind(inner),
    release: inner.release.bind(inner),
    read: inner.read.bind(inner),
    override: inner.override.bind(inner),
  };
}

const post = (caller: string, key = 'k') =>
  new Request('http://x/orders', {
    method: 'POST',
    headers: { 'idempotency-key': `"${key}"`, 'x-caller': caller },
  });

describe('what is stored', () => {
  test('G10: HTTP stores the scope of the instance and the caller, and shared means within the instance', async () => {
    const { store, addresses } = watched();
    const [acme, other] = ['acme', 'other'].map((scope) =>
      createIdempotency({ store, scope, prefix: 'p', logger: {} }),
    );
    const serve = (idempotency: typeof acme, scope: 'shared' | ((request: Request) => string)) =>
      fetchIdempotency({ idempotency: idempotency!, scope })(() => new Response('done'))(post('ann'));
    const caller = (request: Request) => request.headers.get('x-caller') ?? '';
    for (const idempotency of [acme, other]) {
      await serve(idempotency, 'shared');
      await serve(idempotency, caller);
    }
    expect(new Set(addresses).size).toBe(4);
    expect(addresses[0]).toBe('p:acme:POST /orders:k');
    const place = recordPlace({ method: 'POST', route: '/orders', scope: 'ann', tenant: 'acme' });
    expect(await acme?.get('k', place)).toMatchObject({ status: 'COMPLETED' });
    expect(await acme?.get('k', recordPlace({ method: 'POST', route: '/orders' }))).toMatchObject({
      key: 'k',
    });
  });

  test('G10: consumers of two tenants never share an answer, and remember is that of the instance', async () => {
    const { store, addresses } = watched();
    const consume = (scope: string) =>
      idempotentConsumer({
        idempotency: createIdempotency({ store, scope, name: 'elsewhere', remember: 'all', logger: {} }),
        name: 'q',
        key: (message: string) => message,
        handler: () => Promise.reject(new Error(`declined by ${scope}`)),
      })('m');
    expect(await consume('acme')).toMatchObject({ action: 'drop', error: { message: 'declined by acme' } });
    expect(await consume('other')).toMatchObject({ action: 'drop', error: { message: 'declined by other' } });
    expect(addresses).toEqual(['idempotency:acme:q:m', 'idempotency:other:q:m']);
  });

  test('pepper, codec and keysInLogs of the instance hold in run(), HTTP, consumers and transaction()', async () => {
    const key = 'mail:ann@example.com';
    const lines: string[] = [];
    const logger = { warn: (message: string) => void lines.push(message) };
    const codec = { redact: () => Promise.resolve() };
    const pepper = 'the pepper of the instance';
    const { store, addresses } = watched();
    const of = { store, logger, codec, pepper, scope: 'acme', keysInLogs: 'hash' as const };
    const idempotency = createIdempotency(of);
    await idempotency.run(key, () => 1, { name: 'n' });
    await fetchIdempotency({ idempotency, scope: 'shared' })(() => new Response('done'))(post('ann', key));
    await idempotentConsumer({ idempotency, name: 'q', key: () => key, handler: () => 1 })('m');
    const { store: _, ...defaults } = of;
    const open = { failure: undefined, endedByWork: false, query: async () => ({}) };
    const transactions = new Transactions(store, Object.assign(store, { session: () => open }), defaults);
    await transactions.run(key, () => 1, { name: 't' });
    const scope = createHmac('sha256', pepper).update('acme').digest('hex').slice(0, 32);
    expect(addresses).toEqual(['n', 'POST /orders', 'q', 't'].map((n) => `idempotency:${scope}:${n}:${key}`));
    // The redact of the instance is of no help, of which each adapter warns.
    expect(lines).toEqual(
      addresses.map(() => expect.stringMatching(/without (its value|the value).*redact/)),
    );
    expect(lines.join()).not.toContain(key);
  });

  test("consumers name a dropped message by the instance's keysInLogs, unless they have their own", async () => {
    const drop = async (own: object) => {
      const lines: string[] = [];
      const logger = { warn: (message: string) => void lines.push(message) };
      const idempotency = createIdempotency({ store, logger, keysInLogs: 'hash', remember: 'all' });
      const handler = () => Promise.reject(new Error('no room for ann'));
      await idempotentConsumer({ idempotency, name: 'drops', key: () => 'ann', handler, ...own })('m');
      return lines.join();
    };
    expect(await drop({})).not.toContain('ann');
    expect(await drop({ keysInLogs: 'plain' })).toContain('ann');
  });
});
