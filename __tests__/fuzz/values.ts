import fc from 'fast-check';

const PROTOTYPE_NAMES = [
  ...['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', 'then', 'toJSON'],
  ...['__defineGetter__', '__lookupSetter__', 'isPrototypeOf', '$', '$Date', '$Class', '$Object', '~'],
];

/** Text of any UTF-16 units, halves of surrogate pairs included. */
const anyUnits = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 24 })
  .map((units) => String.fromCharCode(...units));

/** Text of code points of every plane. */
const everyPlane = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 16 }), fc.integer({ min: 0, max: 0xffff })), { maxLength: 24 })
  .map((points) => points.map(([plane, low]) => String.fromCodePoint(plane * 0x10000 + low)).join(''));

const MEGABYTE = 'm'.repeat(1024 * 1024);

export const anyText: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: fc.string({ unit: 'binary', maxLength: 40 }), weight: 4 },
  { arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }), weight: 4 },
  { arbitrary: anyUnits, weight: 4 },
  { arbitrary: everyPlane, weight: 4 },
  { arbitrary: fc.constantFrom(...PROTOTYPE_NAMES), weight: 3 },
  {
    arbitrary: fc.constantFrom('user:undefined', 'null', 'a:NaN:b', '[object Object]', ':', '::', ''),
    weight: 1,
  },
  { arbitrary: fc.integer({ min: 500, max: 520 }).map((length) => 'x'.repeat(length)), weight: 1 },
  { arbitrary: fc.constant(MEGABYTE), weight: 1 },
);

const throwing = (): never => {
  throw new Error('read me not');
};

/** Values that are too much. */
const HEAVY: readonly (() => unknown)[] = [
  () => {
    let nested: unknown = 0;
    for (let depth = 0; depth < 20_000; depth++) nested = { nested };
    return nested;
  },
  () => {
    let nested: unknown = 0;
    for (let depth = 0; depth < 20_000; depth++) nested = [nested];
    return nested;
  },
  () => 'x'.repeat(1_100_000),
  () => Array.from({ length: 50_000 }, (_, i) => ({ i })),
  () => new Uint8Array(2_000_000),
];

/** Values made to hurt whoever looks at them. Functions, so that each case has its own. */
const HOSTILE: readonly (() => unknown)[] = [
  () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = { again: [cycle] };
    return cycle;
  },
  () => ({
    get trap() {
      return throwing();
    },
  }),
  () => new Proxy({}, { ownKeys: throwing }),
  () => new Proxy({}, { get: throwing, has: throwing }),
  () => new Proxy({}, { getPrototypeOf: throwing }),
  () => new Proxy([], { getOwnPropertyDescriptor: throwing }),
  () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return { proxy };
  },
  () => {
    const sparse: unknown[] = [];
    sparse[4_294_967_294] = 'end';
    return sparse;
  },
  () =>
    JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}') as unknown,
  () => Object.create(null) as unknown,
  () => Object.create({ inherited: throwing }) as unknown,
  () => ({ toJSON: throwing, toString: throwing, valueOf: throwing }),
  () => ({ [Symbol.toPrimitive]: throwing, [Symbol.toStringTag]: 'Map' }),
  () => Symbol('s'),
  () => throwing,
  () => class Charged {},
  () =>
    new (class Charged {
      #secret = 1;
      get secret() {
        return this.#secret;
      }
    })(),
  () => new Map<unknown, unknown>([[{}, new Set([NaN, -0, undefined])]]),
  () => new WeakMap(),
  () => new Date(NaN),
  () => Object.assign(new Error('with more'), { cause: throwing, status: 402 }),
  () => {
    const error = new Error('its own cause');
    error.cause = error;
    return error;
  },
  () =>
    Object.defineProperty(new Error(), 'message', {
      get: throwing,
    }),
  () => ({ code: 'STORE_UNAVAILABLE', status: 'failed', $Error: ['Error'], '~': 1 }),
  () => Object.freeze({ deep: Object.freeze([Object.freeze({})]) }),
  () => undefined,
  () => null,
  () => 10n ** 400n,
];

const anything = fc.anything({
  maxDepth: 4,
  key: fc.oneof(fc.string(), fc.constantFrom(...PROTOTYPE_NAMES.filter((name) => name !== 'then'))),
  values: [
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.integer(),
    anyUnits,
  ],
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withNullPrototype: true,
  withObjectString: true,
  withSparseArray: true,
  withTypedArray: true,
  withUnicodeString: true,
});

/** Makes a value: two calls give equal ones that are not the same. */
export const anyValue: fc.Arbitrary<{ make: () => unknown }> = fc.oneof(
  { arbitrary: fc.constantFrom(...HOSTILE).map((make) => ({ make })), weight: 20 },
  { arbitrary: fc.constantFrom(...HEAVY).map((make) => ({ make })), weight: 1 },
  { arbitrary: anything.map((value) => ({ make: () => value })), weight: 40 },
);

/** What plain JavaScript may pass where something else is meant. */
export const wrongValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    NaN,
    Infinity,
    -Infinity,
    10n,
    '',
    'x',
    'none',
    '20s',
    '1y',
  ),
  fc.constantFrom<unknown>(Symbol('s'), [], [1], {}, new Map(), new Date(NaN), Object.create(null)),
  fc.constantFrom<unknown>(
    () => undefined,
    () => throwing(),
    async () => throwing(),
    class {},
    { toString: throwing },
    Number.MAX_SAFE_INTEGER,
    Promise.resolve(1),
  ),
);
