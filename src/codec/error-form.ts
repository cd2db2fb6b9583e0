import { classNames, quote } from '../values/kinds.js';
import { memoize } from '../values/memoize.js';
import type { Walk } from '../values/write.js';

type Members = Record<string, unknown>;
type ErrorClass = new (...args: unknown[]) => Error;

/** The classes that errors are restored to. A record can't name any other class. */
const BUILTINS = new Map(
  Object.entries<unknown>({
    Error,
    AggregateError,
    EvalError,
    RangeError,
    ReferenceError,
    SyntaxError,
    TypeError,
    URIError,
    DOMException,
  }) as [string, ErrorClass][],
);
/** Members of errors that Object.keys does not list. */
const HIDDEN = ['message', 'name', 'code', 'cause', 'errors'];
/** Set on this library's errors. It is recorded, so that `isIdempotencyError` recognises a replayed one. */
const BRAND = Symbol.for('twiceshy.error');

/** What is recorded of an error besides its plain members. */
export interface ErrorRules {
  /** The names of members that are recorded whole. */
  readonly keep: readonly string[];
  /** Whether a class codec is registered for this object. */
  readonly hasCodec: (value: object) => boolean;
}

/**
 * The texts of an error: its nearest builtin class, its own class, the hidden members, the enumerable ones, and whether it is
 * an error of this library. The stack is left out: it is long, and shows paths of another machine.
 *
 * HTTP clients attach requests (with an authorization header) and responses (with cookies) to their errors. So only values
 * without members are recorded (strings, numbers, booleans), and nested errors by the same rule (the cause, the `errors` of an
 * AggregateError). Objects are recorded only where the rules say so.
 */
export function writeError(error: object, names: readonly string[], walk: Walk, rules: ErrorRules): string[] {
  const base = names.find((name) => BUILTINS.has(name)) ?? 'Error';
  const fields = Object.keys(error).filter((key) => key !== 'stack');
  // Own or inherited: custom classes often define `code` and `name` as getters.
  const holds = (key: string) =>
    Object.hasOwn(error, key) || (error as Members)[key] !== (key === 'name' ? base : undefined);
  const hidden = HIDDEN.filter((key) => !fields.includes(key) && holds(key));
  const texts = [base, names[0] || base].map(quote);
  for (const keys of [hidden, fields]) texts.push(writeMembers(error as Members, keys, walk, rules));
  if (BRAND in error) texts.push('true');
  return texts;
}

function writeMembers(error: Members, keys: readonly string[], walk: Walk, rules: ErrorRules): string {
  const texts: string[] = [];
  for (const key of keys) {
    const kept = walk.within(key, () => keptMember(key, error[key], rules));
    if (!kept) walk.drop(key);
    else texts.push(`${quote(key)}:${walk.within(key, () => writeKept(kept, walk, rules))}`);
  }
  return `{${texts.join()}}`;
}

/** What is recorded of a member: the whole value, or the elements of a list that may be recorded. */
type Kept = { readonly value: unknown } | { readonly elements: readonly unknown[] };

function keptMember(key: string, value: unknown, rules: ErrorRules): Kept | undefined {
  if (rules.keep.includes(key) || isKept(value, rules)) return { value };
  return key === 'errors' && Array.isArray(value) ? { elements: value } : undefined;
}

function isKept(value: unknown, { hasCodec }: ErrorRules): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') return false;
  return typeof value !== 'object' || !value || classNames(value).includes('Error') || hasCodec(value);
}

function writeKept(kept: Kept, walk: Walk, rules: ErrorRules): string {
  if ('value' in kept) return walk.text(kept.value);
  const texts: string[] = [];
  for (const [index, element] of kept.elements.entries()) {
    if (isKept(element, rules)) texts.push(walk.within(index, () => walk.text(element)));
    else walk.drop(index);
  }
  return `[${texts.join()}]`;
}

/** An error from what {@link writeError} wrote. `revive` restores its members. */
export function makeError(
  [base, name, hidden, fields, branded]: [string, string, Members, Members, true?],
  revive: (members: Members) => Members,
): Error {
  // AggregateError needs a list as its first argument; for the other classes an empty list is an empty message.
  const error = new (errorClass(base, name))([]);
  define(error, revive(hidden), false);
  define(error, revive(fields), true);
  define(error, { stack: `${String(error)}\n    (recorded earlier, without its stack)` }, false);
  if (branded) Object.defineProperty(error, BRAND, { value: true });
  return error;
}

/** Defines and does not assign, so that no setter is called and `__proto__` becomes an ordinary member. */
function define(target: object, members: Members, enumerable: boolean): void {
  for (const [key, value] of Object.entries(members)) {
    Object.defineProperty(target, key, { value, enumerable, writable: true, configurable: true });
  }
}

const classes = new Map<string, ErrorClass>();

/** The builtin class, or a subclass of it with the original's name, since error reports print that name. */
function errorClass(base: string, name: string): ErrorClass {
  const Base = BUILTINS.get(base);
  if (!Base) throw new Error(`unknown kind ${base}`);
  if (name === base) return Base;
  return memoize(classes, `${base} ${name}`, () => ({ [name]: class extends Base {} })[name]!);
}
