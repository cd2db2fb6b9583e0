import { describe, expect, test } from '@jest/globals';
import {
  checkKey,
  checkStoredKey,
  composeNamespace,
  contextKey,
  hashKey,
  storeKey,
} from '../../src/keys/index.js';

const taskWith = (values: Record<string, unknown>) => ({ context: { get: (name: string) => values[name] } });
const invalidKey = (message: string) =>
  expect.objectContaining({
    name: 'UsageError',
    code: 'INVALID_KEY',
    message: expect.stringContaining(message),
  });
const invalidOptions = (message: string) =>
  expect.objectContaining({
    name: 'UsageError',
    code: 'INVALID_OPTIONS',
    message: expect.stringContaining(message),
  });

describe('G10: contextKey', () => {
  test('depends on names and values, and on nothing else', () => {
    const task = taskWith({ a: 1, b: 2, c: 3 });
    expect(contextKey('a', 'b')(task)).toBe(contextKey('a', 'b')(taskWith({ b: 2, a: 1 })));
    expect(contextKey('a', 'b')(task)).toBe(hashKey(['a', 1], ['b', 2]));
    const keys = [
      contextKey('a'),
      contextKey('b'),
      contextKey('a', 'b'),
      contextKey('b', 'a'),
      contextKey('a', 'c'),
    ];
    expect(new Set(keys.map((key) => key(task))).size).toBe(keys.length);
    expect(contextKey('a')(taskWith({ a: 1 }))).not.toBe(contextKey('a')(taskWith({ a: '1' })));
    expect(contextKey('a')(taskWith({ a: 1 }))).not.toBe(contextKey('b')(taskWith({ b: 1 })));
  });

  test.each([undefined, null])(
    'a missing value (%p) is an error that names it, never a constant',
    (missing) => {
      expect(() => contextKey('id', 'customr')(taskWith({ id: 1, customr: missing }))).toThrow(
        invalidKey('"customr"'),
      );
    },
  );

  test('an absent optional value differs from every present one', () => {
    const key = contextKey('id', { optional: 'coupon' });
    const values = ['', 0, false, 'undefined', 'null', [], {}, NaN];
    const keys = [undefined, ...values].map((coupon) => key(taskWith({ id: 1, coupon })));
    expect(new Set(keys).size).toBe(keys.length);
    expect(key(taskWith({ id: 1, coupon: null }))).toBe(keys[0]);
  });

  test('a value without a canonical form is named by its path', () => {
    expect(() => contextKey('order')(taskWith({ order: { go() {} } }))).toThrow(
      invalidKey('context.order.go is a function'),
    );
  });

  test.each<[string, unknown[]]>([
    ['no names', []],
    ['a repeated name', ['a', { optional: 'a' }]],
    ['an empty name', ['']],
    ['a number', [1]],
    ['null', [null]],
    ['an object without a name', [{ optinal: 'a' }]],
  ])('%s: refused at construction', (_name, names) => {
    expect(() => contextKey(...(names as string[]))).toThrow(invalidOptions('contextKey()'));
  });
});

describe('G10: checkKey', () => {
  test.each([
    'a',
    'user:1',
    'größe',
    '😀',
    'nullable',
    'annulled',
    'NaNa',
    'éundefined',
    'undefined7',
    'a::b',
    'x'.repeat(512),
  ])('%p passes', (key) => {
    expect(checkKey(key)).toBe(key);
  });

  test.each<[unknown, string]>([
    [undefined, 'is undefined'],
    [null, 'is null'],
    [NaN, 'is NaN'],
    [1, 'is 1'],
    [{}, 'of type object'],
    [['a'], 'an array'],
    [Promise.resolve('a'), 'of type object'],
    ['', 'is empty'],
    ['x'.repeat(513), '513 characters'],
    ['a\u0000', 'U+0000'],
    ['a\nb', 'U+000A at 1'],
    ['\u007f', 'U+007F'],
    ['\u0085', 'U+0085'],
    ['\ud800', 'half a surrogate pair'],
    ['a\udc00b', 'half a surrogate pair (U+DC00) at 1'],
    ['\ud800a', 'half a surrogate pair'],
    ['undefined', '"undefined"'],
    ['null', '"null"'],
    ['NaN', '"NaN"'],
    ['[object Object]', '"[object Object]"'],
    ['user:undefined', '"undefined"'],
    ['null:user', '"null"'],
    ['user:NaN:1', '"NaN"'],
    ['user:undefined-x', '"undefined"'],
    ['payment-undefined', '"undefined"'],
    ['null-7', '"null"'],
    ['order_NaN', '"NaN"'],
    ['a/Invalid Date/b', '"Invalid Date"'],
    ['a undefined b', '"undefined"'],
    ['(null)', '"null"'],
    ['order-[object Promise]', '"[object Promise]"'],
  ])('%p is refused', (key, message) => {
    expect(() => checkKey(key)).toThrow(invalidKey(message));
  });
});

describe('a key that a record stands under', () => {
  test.each(['payment-undefined', 'null', 'order_NaN'])(
    '%p is found, although no work may run under it',
    (key) => {
      expect(checkStoredKey(key)).toBe(key);
      expect(() => checkKey(key)).toThrow(invalidKey('a missing value'));
    },
  );
});

describe('G10: addresses', () => {
  test('the form is the recipe’s: prefix:name:key, the key byte for byte', () => {
    const namespace = composeNamespace({ prefix: 'idempotency', name: 'ChargeTask' });
    expect(storeKey(namespace, 'user:1/ü %').address).toBe('idempotency:ChargeTask:user:1/ü %');
    expect(storeKey(composeNamespace({ prefix: 'p', scope: 'a:b c', name: 'n' }), 'k').address).toBe(
      'p:a%3Ab%20c:n:k',
    );
  });

  test('two namespaces never share a digest because their addresses read the same', () => {
    const parts = [
      { prefix: 'a:b', name: 'c' },
      { prefix: 'a', scope: 'b', name: 'c' },
      { prefix: 'a', name: 'b' },
      { prefix: 'a', scope: 'c', name: 'b' },
    ];
    expect(storeKey(composeNamespace(parts[0]!), 'k').address).toBe(
      storeKey(composeNamespace(parts[1]!), 'k').address,
    );
    expect(new Set(parts.map((part) => composeNamespace(part).digest)).size).toBe(parts.length);
  });

  test('namespaces are cached, within a bound', () => {
    const first = composeNamespace({ prefix: 'cached', name: 'n' });
    expect(composeNamespace({ prefix: 'cached', name: 'n' })).toBe(first);
    for (let i = 0; i < 1100; i++) composeNamespace({ prefix: 'cached', scope: `tenant${i}`, name: 'n' });
    expect(composeNamespace({ prefix: 'cached', name: 'n' })).toEqual(first);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['no prefix', { name: 'n' }, 'prefix must be'],
    ['an empty prefix', { prefix: '', name: 'n' }, 'prefix must be'],
    ['a long prefix', { prefix: 'p'.repeat(129), name: 'n' }, 'prefix has 129'],
    ['a control character', { prefix: 'p\0', name: 'n' }, 'prefix holds the control character U+0000'],
    ['an empty name', { prefix: 'p', name: '' }, 'name must be'],
    ['a name with a colon', { prefix: 'p', name: 'a:b' }, 'name contains ":"'],
    ['an empty scope', { prefix: 'p', scope: '', name: 'n' }, 'scope must be'],
    ['a null scope', { prefix: 'p', scope: null, name: 'n' }, 'scope must be'],
    ['a numeric scope', { prefix: 'p', scope: 5, name: 'n' }, 'scope must be'],
    ['half a surrogate pair', { prefix: 'p', scope: '\ud800', name: 'n' }, 'scope holds half'],
    ['a long scope', { prefix: 'p', scope: 's'.repeat(257), name: 'n' }, 'scope has 257'],
  ])('%s: refused, also when a neighbour is cached', (_name, parts, message) => {
    composeNamespace({ prefix: 'p', name: 'n' });
    composeNamespace({ prefix: 'p', scope: '5', name: 'n' });
    composeNamespace({ prefix: 'p', scope: 'null', name: 'n' });
    expect(() => composeNamespace(parts as never)).toThrow(invalidOptions(message));
  });
});
