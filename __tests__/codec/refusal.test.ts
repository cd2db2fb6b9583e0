import { describe, expect, test } from '@jest/globals';
import {
  classCodec,
  createCodec,
  UnencodableError,
  type Codec,
  type CodecOptions,
} from '../../src/codec/index.js';

const codec = createCodec();
const replay = <T>(value: T, by: Codec = codec): T => by.decode(by.encode(value)) as T;

class Money {
  constructor(readonly cents: unknown) {}
}
const money = classCodec({
  name: 'Money',
  type: Money,
  encode: (value) => value.cents,
  decode: (cents) => new Money(cents),
});

function refusal(value: unknown, options?: CodecOptions): UnencodableError {
  try {
    createCodec(options).encode(value);
  } catch (error) {
    if (error instanceof UnencodableError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('G9: what cannot come back equal is refused by the name of its path', () => {
  const deep = (wrap: (inner: unknown) => unknown, depth: number) => {
    let value: unknown = new Date(0);
    for (let i = 0; i < depth; i++) value = wrap(value);
    return value;
  };
  const cycle = () => {
    const a: Record<string, unknown> = {};
    a['list'] = [a];
    return { a };
  };
  const ring = () => {
    const map = new Map<string, unknown>();
    return map.set('me', map);
  };
  const selfCaused = () => {
    const error = new Error('x');
    error.cause = error;
    return error;
  };
  const bomb = (size: number) => {
    let value: unknown = 1;
    for (let i = 0; i < size; i++) value = [value, value];
    return value;
  };
  test.each<[string, () => unknown, string, string]>([
    [
      'a class instance',
      () => ({ customer: { card: new Money(1) } }),
      'value.customer.card',
      'an instance of Money',
    ],
    ['a function', () => [1, { f: () => 1 }], 'value[1].f', 'a function'],
    ['a symbol', () => new Set([1, Symbol('x')]), 'value.values()[1]', 'a symbol'],
    ['a symbol key', () => ({ a: { [Symbol('x')]: 1 } }), 'value.a', 'Symbol(x)'],
    ['in a Map value', () => new Map([['k', { f() {} }]]), 'value.values()[0].f', 'a function'],
    ['in a Map key', () => new Map([[{ f() {} }, 1]]), 'value.keys()[0].f', 'a function'],
    ['a promise', () => ({ 'to do': Promise.resolve() }), 'value["to do"]', 'Promise'],
    ['a thenable', () => ({ then() {} }), 'value.then', 'a function'],
    ['a toJSON', () => [{ toJSON: () => 1 }], 'value[0].toJSON', 'a function'],
    ['a subclass of Map', () => new (class Index extends Map {})(), 'value', 'Index'],
    [
      'a subclass of the same name',
      () => [new (class Date extends globalThis.Date {})()],
      'value[0]',
      'Date',
    ],
    ['a subclass of Array', () => [new (class List extends Array<unknown> {})()], 'value[0]', 'List'],
    ['a subclass of Uint8Array', () => new (class Bytes extends Uint8Array {})(1), 'value', 'Bytes'],
    ['a boxed number', () => [Object(1) as object], 'value[0]', 'an instance of Number'],
    ['a cycle', () => cycle(), 'value.a.list[0]', 'refers back to itself'],
    ['a cycle through a Map', () => ring(), 'value.values()[0]', 'refers back to itself'],
    ['an error that is its own cause', () => selfCaused(), 'value.cause', 'refers back to itself'],
    ['a graph of endless text', () => bomb(60), 'value[0]', 'holds more than'],
    ['a boxed symbol', () => Object(Symbol('x')) as object, 'value', 'Symbol'],
    ['a RegExp in use', () => Object.assign(/a/g, { lastIndex: 1 }), 'value', 'lastIndex'],
    ['extra members of an array', () => ({ m: 'ab'.match(/a/) }), 'value.m', '"index"'],
    ['extra members of a Date', () => Object.assign(new Date(0), { zone: 1 }), 'value', 'extra members'],
    [
      'a getter that throws',
      () => ({
        a: {
          get b() {
            throw new Error('boom');
          },
        },
      }),
      'value.a.b',
      'boom',
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
      'value[0]',
      'no',
    ],
    ['a proxy of a Map', () => [new Proxy(new Map(), {})], 'value[0]', "can't be read"],
    ['objects too deep', () => deep((a) => ({ a }), 100_000), 'value.a.a', 'deeper'],
    [
      'causes too deep',
      () => deep((cause) => new Error('x', { cause }), 5000),
      'value.cause.cause',
      'deeper',
    ],
  ])('%s', (_name, make, path, what) => {
    const error = refusal(make());
    expect(error.path.startsWith(path)).toBe(true);
    if (!/deeper|more than/.test(what)) expect(error.path).toBe(path);
    expect(error.message).toContain(error.path);
    expect(error.message).toContain(what);
    expect(error.message).toContain('register a class codec');
  });

  test.each<[string, (inner: unknown) => unknown]>([
    ['objects', (a) => ({ a })],
    ['arrays', (a) => [a]],
    ['Maps', (a) => new Map([[1, a]])],
    ['errors', (cause) => new Error('x', { cause })],
  ])('the deepest %s that are taken also come back', (_name, wrap) => {
    const value = deep(wrap, 499);
    expect(codec.encode(replay(value))).toBe(codec.encode(value));
  });
});

describe('G9: class instances', () => {
  test('flattened on request: enumerable members, deeply', () => {
    class Order {
      #secret = 1;
      total = new Money(12n);
      get secret() {
        return this.#secret;
      }
    }
    expect(replay([new Order()], createCodec({ flatten: true }))).toEqual([{ total: { cents: 12n } }]);
    expect(refusal([new Headers()], { flatten: true }).path).toBe('value[0]');
    expect(refusal(new Order()).path).toBe('value');
  });

  test('registered: encoded and decoded by their codec, each time they are met', () => {
    const by = createCodec({ classes: [money] });
    const shared = new Money({ at: new Date(5), more: new Money(1n) });
    const back = replay({ a: shared, b: [shared] }, by);
    expect(back.a).toBeInstanceOf(Money);
    expect(back.a).toEqual(shared);
    expect(back.b[0]).toEqual(shared);
  });

  test('a registered class beats being a builtin; its subclass needs its own codec', () => {
    class Failure extends Error {}
    const failure = classCodec({
      name: 'F',
      type: Failure,
      encode: (e) => e.message,
      decode: (m) => new Failure(String(m)),
    });
    expect(replay(new Failure('x'), createCodec({ classes: [failure] }))).toBeInstanceOf(Failure);
    expect(refusal(new (class Euro extends Money {})(1), { classes: [money] }).message).toContain('Euro');
  });

  test('registered: also what extends an Array, and what holds symbols', () => {
    const STATE = Symbol('state');
    class List extends Array<unknown> {
      readonly [STATE] = 1;
    }
    const list = classCodec({
      name: 'L',
      type: List,
      encode: (l) => [...l],
      decode: (d) => Object.assign(new List(), d),
    });
    expect(replay({ l: List.from([1n]) }, createCodec({ classes: [list] })).l).toBeInstanceOf(List);
  });

  test('a cycle through a registered class is refused, as is one encoded as itself', () => {
    const order: Record<string, unknown> = {};
    order['total'] = new Money([order]);
    expect(refusal(order, { classes: [money] }).path).toBe('value.total[0]');
    const own: unknown[] = [];
    const selfish = new Money(own);
    own.push({ selfish });
    expect(refusal([selfish], { classes: [money] }).path).toBe('value[0][0].selfish');
    expect(refusal(new Money(1), { classes: [{ ...money, encode: (value) => value }] }).message).toContain(
      'refers back to itself',
    );
    expect(refusal(new Money(1), { classes: [{ ...money, encode: () => new Money(1) }] }).message).toContain(
      'deeper',
    );
  });

  test.each<[string, unknown]>([
    ['no name', { ...money, name: '' }],
    ['no type', { ...money, type: undefined }],
    ['no decode', { ...money, decode: undefined }],
    ['nothing', null],
  ])('a class codec with %s is refused at once', (_name, broken) => {
    expect(() => createCodec({ classes: [broken as never] })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    );
  });

  test('two codecs for one name or class are refused', () => {
    expect(() => createCodec({ classes: [money, { ...money, name: 'Other' }] })).toThrow('repeats');
  });
});

describe('a text that cannot be read is CORRUPT_RECORD', () => {
  test.each([
    [''],
    ['='],
    ['{"a":'],
    ['~'],
    ['~['],
    ['~{"$Nope":1}'],
    ['~{"$Function":"alert(1)"}'],
    ['~{"$constructor":1}'],
    ['~{"$__proto__":1}'],
    ['~{"$Map":5}'],
    ['~{"$Map":[1]}'],
    ['~{"$":"1.5n"}'],
    ['~[{"$hole":-1}]'],
    ['~{"$RegExp":["(",""]}'],
    ['~{"$URL":"no"}'],
    ['~{"$Error":1}'],
    ['~{"$Error":["Error","E"]}'],
    ['~{"$Error":["Function","E",{},{}]}'],
    ['~{"$Class":["Money",1]}'],
    [undefined],
    [{}],
  ])('%p', (text) => {
    expect(() => codec.decode(text as string)).toThrow(
      expect.objectContaining({ name: 'StoreError', code: 'CORRUPT_RECORD' }),
    );
  });
});
