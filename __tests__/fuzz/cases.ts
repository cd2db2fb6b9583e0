import { afterAll, beforeAll, expect } from '@jest/globals';
import fc from 'fast-check';
import { ERROR_CODES } from '../../src/core/errors.js';

const isLong = process.env['TWICESHY_FAULTS'] === 'long';
/** Far longer than any case takes, on a loaded machine as well. */
const HANG_MS = 30_000;
export const TEST_MS = isLong ? 900_000 : 120_000;

let total = 0;

/** Runs a property: `few` cases in `npm test`, `many` with TWICESHY_FAULTS=long. A failure prints its seed. */
export async function forAll<T>(
  cases: { few: number; many: number },
  arbitrary: fc.Arbitrary<T>,
  holds: (value: T) => Promise<void> | void,
): Promise<void> {
  const numRuns = isLong ? cases.many : cases.few;
  const property = fc.asyncProperty(arbitrary, async (value) => {
    total++;
    await within(HANG_MS, async () => holds(value));
  });
  await fc.assert(property, { numRuns });
}

async function within(ms: number, run: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const startedMs = performance.now();
  const hung = new Error(`the case hung for ${ms} ms`);
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(hung), ms);
  });
  try {
    await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
  // One that blocked the event loop let no timer fire.
  if (performance.now() - startedMs > ms) throw hung;
}

/** How a call ended. */
export type End = { readonly value: unknown } | { readonly error: unknown };

export async function endOf(call: () => unknown): Promise<End> {
  try {
    return { value: await call() };
  } catch (error) {
    return { error };
  }
}

/**
 * A rejection is one of ours, with one of its codes; or what a function of the user's threw: the work, or an option.
 */
export function expectCoded(end: End, given?: { thrown: unknown } | { options: unknown }): void {
  if (!('error' in end)) return;
  if (given && 'thrown' in given && Object.is(end.error, given.thrown)) return;
  if (given && 'options' in given && hasFunction(given.options)) return;
  const { code } = Object(end.error) as { code?: unknown };
  if (typeof code === 'string' && Object.hasOwn(ERROR_CODES, code)) return;
  throw new Error('an error without a code of ours', { cause: end.error });
}

function hasFunction(options: unknown): boolean {
  return Object.values(Object(options) as object).some((value) => typeof value === 'function');
}

const BUILTINS: readonly object[] = [
  Object.prototype,
  Array.prototype,
  Function.prototype,
  String.prototype,
  Error.prototype,
  Map.prototype,
  Promise.prototype,
];
const members = (): string[][] => BUILTINS.map((each) => Reflect.ownKeys(each).map(String).sort());

/** Fails the file when a prototype is not what it was, and says how many cases were tried. */
export function watchPrototypes(what: string): void {
  let before: string[][];
  beforeAll(() => {
    before = members();
  });
  afterAll(() => {
    expect(members()).toEqual(before);
    if (isLong) process.stderr.write(`fuzz: ${what}: ${total} cases\n`);
  });
}
