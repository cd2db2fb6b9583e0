import { quote } from '../values/kinds.js';
import { remember } from '../values/remember.js';
import type { Walk } from '../values/write.js';

type Members = Record<string, unknown>;
type ErrorClass = new (...args: unknown[]) => Error;

const BUILTIN = /^((Aggregate|Eval|Range|Reference|Syntax|Type|URI)?Error|DOMException)$/;
/** What an error holds although Object.keys does not show it. */
const HIDDEN = ['message', 'name', 'code', 'cause', 'errors'];
/** On the errors of this library; kept, so that its guard knows them after a replay. */
const BRAND = Symbol.for('twiceshy.error');

/**
 * The texts of an error: its nearest builtin class, its own class, the hidden members, the enumerable ones, and
 * whether it is of this library. The stack is left out: it is long, and tells of paths on another machine.
 */
export function writeError(error: object, names: readonly string[], walk: Walk): string[] {
  const base = names.find((name) => BUILTIN.test(name)) ?? 'Error';
  const fields = walk.keys(error).filter((key) => key !== 'stack');
  // Own or not: custom classes often answer `code` and `name` from a getter.
  const holds = (key: string) =>
    Object.hasOwn(error, key) || (error as Members)[key] !== (key === 'name' ? base : undefined);
  const hidden = HIDDEN.filter((key) => !fields.includes(key) && holds(key));
  const texts = [base, names[0] || base].map(quote);
  texts.push(walk.members(error, hidden), walk.members(error, fields));
  if (BRAND in error) texts.push('true');
  return texts;
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
  if (!BUILTIN.test(base)) throw new Error(`unknown kind ${base}`);
  const Base = (globalThis as unknown as Record<string, ErrorClass>)[base]!;
  if (name === base) return Base;
  return remember(classes, `${base} ${name}`, () => ({ [name]: class extends Base {} })[name]!);
}
