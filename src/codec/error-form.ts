import { classNames, quote } from '../values/kinds.js';
import { remember } from '../values/remember.js';
import type { Walk } from '../values/write.js';

type Members = Record<string, unknown>;
type ErrorClass = new (...args: unknown[]) => Error;

/** Every class that an error is made of again: a record names no other. */
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
/** What an error holds although Object.keys does not show it. */
const HIDDEN = ['message', 'name', 'code', 'cause', 'errors'];
/** On the errors of this library; kept, so that its guard knows them after a replay. */
const BRAND = Symbol.for('twiceshy.error');

/** What is kept of an error beside its plain members. */
export interface ErrorRules {
  /** The names of members that are kept whole. */
  readonly keep: readonly string[];
  /** Whether a class codec says how this object is kept. */
  readonly hasCodec: (value: object) => boolean;
}

/**
 * The texts of an error: its nearest builtin class, its own class, the hidden members, the enumerable ones, and
 * whether it is of this library. The stack is left out: it is long, and tells of paths on another machine.
 *
 * Clients hang on their errors what was sent and received: requests with an authorization header, answers with cookies. So
 * only strings, numbers, booleans and other values without members are kept, and errors (the cause, the `errors` of an
 * AggregateError) by the same rule; objects only where the rules say so.
 */
export function writeError(error: object, names: readonly string[], walk: Walk, rules: ErrorRules): string[] {
  const base = names.find((name) => BUILTINS.has(name)) ?? 'Error';
  const fields = Object.keys(error).filter((key) => key !== 'stack');
  // Own or not: custom classes often answer `code` and `name` from a getter.
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
    const kept = walk.within(key, () => keptOf(key, error[key], rules));
    if (!kept) walk.drop(key);
    else texts.push(`${quote(key)}:${walk.within(key, () => textOf(kept, walk, rules))}`);
  }
  return `{${texts.join()}}`;
}

/** A member as it is kept: whole, or the elements of a list that are. */
type Kept = { readonly value: unknown } | { readonly elements: readonly unknown[] };

function keptOf(key: string, value: unknown, rules: ErrorRules): Kept | undefined {
  if (rules.keep.includes(key) || isKept(value, rules)) return { value };
  return key === 'errors' && Array.isArray(value) ? { elements: value } : undefined;
}

function isKept(value: unknown, { hasCodec }: ErrorRules): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') return false;
  return typeof value !== 'object' || !value || classNames(value).includes('Error') || hasCodec(value);
}

function textOf(kept: Kept, walk: Walk, rules: ErrorRules): string {
  if ('value' in kept) return walk.text(kept.value);
  const texts: string[] = [];
  for (const [index, element] of kept.elements.entries()) {
    if (isKept(element, rules)) texts.push(walk.within(index, () => walk.text(element)));
    else walk.drop(index);
  }
  return `[${texts.join()}]`;
}

/** An error from what {@link writeError} wrote; its members are yet to be revived. */
export function makeError(
  [base, name, hidden, fields, branded]: [string, string, Members, Members, true?],
  revive: (members: Members) => Members,
): Error {
  // Without arguments an AggregateError throws; to the others an empty list is an empty message.
  const error = new (classOf(base, name))([]);
  define(error, revive(hidden), false);
  define(error, revive(fields), true);
  define(error, { stack: `${String(error)}\n    (recorded earlier, without its stack)` }, false);
  if (branded) Object.defineProperty(error, BRAND, { value: true });
  return error;
}

/** Defined, not assigned: no setter is called, and `__proto__` is a member like any other. */
function define(target: object, members: Members, enumerable: boolean): void {
  for (const [key, value] of Object.entries(members)) {
    Object.defineProperty(target, key, { value, enumerable, writable: true, configurable: true });
  }
}

const classes = new Map<string, ErrorClass>();

/** The built-in class, or a subclass of it that bears the original's name: error reports print that. */
function classOf(base: string, name: string): ErrorClass {
  const Base = BUILTINS.get(base);
  if (!Base) throw new Error(`unknown kind ${base}`);
  if (name === base) return Base;
  return remember(classes, `${base} ${name}`, () => ({ [name]: class extends Base {} })[name]!);
}
