import { describe, expect, test } from '@jest/globals';
import { createCodec, encodeFailure, type CodecOptions } from '../../src/codec/index.js';
import { classCodec } from '../../src/index.js';

/** What clients such as got, axios and ky hang on their errors. */
function providerError(): Error {
  const inner = Object.assign(new Error('inner'), {
    code: 'E_INNER',
    config: { auth: { password: 'SECRET3' } },
  });
  return Object.assign(new TypeError('502 from the provider', { cause: inner }), {
    code: 'ERR_NON_2XX',
    status: 502,
    retriable: true,
    decline_code: 'do_not_honor',
    options: { headers: { authorization: 'SECRET1' } },
    response: { headers: { 'set-cookie': ['SECRET2'] } },
    raw: ['SECRET4'],
    toJSON: () => 'SECRET5',
  });
}

function recorded(error: unknown, options?: CodecOptions) {
  const codec = createCodec(options);
  const dropped: string[] = [];
  const text = encodeFailure(codec, error, (path) => dropped.push(path));
  return { text, dropped, back: codec.decode(text) as Error & Record<string, unknown> };
}

describe('errors at rest: what clients keep on their errors is not recorded', () => {
  test('name, message, code and plain members are, of causes too; objects are left out and named by path', () => {
    const { text, back, dropped } = recorded(providerError());
    expect(text).not.toContain('SECRET');
    expect(back).toBeInstanceOf(TypeError);
    expect(back).toMatchObject({
      message: '502 from the provider',
      code: 'ERR_NON_2XX',
      status: 502,
      retriable: true,
      decline_code: 'do_not_honor',
    });
    expect(back.cause).toMatchObject({ message: 'inner', code: 'E_INNER' });
    expect(dropped).toEqual([
      'value.cause.config',
      'value.options',
      'value.response',
      'value.raw',
      'value.toJSON',
    ]);
  });

  test('the errors of an AggregateError are kept by the same rule, and nothing else of that list', () => {
    const { text, back, dropped } = recorded(
      new AggregateError([providerError(), { token: 'SECRET6' }, 'plain'], 'all'),
    );
    expect(text).not.toContain('SECRET');
    const { errors } = back as unknown as AggregateError;
    expect(errors).toEqual([expect.objectContaining({ message: '502 from the provider' }), 'plain']);
    expect(dropped).toContain('value.errors[0].cause.config');
    expect(dropped).toContain('value.errors[1]');
  });

  test('an error inside a result, a Map or another error is kept by the same rule', () => {
    const codec = createCodec();
    const dropped: string[] = [];
    const value = { results: new Map([['a', { status: 'rejected', reason: providerError() }]]) };
    const text = codec.encode(value, (path) => dropped.push(path));
    expect(text).not.toContain('SECRET');
    expect(dropped).toContain('value.results.values()[0].reason.options');
    const wrapped = recorded(Object.assign(new Error('outer'), { original: providerError() }));
    expect(wrapped.text).not.toContain('SECRET');
    expect(wrapped.back['original']).toMatchObject({ code: 'ERR_NON_2XX' });
  });

  test('a cause that is no error is left out, unless it has no members', () => {
    expect(recorded(new Error('x', { cause: { token: 'SECRET' } }))).toMatchObject({
      dropped: ['value.cause'],
    });
    expect(recorded(new Error('x', { cause: 'timeout' })).back.cause).toBe('timeout');
  });

  test('an enumerable symbol is left out, and the rest of the error is not', () => {
    const { back } = recorded(Object.assign(new Error('x'), { code: 7, [Symbol('undici')]: true }));
    expect(back).toMatchObject({ message: 'x', code: 7 });
  });

  test('errors.keep names members that are kept whole', () => {
    const { back, dropped } = recorded(providerError(), { errors: { keep: ['response', 'config'] } });
    expect(back['response']).toEqual({ headers: { 'set-cookie': ['SECRET2'] } });
    expect(back.cause).toMatchObject({ config: { auth: { password: 'SECRET3' } } });
    expect(dropped).not.toContain('value.response');
  });

  test('a class codec says itself what is kept, of an error and of a member', () => {
    class Money {
      constructor(readonly cents: number) {}
    }
    class Declined extends Error {
      constructor(readonly detail: object) {
        super('declined');
      }
    }
    const money = classCodec({
      name: 'Money',
      type: Money,
      encode: ({ cents }) => cents,
      decode: (cents) => new Money(cents as number),
    });
    const declined = classCodec({
      name: 'Declined',
      type: Declined,
      encode: ({ detail }) => detail,
      decode: (detail) => new Declined(detail as object),
    });
    const back = recorded(Object.assign(new Error('x'), { amount: new Money(5) }), { classes: [money] }).back;
    expect(back['amount']).toEqual(new Money(5));
    const own = recorded(new Declined({ reason: { code: 5 } }), { classes: [declined] }).back;
    expect(own).toBeInstanceOf(Declined);
    expect(own['detail']).toEqual({ reason: { code: 5 } });
  });

  test('what is replayed of a replay is the same: nothing more is lost', () => {
    const first = recorded(providerError());
    expect(recorded(first.back)).toMatchObject({ text: first.text, dropped: [] });
  });

  test.each<[unknown]>([
    [null],
    [5],
    [{ keep: 'response' }],
    [{ keep: [5] }],
    [{ keep: [''] }],
    [{ kept: [] }],
  ])('errors: %p is INVALID_OPTIONS', (errors) => {
    expect(() => createCodec({ errors: errors as never })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    );
  });

  test.each<[unknown]>([[null], [5], ['x'], [{}], [Promise.resolve()]])(
    'redact: %p is INVALID_OPTIONS',
    (redact) => {
      expect(() => createCodec({ redact: redact as never })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTIONS' }),
      );
    },
  );
});

describe('a record names no class but those of a fixed list', () => {
  test.each(['Evil9Array', 'constructor9Array', 'EvilError'])('%s, whoever made it global', (name) => {
    let made = 0;
    const evil = class {
      constructor() {
        made++;
      }
    };
    Object.defineProperty(globalThis, name, { value: evil, configurable: true });
    try {
      const codec = createCodec();
      expect(() => codec.decode(`~{"$${name}":"AAAA"}`)).toThrow(`unknown kind ${name}`);
      expect(() => codec.decode(`~{"$Error":["${name}","x",{},{}]}`)).toThrow(`unknown kind ${name}`);
      expect(made).toBe(0);
    } finally {
      Reflect.deleteProperty(globalThis, name);
    }
  });
});
