import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { createCodec, type Codec } from '../../src/codec/index.js';

const codec = createCodec();
const replay = <T>(value: T, by: Codec = codec): T => by.decode(by.encode(value)) as T;
const json = (text: string): unknown => JSON.parse(text);

const FAITHFUL: [string, unknown][] = [
  ['undefined', undefined],
  ['undefined in an array', [undefined, null]],
  ['an undefined member', { a: undefined, b: null }],
  ['NaN, the infinities and -0', [NaN, Infinity, -Infinity, -0, 0]],
  ['a BigInt', { n: 12n }],
  ['a Date', new Date(1_700_000_000_000)],
  [
    'a Map with any keys',
    new Map<unknown, unknown>([
      [{ a: 1 }, 1],
      [NaN, new Set([new Date(1)])],
      ['x', undefined],
    ]),
  ],
  ['a Set', new Set([1, '1', 1n])],
  ['a RegExp', /<a>"\n\u2028/giu],
  ['a URL', new URL('https://a.example/?q=1#x')],
  ['URLSearchParams', new URLSearchParams('a=1&a=2')],
  ['a Buffer', { b: Buffer.from('héllo') }],
  ['an empty Buffer', Buffer.alloc(0)],
  [
    'typed arrays',
    [new Uint8Array([1, 2]), new Float64Array([NaN, -0]), new BigInt64Array([1n]), new Uint8ClampedArray(1)],
  ],
  ['a view of a part of a buffer', new Uint16Array(new ArrayBuffer(16), 4, 2)],
  ['a DataView', new DataView(Uint8Array.from([1, 2, 3, 4]).buffer, 1, 2)],
  ['an ArrayBuffer', Uint8Array.from([1, 2, 3]).buffer],

  ['holes', [, 1, , undefined]],
  ['a sparse array', Object.assign([], { 5: 'x', length: 4_000_000_000 })],
  ['a null prototype', Object.assign(Object.create(null), { a: { b: 1 } })],
  ['half a surrogate pair', ['\ud800', { '\udc00': new Date(0) }]],
  ['control characters', '\u0000\n\u2028'],
  [
    'members named like marks',
    [{ $Date: null }, { $: 'NaN', d: new Date(0) }, { $Object: { $Map: [undefined] } }],
  ],
  ['texts that begin like a marked one', ['~', '~{', { '~': undefined }]],
  ['members named like builtins', { then: 1, toJSON: 2, constructor: 3, '': 4, length: 5, d: new Date(0) }],
];

describe('G9: a replay equals the first answer', () => {
  test.each(FAITHFUL)('%s', (_name, value) => {
    for (const wrapped of [value, [value], { a: { b: value } }]) {
      const text = codec.encode(wrapped);
      expect(Buffer.from(text, 'utf8').toString('utf8')).toBe(text);
      const back = codec.decode(text);
      expect(back).toEqual(wrapped);
      expect(codec.encode(back)).toBe(text);
    }
  });

  test('an invalid Date is an invalid Date again', () => {
    const [back] = replay([new Date(NaN)]);
    expect(back).toBeInstanceOf(Date);
    expect(back?.getTime()).toBeNaN();
  });

  test('a Buffer is a Buffer again; a view takes only the bytes that it shows', () => {
    expect(Buffer.isBuffer(replay(Buffer.from('x')))).toBe(true);
    const secret = Buffer.from('secret-visible-secret');
    const view = new Uint8Array(secret.buffer, secret.byteOffset + 7, 7);
    expect(Buffer.from(replay(view)).toString()).toBe('visible');
    expect(replay(view).buffer.byteLength).toBe(7);
    const shared = replay(new Uint8Array(new SharedArrayBuffer(2)));
    expect(shared).toEqual(new Uint8Array(2));
    expect(shared.buffer).toBeInstanceOf(ArrayBuffer);
  });

  test('property: anything that is encoded comes back equal, and is encoded alike again', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
      withNullPrototype: true,
      withUnicodeString: true,
      maxDepth: 4,
    } as fc.ObjectConstraints);
    fc.assert(
      fc.property(anything, (value) => {
        const text = codec.encode(value);
        // Node 20 holds no two invalid Dates to be equal.
        fc.pre(!text.includes('{"$Date":null}'));
        const back = codec.decode(text);
        return codec.encode(back) === text && isDeepStrictEqual(back, value);
      }),
      { numRuns: 1500 },
    );
  });

  test('property: plain data is its own JSON text', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (given) => {
        const value = json(JSON.stringify(given));
        const text = codec.encode(value);
        return text === JSON.stringify(value) && isDeepStrictEqual(codec.decode(text), value);
      }),
    );
  });

  test('property: no two values share a text, also when their members are named like marks', () => {
    const tree = fc.letrec((tie) => ({
      node: fc.oneof(
        fc.constantFrom(undefined, NaN, -0, 0, 1n, '1n', 'NaN', null, 5, new Date(5)),
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(
          fc.constantFrom('$', '$Date', '$Object', '$Bare', '$hole', '$Map', 'a', '__proto__'),
          tie('node'),
          {
            maxKeys: 2,
            noNullPrototype: false,
          },
        ),
        fc.array(tie('node'), { maxLength: 2 }).map((members) => new Set(members)),
      ),
    })).node;
    fc.assert(
      fc.property(tree, tree, (a, b) => {
        const same = isDeepStrictEqual(a, b);
        return isDeepStrictEqual(replay(a), a) && (same || codec.encode(a) !== codec.encode(b));
      }),
      { numRuns: 2000 },
    );
  });

  test('the marked form is readable', () => {
    const at = new Date(0);
    expect(codec.encode({ at, n: [12n, undefined], m: new Map([[1, at]]), b: Buffer.from('x') })).toBe(
      '~{"at":{"$Date":"1970-01-01T00:00:00.000Z"},"n":[{"$":"12n"},{"$":"undefined"}],' +
        '"m":{"$Map":[[1,{"$Date":"1970-01-01T00:00:00.000Z"}]]},"b":{"$Buffer":"eA=="}}',
    );
    expect(codec.encode([, /a/g, { $: 1 }])).toBe('~[{"$hole":1},{"$RegExp":["a","g"]},{"$Object":{"$":1}}]');
    expect(codec.encode(new TypeError('no'))).toBe(
      '~{"$Error":["TypeError","TypeError",{"message":"no"},{}]}',
    );
  });

  test('what is shared comes back as equal copies', () => {
    const shared = { at: new Date(1) };
    const back = replay({ a: shared, b: [shared] });
    expect(back).toEqual({ a: shared, b: [shared] });
    expect(back.b[0]).not.toBe(back.a);
  });

  test('hidden members are not data; a getter counts as its value', () => {
    const value = Object.defineProperty(
      {
        get a() {
          return 1;
        },
      },
      'lastResponse',
      { value: () => 1 },
    );
    expect(replay(value)).toEqual({ a: 1 });
    const counted = Object.defineProperty({ n: 1 }, 'toJSON', { value: () => 'changed' });
    expect(replay(counted)).toEqual({ n: 1 });
  });
});

describe('G9: an own __proto__ is a member, and pollutes nothing', () => {
  test.each([
    ['plain', '{"__proto__":{"polluted":1},"a":1}', false],
    ['general', '{"__proto__":{"polluted":1},"a":1}', true],
  ])('in the %s form', (_name, text, general) => {
    const value = json(text) as Record<string, unknown>;
    if (general) value['d'] = new Date(0);
    const back = replay(value);
    expect(codec.encode(value)[0]).toBe(general ? '~' : '{');
    expect(Object.keys(back)).toEqual(Object.keys(value));
    expect(Object.getOwnPropertyDescriptor(back, '__proto__')?.value).toEqual({ polluted: 1 });
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
    expect((back as { polluted?: unknown }).polluted).toBeUndefined();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test('without a prototype, and on an error', () => {
    const bare = Object.assign(Object.create(null), { a: 1 }) as Record<string, unknown>;
    Object.defineProperty(bare, '__proto__', { value: { polluted: 1n }, enumerable: true });
    const back = replay(bare);
    expect(Object.getPrototypeOf(back)).toBeNull();
    expect(back['__proto__']).toEqual({ polluted: 1n });
    expect(back['polluted']).toBeUndefined();
    const error = Object.defineProperty(new Error('x'), '__proto__', {
      value: { polluted: 1 },
      enumerable: true,
    });
    expect(replay(error) instanceof Error).toBe(true);
    expect(Object.keys(replay(error, createCodec({ errors: { keep: ['__proto__'] } })))).toEqual([
      '__proto__',
    ]);
  });
});
