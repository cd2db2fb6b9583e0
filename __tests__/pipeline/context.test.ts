import { describe, expect, test } from '@jest/globals';
import { Context } from '../../src/pipeline/index.js';

describe('Context', () => {
  test('is a map: get, set, has, delete, keys, toObject, merge', () => {
    const context = Context.from<{ a: number; b?: number; c?: number | undefined }>({ a: 1 });
    context.set('b', 2).merge({ c: undefined });

    expect(context.get('a')).toBe(1);
    expect([context.has('c'), context.has('d')]).toEqual([true, false]);
    expect(context.keys()).toEqual(['a', 'b', 'c']);
    expect(context.delete('a')).toBe(true);
    expect(context.toObject()).toEqual({ b: 2, c: undefined });
  });

  test('toObject() is a copy, and so is what it was made from', () => {
    const input = { a: 1 };
    const context = Context.from(input);
    context.toObject().a = 2;
    input.a = 3;

    expect(context.get('a')).toBe(1);
  });

  test('its members are properties too', () => {
    const context = Context.from<Record<string, unknown>>({ a: 1 });
    context.b = 2;

    expect(context.a).toBe(1);
    expect(context.get('b')).toBe(2);
    expect('b' in context).toBe(true);
    expect({ ...context }).toEqual({ a: 1, b: 2 });
    delete context.b;
    expect(context.has('b')).toBe(false);
  });

  test('a method cannot be overwritten by a property, and a member of its name is reached by get', () => {
    const context = Context.from<Record<string, unknown>>({ get: 'a member' });

    expect(() => {
      context.set = 1 as never;
    }).toThrow(TypeError);
    expect(context.get('get')).toBe('a member');
  });

  test('is no promise, and keeps __proto__ as a plain member', async () => {
    const context = Context.from<Record<string, unknown>>(JSON.parse('{"__proto__":1}') as object);

    expect(await Promise.resolve(context)).toBe(context);
    expect(context.keys()).toEqual(['__proto__']);
    expect(context).toBeInstanceOf(Context);
  });
});
