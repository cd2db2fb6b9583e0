import { describe, expect, test } from '@jest/globals';
import { createIdempotency, idempotent, InMemoryStore, makeIdempotent } from '../../src/index.js';
import type { IdempotencyOptions } from '../../src/api.js';
import type { Inheritance } from '../../src/core/check.js';
import type { LeaseStore } from '../../src/core/store.js';
import { RUN_INHERITANCE } from '../../src/idempotency.js';
import { fetchIdempotency, recordOf } from '../../src/http/fetch.js';
import { HTTP_INHERITANCE, httpSettings, readHttpOptions } from '../../src/http/internal/options.js';
import { idempotentConsumer } from '../../src/queue/consumer.js';
import { CONSUMER_INHERITANCE, consumerSettings } from '../../src/queue/internal/options.js';
import { TRANSACTION_INHERITANCE, Transactions } from '../../src/transaction/transactions.js';
import { errorOf } from '../support/deferred.js';
import { optionTables } from './tables.js';

/** A store that tells where its records are, and by which lease. */
function watched(): { store: LeaseStore; addresses: string[]; leases: number[] } {
  const inner = new InMemoryStore();
  const addresses: string[] = [];
  const leases: number[] = [];
  const claim: LeaseStore['claim'] = (key, request) => {
    addresses.push(key.address);
    leases.push(request.leaseMs);
    return inner.claim(key, request);
  };
  return {
    store: Object.assign(Object.create(inner) as LeaseStore, boundTo(inner), { claim }),
    addresses,
    leases,
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

  test.each(Object.keys(RUN_INHERITANCE))('run() has %s from the instance', (name) => {
    expect(['inherited', 'kept']).toContain(RUN_INHERITANCE[name as Name]);
  });

  test('run() has prefix, name, scope and lease from the instance, and its own over them', async () => {
    const { store, addresses, leases } = watched();
    const idempotency = createIdempotency({ store, prefix: 'p', name: 'n', scope: 's', lease: 7_000 });
    await idempotency.run('k', () => 1);
    await idempotency.run('k', () => 1, { prefix: 'p2', name: 'n2', scope: 's2', lease: 8_000 });
    expect(addresses).toEqual(['p:s:n:k', 'p2:s2:n2:k']);
    expect(leases).toEqual([7_000, 8_000]);
  });

  test('transaction() has prefix, name, scope and lease from the store, and its own over them', async () => {
    expect(Object.keys(TRANSACTION_INHERITANCE).sort()).toEqual(
      Object.keys(optionTables.transactions).sort(),
    );
    const { store, addresses, leases } = watched();
    const open = { failure: undefined, query: async () => ({}) };
    const defaults = { prefix: 'p', name: 'n', scope: 's', lease: 7_000 };
    const transactions = new Transactions(store, Object.assign(store, { session: () => open }), defaults);
    await transactions.run('k', () => 1, {});
    await transactions.run('k', () => 1, { prefix: 'p2', name: 'n2', scope: 's2', lease: 8_000 });
    expect(addresses).toEqual(['p:s:n:k', 'p2:s2:n2:k']);
    expect(leases).toEqual([7_000, 8_000]);
    const missing = errorOf(transactions.run('k', () => 1, { scope: undefined } as never));
    expect(await missing).toMatchObject({ code: 'INVALID_OPTIONS' });
  });
});
