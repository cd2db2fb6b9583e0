import { describe, expect, test } from '@jest/globals';
import { createIdempotency, InMemoryStore } from '../../src/index.js';
import type { LeaseStore } from '../../src/core/store.js';
import { fetchIdempotency, recordOf } from '../../src/http/fetch.js';
import { idempotentConsumer } from '../../src/queue/consumer.js';

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

const post = (caller: string) =>
  new Request('http://x/orders', { method: 'POST', headers: { 'idempotency-key': 'k', 'x-caller': caller } });

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
    const place = recordOf({ method: 'POST', route: '/orders', scope: 'ann', tenant: 'acme' });
    expect(await acme?.get('k', place)).toMatchObject({ status: 'COMPLETED' });
    expect(await acme?.get('k', recordOf({ method: 'POST', route: '/orders' }))).toMatchObject({ key: 'k' });
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
});
