import {
  choice,
  COUNT,
  DURATION,
  invalid,
  parseDuration,
  show,
  something,
  TEXT,
  type InheritanceTable,
  type Option,
  type OptionTable,
} from './check.js';
import { UsageError } from './errors.js';
import { ABANDONED_RULES, type AbandonedRule } from './record.js';
import { isLeaseStore } from './store.js';

/** Milliseconds as a number, or text such as `'500ms'`, `'20s'`, `'15m'`, `'24h'`, `'7d'`. */
export type Duration = number | string;

/** What becomes of an attempt that failed. */
export type FailureVerdict =
  /** Recorded as the answer: every duplicate gets this failure. */
  | 'final'
  /** Known to have had no effect. Recorded for those who wait on it; the next call runs again, with new derived keys. */
  | 'retryable'
  /** Nobody can say whether the effect happened: `onAbandoned` decides. */
  | 'unknown'
  /** Nothing happened: the record is again as the claim found it. */
  | 'release';

/**
 * Which failures are final. `'none'`: under `onAbandoned: 'retry'` the next call runs again, with the same derived
 * keys; under `'block'` or a reconcile function the failure is unknown. `'all'`: every failure is final. A function
 * decides for each one: `true` is final, `false` leaves it to the default, a verdict says it all.
 */
export type Remember<Failure> = 'none' | 'all' | ((failure: Failure) => boolean | FailureVerdict);

/** The options that mean the same in every adapter. */
export interface CommonOptions {
  /** How long a record is kept once it is settled. @default '24h' */
  ttl?: Duration;
  /** How long a lease lasts. While the work runs, it is renewed each time a third of it is over. @default '20s' */
  lease?: Duration;
  /** How long the lease of one attempt is renewed at most. @default '15m' */
  maxHold?: Duration;
  /** How long a duplicate waits at most. It never bounds the work. @default '30s' */
  waitTimeout?: Duration;
  /** What a duplicate does while the first one runs. @default 'wait' */
  concurrent?: 'wait' | 'reject';
  /** After so many attempts, an abandoned record is IN_DOUBT, and a failed one stays failed. @default none */
  maxAttempts?: number;
  /** `throw` refuses the call when the store can't be asked; `run` runs it unprotected. @default 'throw' */
  onStoreError?: 'throw' | 'run';
  /** How long one call of the store may take. @default '2s' */
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
/** Where HTTP and consumers differ: waiting for another process would hold a connection, or a place in the queue. */
export const REQUEST_POLICY: RunPolicy = { ...DEFAULT_POLICY, concurrent: 'reject' };
export const DEFAULT_PREFIX = 'idempotency';
/** A record whose outcome a person or a reconcile function must settle is kept this long. */
export const IN_DOUBT_RETENTION_MS = 30 * DAY_MS;
/** How long `close()` waits for running work and for results not yet recorded. */
export const CLOSE_TIMEOUT_MS = 10 * SECOND_MS;

/** So many claims that must be undone are kept for a store while it can't be asked: some 10 MB. */
export const MAX_WITHDRAWALS = 10_000;
/** So much is kept of outcomes that a store could not be told in time. */
export const MAX_UNRECORDED_BYTES = 64 * 1024 * 1024;

/** Less than this as a plain number of milliseconds is more likely a number of seconds. */
const SUSPICIOUS_TTL_MS = 60_000;
/** One day, two, three, a week, two, thirty days, ninety, a year: as seconds. Nobody means 86.4 seconds. */
const TYPICAL_SECONDS: readonly unknown[] = [
  ...[86_400, 172_800, 259_200, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000],
];
/** A shorter secret can be guessed. */
const LEAST_PEPPER = 16;
/** So many seconds are over 41 days. */
const SUSPICIOUS_TTL_SECONDS = 3_600_000;

/** What is to be said about a ttl that was probably meant in the other unit. */
function suspectTtl(ttl: unknown, unit: 'milliseconds' | 'seconds'): string | undefined {
  if (typeof ttl !== 'number') return undefined;
  if (unit === 'seconds') {
    if (ttl < SUSPICIOUS_TTL_SECONDS) return undefined;
    return `ttl is ${ttl} seconds, which is ${Math.round(ttl / 86_400)} days; milliseconds were probably meant`;
  }
  if (ttl >= SUSPICIOUS_TTL_MS && !TYPICAL_SECONDS.includes(ttl)) return undefined;
  return `ttl is ${ttl} milliseconds; seconds were probably meant: write '${ttl}s', or '${ttl}ms' if not`;
}

/** A retention, whose plain numbers count so. */
const retention = (unit: 'milliseconds' | 'seconds'): Option => ({
  check: (value, option) => parseDuration(option, value, unit === 'seconds' ? SECOND_MS : 1),
  suspect: (value) => suspectTtl(value, unit),
});

/** The options that mean the same in every adapter, checked. */
export const COMMON_OPTIONS = {
  ttl: retention('milliseconds'),
  lease: DURATION,
  maxHold: DURATION,
  waitTimeout: DURATION,
  concurrent: choice('wait', 'reject'),
  maxAttempts: COUNT,
  onStoreError: choice('throw', 'run'),
  storeTimeout: DURATION,
  maxResultBytes: COUNT,
} satisfies OptionTable<CommonOptions>;

/** They hold in every adapter, unless it is given its own. */
export const COMMON_INHERITANCE = {
  ttl: 'inherited',
  lease: 'inherited',
  maxHold: 'inherited',
  waitTimeout: 'inherited',
  concurrent: 'inherited',
  maxAttempts: 'inherited',
  onStoreError: 'inherited',
  storeTimeout: 'inherited',
  maxResultBytes: 'inherited',
} satisfies InheritanceTable<CommonOptions>;

/** The `ttl` of tasks. */
export const TTL_IN_SECONDS = retention('seconds');

const POLICY_FIELDS = {
  ttl: 'ttlMs',
  lease: 'leaseMs',
  maxHold: 'maxHoldMs',
  waitTimeout: 'waitTimeoutMs',
  concurrent: 'concurrent',
  maxAttempts: 'maxAttempts',
  onStoreError: 'onStoreError',
  storeTimeout: 'storeTimeoutMs',
  maxResultBytes: 'maxResultBytes',
} satisfies { [Name in keyof CommonOptions]-?: keyof RunPolicy };
const POLICY_NAMES = Object.keys(POLICY_FIELDS) as readonly (keyof CommonOptions)[];

/** The policy of a run: what is given, as {@link COMMON_OPTIONS} has checked it, over what was set before. */
export function resolvePolicy(given: CommonOptions, fallback: RunPolicy = DEFAULT_POLICY): RunPolicy {
  let policy: Record<string, unknown> | undefined;
  for (const name of POLICY_NAMES) {
    if (given[name] === undefined) continue;
    policy ??= { ...fallback };
    policy[POLICY_FIELDS[name]] = given[name];
  }
  return policy ? (policy as unknown as RunPolicy) : fallback;
}

/** What a function in `remember` answers is judged when it answers. */
export const REMEMBER: Option = {
  check: (value, option) => {
    if (typeof value === 'function' || value === 'none' || value === 'all') return value;
    throw invalid(`${option} is ${show(value)}: it is "none", "all", or a function of the failure`);
  },
};

export const ON_ABANDONED: Option = { check: (value) => (abandonedRule(value), value) };

/** Structural, since a signal may come from another realm or a polyfill. */
export const SIGNAL: Option = { check: (value) => (checkSignal(value), value) };

/** Stands first in every address. */
export const PREFIX: Option = { ...TEXT, refusesUndefined: 'INVALID_OPTIONS' };
/** The operation. Nothing else may stand for "that of the instance", or "the default", but undefined. */
export const NAME: Option = TEXT;
/** Whose keys these are; its characters are checked with the whole address. */
export const SCOPE: Option = { check: checkScope, refusesUndefined: 'INVALID_OPTIONS' };
/** A scope that is no function. */
export const FIXED_SCOPE: Option = {
  ...SCOPE,
  check: (value) => {
    if (typeof value === 'string') return value;
    throw noScope(value);
  },
};
/** A secret, so that no message shows it. */
export const PEPPER: Option = {
  check: (value, option) => {
    if (typeof value === 'string' && value.length >= LEAST_PEPPER) return value;
    throw invalid(
      `${option} is no text of ${LEAST_PEPPER} characters or more (it is not shown, since it is a secret)`,
    );
  },
};
/** Its answers are judged when it gives them. */
export const ADMIT: Option = {
  check: (value, option) => {
    if (typeof value === 'function') return value;
    throw invalid(
      `${option} is ${show(value)}: give a function of the facts of a call, which answers true, false, or when to retry`,
    );
  },
};
export const LEASE_STORE: Option = {
  check: (value, option) => {
    if (isLeaseStore(value)) return value;
    throw invalid(
      `${option} is ${show(value)}: give a RedisStore, an InMemoryStore, or another object with claim()`,
    );
  },
};
export const KEY: Option = {
  check: (value) => {
    if (value !== null) return value;
    throw new UsageError('INVALID_KEY', 'key is null: what it was to be made of is missing');
  },
  refusesUndefined: 'INVALID_KEY',
};
export const PAYLOAD: Option = {
  check: (value, option) => something(option, value),
  refusesUndefined: 'INVALID_OPTIONS',
};

function checkScope(value: unknown): unknown {
  if (typeof value === 'string' || typeof value === 'function') return value;
  throw noScope(value);
}

/** Says its type only: bytes or an object in the place of a scope may hold an API key. */
function noScope(value: unknown): UsageError {
  const what = value === null ? 'null' : `of type ${typeof value}`;
  return invalid(`scope is ${what}: give a text that names whose keys these are`);
}

/** @throws UsageError INVALID_OPTIONS where `requireScope` holds, and nobody says whose key it is */
export function checkScoped(where: string, isRequired: boolean | undefined, scope: unknown): void {
  if (!isRequired || scope !== undefined) return;
  throw invalid(`${where} needs scope, since requireScope holds: say whose key it is`);
}

/** @throws UsageError INVALID_OPTIONS */
export function checkWork(work: unknown): void {
  if (typeof work !== 'function')
    throw invalid(`the work is ${show(work)}: give the function that is to run once`);
}

/**
 * The name that a run and its neighbours need: two operations of one name would share their records.
 * @throws UsageError INVALID_OPTIONS
 */
export function requireName(where: string, name: string | undefined): string {
  if (name !== undefined) return name;
  throw invalid(
    `${where} needs a name: say what the operation is called, { name: 'charge' }, here or once for the instance; ` +
      "name: 'run' is what it used to be",
  );
}

/** @throws UsageError INVALID_OPTIONS */
export function checkSignal(value: unknown): void {
  const isSignal =
    typeof value === 'object' &&
    value !== null &&
    ['addEventListener', 'removeEventListener'].every(
      (name) => typeof Reflect.get(value, name) === 'function',
    );
  if (!isSignal) throw invalid(`signal is ${show(value)}: give an AbortSignal`);
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
