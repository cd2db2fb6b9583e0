import { UsageError } from './errors.js';
import { ABANDONED_RULES, type AbandonedRule } from './record.js';

/** Milliseconds as a number, or text such as `'500ms'`, `'20s'`, `'15m'`, `'24h'`, `'7d'`. */
export type Duration = number | string;

/** What becomes of an attempt that failed. */
export type FailureVerdict =
  /** Recorded as the answer: every duplicate gets this failure. */
  | 'final'
  /** Recorded for those who wait on it; the next call runs again. */
  | 'retryable'
  /** Nobody can say whether the effect happened: `onAbandoned` decides. */
  | 'unknown'
  /** Nothing happened: the record is again as the claim found it. */
  | 'release';

/**
 * Which failures are final. `'none'`: a failure is retryable under `onAbandoned: 'retry'` and unknown under
 * `'block'` or a reconcile function. `'all'`: every failure is final. A function decides for each one: `true` is
 * final, `false` leaves it to the default, a verdict says it all.
 */
export type Remember<Failure> = 'none' | 'all' | ((failure: Failure) => boolean | FailureVerdict);

/** The options that mean the same in every face. */
export interface CommonOptions {
  /** Retention of a settled record. @default '24h' */
  ttl?: Duration;
  /** Lease length; renewed at a third of it while the work runs. @default '20s' */
  lease?: Duration;
  /** The longest a lease is renewed. @default '15m' */
  maxHold?: Duration;
  /** The longest a duplicate waits; it never bounds the work. @default '30s' */
  waitTimeout?: Duration;
  /** What a duplicate does while the first one runs. @default 'wait' */
  concurrent?: 'wait' | 'reject';
  /** After this many attempts, an abandoned record is IN_DOUBT and a failed one stays. @default none */
  maxAttempts?: number;
  /** `throw` refuses the call when the store can't be asked; `run` runs it unprotected. @default 'throw' */
  onStoreError?: 'throw' | 'run';
  /** Deadline of one store call. @default '2s' */
  storeTimeout?: Duration;
  /** A larger encoded result is recorded without its value. @default 1048576 (1 MiB) */
  maxResultBytes?: number;
}

/** The common options, checked, in milliseconds. */
export interface RunPolicy {
  readonly ttlMs: number;
  readonly leaseMs: number;
  readonly maxHoldMs: number;
  readonly waitTimeoutMs: number;
  readonly concurrent: 'wait' | 'reject';
  readonly maxAttempts: number;
  readonly onStoreError: 'throw' | 'run';
  readonly storeTimeoutMs: number;
  readonly maxResultBytes: number;
}

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

/** Every default, once. */
const DEFAULT_POLICY: RunPolicy = {
  ttlMs: DAY_MS,
  leaseMs: 20 * SECOND_MS,
  maxHoldMs: 15 * MINUTE_MS,
  waitTimeoutMs: 30 * SECOND_MS,
  concurrent: 'wait',
  maxAttempts: Infinity,
  onStoreError: 'throw',
  storeTimeoutMs: 2 * SECOND_MS,
  maxResultBytes: 1024 * 1024,
};
/** Where `idempotent()` and `makeIdempotent()` differ. */
export const FUNCTION_POLICY: RunPolicy = { ...DEFAULT_POLICY, ttlMs: HOUR_MS };
export const DEFAULT_PREFIX = 'idempotency';
/** The operation, where none is named. */
export const DEFAULT_NAME = 'run';
/** A record whose outcome a person or a reconcile function must settle is kept this long. */
export const IN_DOUBT_RETENTION_MS = 30 * DAY_MS;
/** How long `close()` waits for running work and for results not yet recorded. */
export const CLOSE_TIMEOUT_MS = 10 * SECOND_MS;

const invalid = (message: string) => new UsageError('INVALID_OPTIONS', message);

/** A text without what stands before the last `@` of a URL, however it is written: a user name and a password. */
export function withoutCredentials(text: string): string {
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

/**
 * A duration in whole milliseconds.
 * @param unitMs what a plain number counts
 * @throws UsageError INVALID_OPTIONS for anything below 1 ms or over a year
 */
export function parseDuration(option: string, value: unknown, unitMs = 1): number {
  const ms = typeof value === 'number' ? value * unitMs : typeof value === 'string' ? parseText(value) : NaN;
  if (!(ms >= 1 && ms <= YEAR_MS)) {
    throw invalid(
      `${option} is ${show(value)}: give ${unitMs === 1 ? 'milliseconds' : 'seconds'} as a positive number, or text such as "24h", ` +
        'from 1 ms to a year',
    );
  }
  return Math.round(ms);
}

function parseText(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text.trim());
  return match ? Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? NaN) : NaN;
}

export function parseChoice<T extends string>(option: string, value: unknown, choices: readonly T[]): T {
  for (const choice of choices) if (choice === value) return choice;
  throw invalid(`${option} is ${show(value)}: it is one of ${choices.map((c) => `"${c}"`).join(', ')}`);
}

function parseCount(option: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return value;
  throw invalid(`${option} is ${show(value)}: it is a whole number of at least 1`);
}

type Parsers = { [Option in keyof CommonOptions]-?: readonly [keyof RunPolicy, (value: unknown) => unknown] };

const PARSERS: Parsers = {
  ttl: ['ttlMs', (v) => parseDuration('ttl', v)],
  lease: ['leaseMs', (v) => parseDuration('lease', v)],
  maxHold: ['maxHoldMs', (v) => parseDuration('maxHold', v)],
  waitTimeout: ['waitTimeoutMs', (v) => parseDuration('waitTimeout', v)],
  concurrent: ['concurrent', (v) => parseChoice('concurrent', v, ['wait', 'reject'])],
  maxAttempts: ['maxAttempts', (v) => parseCount('maxAttempts', v)],
  onStoreError: ['onStoreError', (v) => parseChoice('onStoreError', v, ['throw', 'run'])],
  storeTimeout: ['storeTimeoutMs', (v) => parseDuration('storeTimeout', v)],
  maxResultBytes: ['maxResultBytes', (v) => parseCount('maxResultBytes', v)],
};

/** The names of {@link CommonOptions}, for {@link checkNames}. */
export const COMMON_OPTION_NAMES = Object.keys(PARSERS) as readonly (keyof CommonOptions)[];

/**
 * The policy of a run: what is given, over what was set before. Options that are absent or undefined keep the
 * fallback.
 * @throws UsageError INVALID_OPTIONS
 */
export function resolvePolicy(given: CommonOptions, fallback: RunPolicy = DEFAULT_POLICY): RunPolicy {
  let policy: Record<string, unknown> | undefined;
  for (const option of COMMON_OPTION_NAMES) {
    if (given[option] === undefined) continue;
    const [field, parse] = PARSERS[option];
    policy ??= { ...fallback };
    policy[field] = parse(given[option]);
  }
  return policy ? (policy as unknown as RunPolicy) : fallback;
}

/**
 * Refuses option names that nobody reads: a misspelled one would silently mean its default.
 * @throws UsageError INVALID_OPTIONS
 */
export function checkNames(where: string, given: unknown, known: readonly string[]): void {
  if (typeof given !== 'object' || given === null) {
    throw invalid(`${where} takes an options object, not ${show(given)}`);
  }
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    throw invalid(`${where} has no option ${show(name)}; it has ${known.join(', ')}`);
  }
}

/**
 * Refuses a `remember` that is no rule; what a function answers is judged when it answers.
 * @throws UsageError INVALID_OPTIONS
 */
export function checkRemember(value: unknown): void {
  if (value === undefined || typeof value === 'function' || value === 'none' || value === 'all') return;
  throw invalid(`remember is ${show(value)}: it is "none", "all", or a function of the failure`);
}

/**
 * Structural, since a signal may come from another realm or a polyfill.
 * @throws UsageError INVALID_OPTIONS
 */
export function checkSignal(value: unknown): void {
  const isSignal =
    typeof value === 'object' &&
    value !== null &&
    ['addEventListener', 'removeEventListener'].every(
      (name) => typeof Reflect.get(value, name) === 'function',
    );
  if (!isSignal) throw invalid(`signal is ${show(value)}: give an AbortSignal`);
}

/** @throws UsageError INVALID_OPTIONS for a given value that is no object */
export function checkObject(option: string, value: unknown): void {
  if (value === undefined || (typeof value === 'object' && value !== null)) return;
  throw invalid(`${option} is ${show(value)}: give an object`);
}

/** The rule that a claim is recorded under, from the `onAbandoned` option: a function reconciles. */
export function abandonedRule(onAbandoned: unknown): AbandonedRule {
  if (onAbandoned === undefined) return 'retry';
  if (typeof onAbandoned === 'function') return 'reconcile';
  if (onAbandoned === 'retry' || onAbandoned === 'block') return onAbandoned;
  throw invalid(
    `onAbandoned is ${show(onAbandoned)}: it is "retry", "block", or a function that asks what happened`,
  );
}

/** The stricter of two rules. */
export function stricter(a: AbandonedRule, b: AbandonedRule): AbandonedRule {
  return ABANDONED_RULES.indexOf(a) > ABANDONED_RULES.indexOf(b) ? a : b;
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
