import { describe, expect, test } from '@jest/globals';
import { createCodec, encodeFailure } from '../../src/codec/index.js';
import { isIdempotencyError, OutcomeError } from '../../src/core/errors.js';

const codec = createCodec();
const replay = (value: unknown) => codec.decode(codec.encode(value)) as Error & Record<string, unknown>;
const failed = (value: unknown) =>
  codec.decode(encodeFailure(codec, value)) as Error & Record<string, unknown>;

class CardError extends TypeError {
  readonly declined = true;
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CardDeclined';
  }
  get code() {
    return 'E_CARD';
  }
}

describe('G9: errors', () => {
  test.each([Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError])(
    '%p comes back as itself',
    (Class) => {
      const back = replay(new Class('no'));
      expect(back).toBeInstanceOf(Class);
      expect(back.constructor).toBe(Class);
      expect(back).toMatchObject({ message: 'no', name: Class.name });
      expect(Object.keys(back)).toEqual([]);
    },
  );

  test('a class of one’s own comes back under its name, as its nearest built-in class', () => {
    const back = replay(new CardError('no', { cause: new RangeError('limit') }));
    expect(back).toBeInstanceOf(TypeError);
    expect(back.constructor.name).toBe('CardError');
    expect(back).toMatchObject({ name: 'CardDeclined', message: 'no', code: 'E_CARD', declined: true });
    expect(back.cause).toBeInstanceOf(RangeError);
    expect(Object.keys(back).sort()).toEqual(['declined', 'name']);
    expect(replay(new CardError('b')).constructor).toBe(back.constructor);
  });

  test('cause, code, members and the errors of an AggregateError are kept, of any type', () => {
    const back = replay(
      Object.assign(new Error('x', { cause: undefined }), {
        code: 'ENOENT',
        status: 5,
        final: true,
        large: 1n,
      }),
    );
    expect(back).toMatchObject({ code: 'ENOENT', status: 5, final: true, large: 1n });
    expect(Object.hasOwn(back, 'cause')).toBe(true);
    expect(Object.hasOwn(replay(new Error('x')), 'cause')).toBe(false);
    const all = replay(new AggregateError([new TypeError('1'), 'two'], 'all')) as unknown as AggregateError;
    expect(all).toBeInstanceOf(AggregateError);
    expect(all.errors).toEqual([new TypeError('1'), 'two']);
    expect(Object.keys(all)).toEqual([]);
  });

  test('a DOMException is one again', () => {
    const back = replay(new DOMException('late', 'TimeoutError'));
    expect(back).toMatchObject({ name: 'TimeoutError', message: 'late', code: 23 });
    expect(Object.prototype.toString.call(back)).toBe('[object DOMException]');
  });

  test('the stack is not kept: it tells of paths', () => {
    const error = new Error('x');
    expect(codec.encode(error)).not.toContain('errors.test');
    expect(replay(error).stack).toBe('Error: x\n    (recorded earlier, without its stack)');
  });

  test('an error without a message, with getters for a name, and of a class without one', () => {
    class Bare extends Error {
      override get name() {
        return 'Named';
      }
    }
    const back = replay(new Bare());
    expect(back).toMatchObject({ name: 'Named', message: '' });
    expect(Object.keys(back)).toEqual([]);
    const nameless = replay(new (class extends RangeError {})('x'));
    expect(nameless).toBeInstanceOf(RangeError);
    expect(nameless.name).toBe('RangeError');
  });

  test('errors of this library are known as such after a replay, others are not', () => {
    const cause = new Error('x');
    const back = replay(new OutcomeError('LEASE_LOST', 'lost', { cause, result: 5 }));
    expect(isIdempotencyError(back, 'LEASE_LOST')).toBe(true);
    expect(back).toMatchObject({ name: 'OutcomeError', message: 'lost', result: 5 });
    expect(Object.keys(back).sort()).toEqual(['code', 'name', 'result']);
    expect(isIdempotencyError(back.cause)).toBe(false);
    expect(isIdempotencyError(replay(back), 'LEASE_LOST')).toBe(true);
  });

  test('class names from records are bounded, and name no class but an error', () => {
    for (let i = 0; i < 600; i++)
      expect(codec.decode(`~{"$Error":["Error","C${i}",{},{}]}`)).toBeInstanceOf(Error);
    expect(() => codec.decode('~{"$Error":["Function","alert(1)",{},{}]}')).toThrow('unknown kind');
  });
});

describe('a failure is always recorded', () => {
  test.each<[string, unknown]>([
    ['a string', 'no'],
    ['undefined', undefined],
    ['null', null],
    ['an object', { code: 1 }],
  ])('%s that was thrown is kept as it is', (_name, thrown) =>
    expect(codec.decode(encodeFailure(codec, thrown))).toEqual(thrown),
  );

  test('what cannot be kept of an error is left out, and only that', () => {
    const inner = Object.assign(new RangeError('inner'), { code: 7, socket: new WeakMap() });
    const error = Object.assign(new CardError('outer', { cause: inner }), {
      status: 402,
      request: { send() {} },
    });
    const back = failed(error);
    expect(back).toMatchObject({
      name: 'CardDeclined',
      message: 'outer',
      code: 'E_CARD',
      status: 402,
      declined: true,
    });
    expect(back.constructor.name).toBe('CardError');
    expect(back).not.toHaveProperty('request');
    expect(back.cause).toMatchObject({ message: 'inner', code: 7 });
    expect(back.cause).not.toHaveProperty('socket');
  });

  test('the errors of an AggregateError are reduced one by one', () => {
    const back = failed(
      new AggregateError([Object.assign(new Error('1'), { f() {} }), new Error('2')], 'all'),
    );
    expect((back as unknown as AggregateError).errors.map((error: Error) => error.message)).toEqual([
      '1',
      '2',
    ]);
  });

  const loop = Object.assign(new Error('loop'), { f() {} });
  loop.cause = loop;
  test.each<[string, unknown, string]>([
    ['a function', () => 1, 'is a function'],
    ['a symbol', Symbol('x'), 'is a symbol'],
    ['a class instance', new (class Order {})(), 'an instance of Order'],
    ['an error that is its own cause', loop, 'loop'],
    [
      'a message that throws',
      Object.defineProperty(new Error(), 'message', {
        get() {
          throw new Error('x');
        },
      }),
      "can't be read (x)",
    ],
    [
      'a hostile proxy',
      new Proxy(
        {},
        {
          getPrototypeOf() {
            throw new Error('x');
          },
        },
      ),
      '',
    ],
  ])('%s: an Error that describes it', (_name, thrown, message) => {
    expect(failed(thrown)).toBeInstanceOf(Error);
    expect(failed(thrown).message).toContain(message);
  });
});
