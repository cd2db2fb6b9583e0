import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { canonicalize } from '../../src/keys/canonical.js';
import { fingerprintPayload, hashKey, sha256Hex, shortDigest } from '../../src/keys/index.js';

class Customer {
  id = 1;
  toJSON() {
    return { id: this.id };
  }
}

const nested = (depth: number): unknown => {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
};

const cyclic: Record<string, unknown> = {};
cyclic['self'] = { inner: cyclic };

function caught(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

const dag = () => {
  let value: unknown = 1;
  for (let i = 0; i < 40; i++) value = [value, value];
  return value;
};

describe('G10: what has no dependable text is refused, by the name of its path', () => {
  test.each<[string, () => unknown, string]>([
    ['a function', () => ({ a: [() => 1] }), 'value.a[0] is a function'],
    ['a symbol', () => [Symbol('x')], 'value[0] is a symbol'],
    ['a symbol key', () => ({ a: { [Symbol('x')]: 1 } }), 'value.a has the symbol Symbol(x) as a key'],
    [
      'a class instance with toJSON',
      () => ({ 'the customer': new Customer() }),
      'value["the customer"] is an instance of Customer',
    ],
    ['a subclass of Map', () => new (class Index extends Map {})(), 'value is an instance of Index'],
    ['a subclass of Date', () => new (class Day extends Date {})(), 'value is an instance of Day'],
    [
      'a subclass of Array',
      () => new (class List extends Array<unknown> {})(),
      'value is an instance of List',
    ],
    [
      'a subclass of Uint8Array',
      () => new (class Bytes extends Uint8Array {})(1),
      'value is an instance of Bytes',
    ],
    ['a boxed number', () => Object(1) as object, 'value is an instance of Number'],
    ['an error', () => [new TypeError('x')], 'value[0] is an instance of TypeError'],
    ['a promise', () => new Map([['a', Promise.resolve()]]), 'value.values()[0] is an instance of Promise'],
    ['a WeakMap', () => new Set([new WeakMap()]), 'value.values()[0] is an instance of WeakMap'],
    ['a cycle', () => cyclic, 'value.self.inner refers back to itself'],
    ['an array with extra members', () => 'ab'.match(/a/), 'value is an array with the extra member "index"'],
    [
      'a Date with extra members',
      () => Object.assign(new Date(0), { zone: 1 }),
      'value is a Date with extra members',
    ],
    [
      'a getter that throws',
      () => ({
        a: {
          get b() {
            throw new Error('boom');
          },
        },
      }),
      "value.a.b can't be read (boom)",
    ],
    [
      'a proxy that throws',
      () => [
        new Proxy(
          {},
          {
            ownKeys() {
              throw new Error('no');
            },
          },
        ),
      ],
      "value[0] can't be read (no)",
    ],
    ['a depth bomb', () => nested(100_000), 'is nested deeper than'],
    ['a graph of endless text', dag, 'holds more than'],
  ])(
    '%s',
    (_name, make, message) => {
      const value = make();
      const refused = caught(() => canonicalize(value));
      expect(refused).toMatchObject({ name: 'UsageError', code: 'INVALID_KEY' });
      expect(refused.message).toContain(message);
      expect(refused.message).toMatch(/pass String\(x\)|pass fewer values/);
    },
    30_000,
  );

  test('hashKey names the argument, a fingerprint names the payload', () => {
    expect(() => hashKey({ customer: { id: () => 1 } })).toThrow('values[0].customer.id is a function');
    expect(() => fingerprintPayload({ a: Symbol() })).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringContaining('payload.a is a symbol'),
      }),
    );
  });

  test('a payload over a budget is too large, not wrong: a client can bring it about alone', () => {
    const wide = Array.from({ length: 500_001 }, () => 0);
    // As hex digits, more than the longest text.
    const long = new Uint8Array(64 * 1024 * 1024 + 1);
    for (const payload of [nested(501), wide, long, dag()]) {
      const refused = caught(() => fingerprintPayload({ payload }));
      expect(refused).toMatchObject({ name: 'UsageError', code: 'PAYLOAD_TOO_LARGE' });
      expect(refused.message.length).toBeLessThan(300);
      expect(caught(() => hashKey(payload))).toMatchObject({ code: 'INVALID_KEY' });
    }
    expect(() => fingerprintPayload(nested(499))).not.toThrow();
  }, 30_000);

  test('a key made of nothing is an error, never a constant', () => {
    expect(() => hashKey()).toThrow(expect.objectContaining({ code: 'INVALID_KEY' }));
  });
});

test('digests have their length and alphabet, and count the place of a missing part', () => {
  expect(hashKey('a')).toMatch(/^[0-9a-f]{32}$/);
  expect(fingerprintPayload({ a: 1 })).toMatch(/^[\w-]{22}$/);
  expect(shortDigest('a', undefined, 'b')).toMatch(/^[\w-]{6}$/);
  expect(
    new Set([
      shortDigest('a', undefined, 'b'),
      shortDigest('a', 'b'),
      shortDigest('a:b'),
      shortDigest('a', 'b', undefined),
    ]).size,
  ).toBe(4);
  expect(sha256Hex('é')).toBe(createHash('sha256').update('é').digest('hex'));
});
