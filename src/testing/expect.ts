import { AssertionError } from 'node:assert';

/**
 * The assertions of the contract. Those of `node:assert` do not work: jest runs test files in their own realm, and a store that
 * copies records (`structuredClone`, `node:v8`) returns objects of another realm, which `deepStrictEqual` refuses because of
 * their prototypes. A member that is undefined equals one that is missing.
 */
export function equal(actual: unknown, expected: unknown, what = 'the answer'): void {
  if (!isEqual(actual, expected)) fail(what, actual, expected, 'deepStrictEqual');
}

/** Checks that `actual` has the members of `expected`. It may have others. */
export function matches(actual: object | undefined, expected: object, what = 'the record'): void {
  const members = new Map(Object.entries(actual ?? {}));
  const picked = actual && Object.fromEntries(Object.keys(expected).map((name) => [name, members.get(name)]));
  equal(picked, expected, what);
}

export function greater(actual: unknown, bound: number, what = 'the number'): void {
  if (!(typeof actual === 'number' && actual > bound))
    fail(`${what}, which must be above`, actual, bound, '>');
}

/** Checks that a promise rejects with an error with that code. */
export async function rejects(promise: Promise<unknown>, code: string, what: string): Promise<void> {
  const thrown: unknown = await promise.then(
    (value) => ({ answered: value }),
    (error: unknown) => error,
  );
  const found = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : thrown;
  equal(found, code, `the error of ${what}`);
}

function fail(what: string, actual: unknown, expected: unknown, operator: string): never {
  const message = `${what}: ${print(actual)} instead of ${print(expected)}`;
  throw new AssertionError({ message, actual, expected, operator, stackStartFn: equal });
}

function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [new Map(Object.entries(a)), new Map(Object.entries(b))];
  const names = new Set([...left.keys(), ...right.keys()]);
  return [...names].every((name) => isEqual(left.get(name), right.get(name)));
}

const LONGEST_PRINT = 300;

/** A value as text, shortened to fit into a message. */
function print(value: unknown): string {
  const text =
    JSON.stringify(value, (_, member: unknown) => (member === undefined ? null : member)) ?? 'undefined';
  return text.length <= LONGEST_PRINT
    ? text
    : `${text.slice(0, LONGEST_PRINT)}... (${text.length} characters)`;
}
