import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalize } from '../../src/keys/canonical.js';
import { hashKey } from '../../src/keys/index.js';

const shared = { x: 1 };
const ofTime = (time: number) => new Date(time);

/** Values that must not share a text with one another, with their string forms, or with their JSON forms. */
const DISTINCT: unknown[] = [
  undefined,
  null,
  NaN,
  Infinity,
  -Infinity,
  0,
  1,
  true,
  false,
  '',
  [],
  {},
  [[]],
  [{}],
  [null],
  [undefined],

  [,],
  [, ,],
  [, null],
  { a: undefined },
  { a: null },
  { a: [] },
  12,
  12n,
  '12',
  '12n',
  -12n,
  ofTime(0),
  ofTime(1),
  ofTime(NaN),
  new Map(),
  new Map([['a', 1]]),
  new Map([[1, 'a']]),
  new Map<unknown, unknown>([
    ['a', 1],
    ['b', 2],
  ]),
  new Set(),
  new Set([1]),
  new Set(['1']),
  new Set([1, 2]),
  new Set([[1, 2]]),
  Buffer.from('a'),
  new Uint8Array([97]),
  new Int8Array([97]),
  new Uint16Array([97]),
  new DataView(new ArrayBuffer(1)),
  new ArrayBuffer(1),
  new ArrayBuffer(0),
  /a/,
  /a/g,
  /"a","g"/,
  new URL('http://a/'),
  new URLSearchParams('a=1'),
  JSON.parse('{"__proto__":1}'),
  '\ud800',
  '\ud801',
  '\\ud800',
  [1, 2],
  [[1], 2],
  [1, [2]],
  ['1,2'],
  '[1,2]',
];

describe('G10: type-distinct values never collide', () => {
  test('nor with their string forms, nor with their JSON forms, at any depth', () => {
    for (const wrap of [
      (x: unknown) => x,
      (x: unknown) => [x],
      (x: unknown) => ({ m: { x } }),
      (x: unknown) => new Map([[x, x]]),
    ]) {
      const texts = DISTINCT.map((value) => canonicalize(wrap(value)));
      expect(new Set(texts).size).toBe(DISTINCT.length);
    }
    for (const value of DISTINCT) {
      if (typeof value !== 'object' || value === null || canonicalize(value) === JSON.stringify(value))
        continue;
      // eslint-disable-next-line @typescript-eslint/no-base-to-string -- the text form is what must not collide
      expect(canonicalize(value)).not.toBe(canonicalize(String(value)));
      expect(canonicalize(value)).not.toBe(canonicalize(JSON.parse(JSON.stringify(value))));
    }
  });

  test('property: distinct values give distinct text, equal values equal text', () => {
    const rich = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
      maxDepth: 3,
    });
    fc.assert(
      fc.property(rich, rich, (a, b) => {
        // Stated exceptions: the order of Maps and Sets, and -0.
        const same = isDeepStrictEqual(unsigned(a), unsigned(b));
        if (canonicalize(a) === canonicalize(b)) return same;
        return !same;
      }),
      { numRuns: 1000 },
    );
  });

  test('property: of the distinct neighbours of one value, none shares its text', () => {
    const leaf = fc.constantFrom(...DISTINCT);
    const tree = fc.letrec((tie) => ({
      node: fc.oneof(
        leaf,
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('a', 'b'), tie('node')),
      ),
    })).node;
    fc.assert(
      fc.property(
        tree,
        tree,
        (a, b) => (canonicalize(a) === canonicalize(b)) === isDeepStrictEqual(unsigned(a), unsigned(b)),
      ),
      { numRuns: 2000 },
    );
  });

  test('an absent member differs from one that is undefined', () => {
    expect(hashKey({})).not.toBe(hashKey({ a: undefined }));
  });
});

/** With -0 as 0, and null prototypes as plain ones. */
function unsigned(value: unknown): unknown {
  if (value === 0) return 0;
  if (Array.isArray(value)) return value.map(unsigned);
  if (value instanceof Map) return new Map([...value].map(([k, v]) => [unsigned(k), unsigned(v)]));
  if (value instanceof Set) return new Set([...value].map(unsigned));
  if (
    typeof value !== 'object' ||
    value === null ||
    Object.prototype.toString.call(value) !== '[object Object]'
  )
    return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unsigned(v)]));
}

describe('G10: the canonical form', () => {
  test('property: a JSON value with sorted members is its JSON text, and its key the digest of that', () => {
    const sorted = fc
      .jsonValue()
      // Integer-like names stand first in any JavaScript object, so they can't be put in sorted order.
      .filter((value) => !/"\d+":/.test(JSON.stringify(value)))
      .map((value) => sortMembers(JSON.parse(JSON.stringify(value))));
    fc.assert(
      fc.property(sorted, (value) => {
        const text = createHash('sha256')
          .update(JSON.stringify([value]))
          .digest('hex')
          .slice(0, 32);
        return canonicalize(value) === JSON.stringify(value) && hashKey(value) === text;
      }),
    );
  });

  test.each([
    ['members in another order', { a: 1, b: { c: 1, d: 2 } }, { b: { d: 2, c: 1 }, a: 1 }],
    ['integer-like members', { 10: 1, 9: 2, a: 3 }, { a: 3, 9: 2, 10: 1 }],
    [
      'Maps in another order',
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
      new Map([
        ['b', 2],
        ['a', 1],
      ]),
    ],
    ['Sets in another order', new Set([1, { a: 1 }]), new Set([{ a: 1 }, 1])],
    ['-0 and 0', -0, 0],
    ['a null prototype', Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    ['a shared reference', [shared, shared], [{ x: 1 }, { x: 1 }]],
  ])('%s: the same key', (_name, a, b) => {
    expect(hashKey(a)).toBe(hashKey(b));
  });

  test('the text is the documented one', () => {
    const value = [
      undefined,
      NaN,
      12n,
      new Date(1),
      new Uint8Array([255]),
      /a/g,
      new Map([
        ['b', 2],
        ['a', 1],
      ]),
      new Set([2, 1]),
    ];
    expect(canonicalize(value)).toBe(
      '[undefined,NaN,12n,Date(1),Uint8Array(ff),RegExp("a","g"),Map{"a"=>1,"b"=>2},Set{1,2}]',
    );
    expect(canonicalize(Object.assign([], { length: 4_000_000_000 }))).toBe('[hole(4000000000)]');
  });

  test('an own __proto__ is a member like any other', () => {
    expect(canonicalize(JSON.parse('{"__proto__":{"x":1},"a":2}'))).toBe('{"__proto__":{"x":1},"a":2}');
  });
});

function sortMembers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortMembers);
  if (typeof value !== 'object' || value === null) return value === 0 ? 0 : value;
  const sorted: [string, unknown][] = Object.entries(value).map(([key, member]) => [
    key,
    sortMembers(member),
  ]);
  return Object.fromEntries(sorted.sort(([a], [b]) => (a < b ? -1 : 1)));
}
