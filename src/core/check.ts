/**
 * Checks of what users give, for adapters and stores: what one value may be, and what a whole options object may hold.
 * Everything here throws UsageError INVALID_OPTIONS, before anything is run.
 */
import { isIdempotencyError, UsageError } from './errors.js';

/** Longer delays overflow in timers, which then fire at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365 * DAY_MS;
const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
};

export const invalid = (message: string, options?: ErrorOptions): UsageError =>
  new UsageError('INVALID_OPTIONS', message, options);

/** A text without what stands before the last `@` of a URL, however it is written: a user name and a password. */
function withoutCredentials(text: string): string {
  return text.replace(/(\b[a-z][a-z\d+.-]*:\/*)[^]*@/i, '$1***@');
}

/** Text for any value in a message, also for one that throws when it is printed, or whose text has no end. */
export function show(value: unknown): string {
  try {
    if (Array.isArray(value)) return `an array of ${value.length}`;
    return typeof value === 'string' ? JSON.stringify(withoutCredentials(value)) : String(value);
  } catch {
    return typeof value;
  }
}

/** What an error says, or else what was thrown in its place. */
export function errorMessage(error: unknown): string {
  if (!(error instanceof Error)) return show(error);
  // A refused connection to a name with several addresses is an AggregateError without a message.
  const inner = (error as { errors?: unknown[] }).errors?.[0];
  return error.message || (inner instanceof Error ? inner.message : error.name);
}

/** The value. A promise in its place is refused where it is read; should it reject before, that must not end the process. */
export function ignoreRejection<V>(value: V): V {
  try {
    if (value instanceof Promise) value.catch(() => undefined);
  } catch {
    // A proxy that throws when it is looked at: no promise, and refused where it is read.
  }
  return value;
}

/**
 * A duration in whole milliseconds.
 * @param unitMs what a plain number counts
 * @throws UsageError INVALID_OPTIONS for anything below 1 ms or over a year
 */
export function parseDuration(option: string, value: unknown, unitMs = 1): number {
  const ms = typeof value === 'number' ? value * unitMs : typeof value === 'string' ? parseText(value) : NaN;
  if (ms >= 1 && ms <= YEAR_MS) return Math.round(ms);
  const unit = unitMs === 1 ? 'milliseconds' : 'seconds';
  throw invalid(
    `${option} is ${show(value)}: give ${unit} as a positive number, or text such as "24h", from 1 ms to a year`,
  );
}

function parseText(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text.trim());
  return match ? Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? NaN) : NaN;
}

/** Milliseconds as a plain number, such as a timer takes. */
export function parseMs(option: string, value: unknown, least = 1, most = LONGEST_TIMER_MS): number {
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw invalid(`${option} is ${show(value)}: give milliseconds as a number, from ${least} to ${most}`);
}

function parseChoice<T extends string>(option: string, value: unknown, choices: readonly T[]): T {
  for (const choice of choices) if (choice === value) return choice;
  throw invalid(`${option} is ${show(value)}: it is one of ${choices.map((c) => `"${c}"`).join(', ')}`);
}

export function parseCount(option: string, value: unknown, least = 1): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
  throw invalid(`${option} is ${show(value)}: it is a whole number of at least ${least}`);
}

/** One option of an adapter or a store. Its name, type, sentence and default stand in the TSDoc of its options interface. */
export interface Option {
  /**
   * The value as the code uses it: a duration becomes milliseconds, say.
   * @throws UsageError
   */
  readonly check: (value: unknown, option: string) => unknown;
  /** Absence is refused, in the words of `check`. */
  readonly isRequired?: true;
  /** Undefined is refused where the option is present: what depends on it would silently be shared by more callers. */
  readonly refusesUndefined?: 'INVALID_OPTIONS' | 'INVALID_KEY';
  /** What is to be said about a value that is allowed, and probably not meant so. */
  readonly suspect?: (value: unknown) => string | undefined;
}

/** The options of an interface, each once: TypeScript refuses a table that lacks one, or has one too many. */
export type OptionTable<Options> = { readonly [Name in keyof Options]-?: Option };

export const DURATION: Option = { check: (value, option) => parseDuration(option, value) };
export const TIMER: Option = { check: (value, option) => parseMs(option, value) };
export const COUNT: Option = { check: (value, option) => parseCount(option, value) };
export const BOOLEAN: Option = { check: ofType('boolean', 'true or false') };
export const FUNCTION: Option = { check: ofType('function', 'a function') };
export const TEXT: Option = {
  check: (value, option) => {
    if (typeof value === 'string' && value !== '') return value;
    throw invalid(`${option} is ${show(value)}: give a text that is not empty`);
  },
};
export const OBJECT: Option = {
  check: (value, option) => {
    if (typeof value === 'object' && value !== null) return value;
    throw invalid(`${option} is ${show(value)}: give an object`);
  },
};
/** For what is checked elsewhere, such as the parts of an address. */
export const ANY: Option = { check: (value) => value };
export const choice = (...choices: readonly string[]): Option => ({
  check: (value, option) => parseChoice(option, value, choices),
});

function ofType(type: 'boolean' | 'function', words: string): Option['check'] {
  return (value, option) => {
    if (typeof value === type) return value;
    throw invalid(`${option} is ${show(value)}: give ${words}`);
  };
}

/**
 * An options object, checked by its table and read once, so that a getter or a Proxy can't answer differently later. What is
 * not given is not a member of the result.
 * @param where whose options these are, for messages
 * @param note is told what is allowed and probably not meant so
 * @throws UsageError INVALID_OPTIONS, INVALID_KEY
 */
export function readOptions<Options extends object>(
  where: string,
  table: OptionTable<Options>,
  given: Options,
  note?: (message: string) => void,
): Options {
  requireObject(where, given);
  const read = bare<{ [name: string]: unknown }>({});
  let reading = 'the names of its options';
  try {
    for (const name of Object.keys(given))
      if (!Object.hasOwn(table, name)) throw unknownName(where, name, table);
    for (const name of Object.keys(table) as (keyof Options & string)[]) {
      reading = name;
      const isPresent = isGiven(name, given);
      const { check, isRequired, refusesUndefined, suspect } = table[name];
      if (!isPresent && !isRequired) continue;
      const value: unknown = ignoreRejection(given[name]);
      if (value === undefined && refusesUndefined) throw missing(refusesUndefined, name, 'is undefined');
      if (value === undefined && !isRequired) continue;
      read[name] = check(value, name);
      const concern = suspect?.(value);
      if (concern) note?.(concern);
    }
  } catch (cause) {
    // Getters and Proxies run code of the user's.
    if (isIdempotencyError(cause)) throw cause;
    throw invalid(`${where}: reading ${reading} threw: ${errorMessage(cause)}`, { cause });
  }
  return read as Options;
}

/**
 * A copy that has its own members only: a member that other code put on Object.prototype must not become an option, such as a
 * `skip` that switches the protection off.
 */
export const bare = <Options extends object>(options: Options): Options =>
  Object.assign(Object.create(null) as Options, options);

/** Also a member of a class, which has its getters in its prototype; but nothing that every object has. */
function isGiven(name: string, given: object): boolean {
  if (!(name in given)) return false;
  if (!(name in Object.prototype)) return true;
  for (let at: object | null = given; at && at !== Object.prototype; at = Reflect.getPrototypeOf(at))
    if (Object.hasOwn(at, name)) return true;
  return false;
}

/**
 * Refuses names that nobody reads: a misspelled one would silently mean its default.
 * @throws UsageError INVALID_OPTIONS
 */
export function checkNames(where: string, given: unknown, table: object): void {
  requireObject(where, given);
  for (const name of Object.keys(given as object))
    if (!Object.hasOwn(table, name)) throw unknownName(where, name, table);
}

function requireObject(where: string, given: unknown): void {
  if (typeof given !== 'object' || given === null) {
    throw invalid(`${where} takes an options object, not ${show(given)}`);
  }
}

const unknownName = (where: string, name: string, table: object): UsageError =>
  invalid(`${where} has no option ${show(name)}; it has ${Object.keys(table).join(', ')}`);

const missing = (code: 'INVALID_OPTIONS' | 'INVALID_KEY', option: string, fault: string): UsageError =>
  new UsageError(
    code,
    `${option} ${fault}: what it was to be made of is missing; leave the option out if none is meant`,
  );

/**
 * What a function of the user's gave in the place of `scope` or `payload`. Nothing is an error: callers would be mixed that
 * were to be kept apart.
 * @throws UsageError INVALID_OPTIONS
 */
export function something<T>(option: string, value: T): NonNullable<T> {
  ignoreRejection(value);
  if (!isNothing(value)) return value as NonNullable<T>;
  throw missing('INVALID_OPTIONS', option, `came to ${value === '' ? 'an empty text' : show(value)}`);
}

export const isNothing = (value: unknown): boolean => value === undefined || value === null || value === '';

/** What happens to an option of an instance or a store in an adapter that is made from it. */
export type Inheritance =
  /** It is the default: the adapter may be given its own. */
  | 'inherited'
  /** Both apply: the own option of the adapter narrows the outer one. */
  | 'combined'
  /** It applies, and the adapter takes no option of that name. */
  | 'kept'
  /** It is ignored: the adapter always has its own. */
  | 'replaced'
  /** It means something else in the adapter: INVALID_OPTIONS, unless the adapter is given its own. */
  | 'refused';

/** What becomes of each: TypeScript refuses a table that lacks one. */
export type InheritanceTable<Outer> = { readonly [Name in keyof Outer]-?: Inheritance };

/**
 * The options of an adapter, with those of what it was made from as defaults.
 * @throws UsageError INVALID_OPTIONS for one that does not fit the adapter
 */
export function inherit<Outer extends object, Inner extends object>(
  where: string,
  table: InheritanceTable<Outer>,
  outer: Outer,
  inner: Inner,
): Inner {
  const merged = bare(inner);
  for (const name of Object.keys(outer) as (keyof Outer & string)[]) {
    if (Object.hasOwn(inner, name)) continue;
    if (table[name] === 'inherited') Object.assign(merged, { [name]: outer[name] });
    if (table[name] === 'refused') {
      throw invalid(
        `${where} can't use the ${name} of its idempotency, which means something else there: give ${where} its own ${name}`,
      );
    }
  }
  return merged;
}
