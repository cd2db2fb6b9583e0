import { describe, expect, test } from '@jest/globals';
import { checkScope, recordPlace } from '../../src/http/internal/exchange/address.js';
import { httpSettings, readHttpOptions } from '../../src/http/internal/options.js';
import { answerTo } from '../../src/http/internal/problem/problem-for.js';
import { composeNamespace } from '../../src/keys/index.js';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';

const store = new InMemoryStore();
const settings = (options: object) =>
  httpSettings('x()', readHttpOptions('x()', { store, scope: 'shared', ...options }));

describe('the options', () => {
  test.each<[string, object, RegExp]>([
    ['no scope', { scope: undefined }, /scope is undefined/],
    ['a scope that is a word', { scope: 'tenant' }, /scope is "tenant"/],
    ['no store', { store: undefined }, /either store or idempotency/],
    ['both', { idempotency: createIdempotency({ name: 'run', store }) }, /either store or idempotency/],
    ['a store of idempotency', { store: undefined, idempotency: store }, /createIdempotency\(\)/],
    ['an unknown name', { retention: '1h' }, /no option "retention"/],
    ['GET', { methods: ['POST', 'get'] }, /GET is a safe method/],
    ['no method', { methods: [] }, /methods/],
    ['a header that is none', { header: 'a b' }, /header/],
    ['Set-Cookie', { replayHeaders: ['Set-Cookie'] }, /set-cookie.*never replayed/],
    ['a limit that is none', { maxBodyBytes: '1mb' }, /maxBodyBytes is "1mb"/],
    ['a function that is none', { skip: true }, /skip is true: give a function/],
    ['a word for a choice', { required: 'no' }, /required is "no": give true or false/],
    ['a wrong common option', { ttl: '1 year' }, /ttl/],
    ['a wrong rule', { onAbandoned: 'never' }, /onAbandoned/],
  ])('%s is refused, and the message says what to do', (_, options, message) => {
    const refusal = () => settings(options);
    expect(refusal).toThrow(message);
    expect(refusal).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
  });

  test('retention is 24 h and a duplicate in flight is refused, unless told otherwise', () => {
    expect(settings({}).policy).toMatchObject({ ttlMs: 86_400_000, concurrent: 'reject' });
    const idempotency = createIdempotency({ name: 'run', store, ttl: '7d', lease: '5s' });
    const policy = { ttlMs: 7 * 86_400_000, leaseMs: 5_000, concurrent: 'wait' };
    expect(
      settings({ store: undefined, idempotency, concurrent: 'wait', ttl: undefined }).policy,
    ).toMatchObject(policy);
  });
});

describe('where a record is', () => {
  const names = [
    ...[
      '/orders/:id',
      '/orders/%3Aid',
      '/orders/#id',
      `/${'x'.repeat(300)}a`,
      `/${'x'.repeat(300)}b`,
      `/${'😀'.repeat(100)}`,
    ],
    ...['/', '', '/\u0000', '/\ud800'],
  ].map((route) => recordPlace({ method: 'post', route }).name);

  test('G10: two routes never have the same name, and every name is a name', () => {
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(() => composeNamespace({ prefix: 'p', name })).not.toThrow();
    expect(names[0]).toBe('POST /orders/%3Aid');
  });

  test('a caller is hashed, since it may be an API key; no two are one', () => {
    const scopes = ['sk_live_1', 'sk_live_2', '7', 'shared'].map(
      (scope) => recordPlace({ method: 'POST', route: '/', scope }).scope,
    );
    expect(new Set(scopes).size).toBe(4);
    for (const scope of scopes) expect(scope).toMatch(/^[0-9a-f]{32}$/);
    expect(recordPlace({ method: 'POST', route: '/' })).not.toHaveProperty('scope');
  });

  test('nobody is nobody; what names nobody is a mistake', () => {
    expect([undefined, null, ''].map(checkScope)).toEqual([undefined, undefined, undefined]);
    expect([7, 'ann', 'x'.repeat(2_000)].map(checkScope)).toEqual(['7', 'ann', 'x'.repeat(2_000)]);
    for (const given of [{ id: 1 }, ['a'], true, NaN, 'user:undefined', 'null'])
      expect(() => checkScope(given)).toThrow(/scope\(\) returned/);
  });
});

test('a problem without documentation has the title of its status, as RFC 9457 wants it', () => {
  const { status, body, headers } = answerTo(
    'CONCURRENT_REQUEST',
    { retryAfterSeconds: 3 },
    { docs: 'about:blank' },
  );
  expect(status).toBe(409);
  expect(headers).toMatchObject({ 'retry-after': '3', 'content-type': 'application/problem+json' });
  expect(JSON.parse(String(body))).toMatchObject({
    type: 'about:blank',
    title: 'Conflict',
    code: 'CONCURRENT_REQUEST',
  });
});
