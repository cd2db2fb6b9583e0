import type { IdempotencyOptions, IdempotencyRecord, OnAbandoned } from '../api.js';
import { UsageError } from '../core/errors.js';
import {
  abandonedRule,
  checkNames,
  checkObject,
  checkRemember,
  COMMON_OPTION_NAMES,
  FUNCTION_POLICY,
  parseChoice,
  resolvePolicy,
  show,
  type CommonOptions,
  type Duration,
  type Remember,
  type RunPolicy,
} from '../core/options.js';
import type { AbandonedRule } from '../core/record.js';
import type { IdempotencyStore, LeaseStore } from '../core/store.js';
import { checkKeysInLogs } from '../logging.js';

/** What a duplicate does while the first call runs; the plain strings do as well. */
export const ConcurrentBehavior = {
  /** It waits, at most `waitTimeout`, and gets the same answer. */
  WAIT: 'WAIT',
  /** It is refused at once, with code CONCURRENT_REQUEST. */
  REJECT: 'REJECT',
} as const;
export type ConcurrentBehavior = (typeof ConcurrentBehavior)[keyof typeof ConcurrentBehavior];

/** Where the records are. A store of the simple shape takes no part in the type of the result. */
export type AnyStore = LeaseStore | IdempotencyStore<unknown>;

/** What `idempotent()` and `makeIdempotent()` both take. */
export interface FunctionOptions<T> extends Omit<CommonOptions, 'ttl' | 'concurrent'> {
  /** Retention of the result: milliseconds, or text such as `'1h'`. @default '1h' */
  ttl?: Duration;
  /**
   * A store with `claim`, or one with get, set, delete and clear. @default one in the memory of this process, which
   * other processes do not see
   */
  store?: AnyStore;
  /** What a duplicate does while the first call runs. @default 'WAIT' */
  concurrentBehavior?: ConcurrentBehavior;
  /** Stands first in every address. @default 'idempotency' */
  prefix?: string;
  /** Which failures are final, and given to every later duplicate. @default 'none' */
  remember?: Remember<unknown>;
  /** What is done after a crash. @default 'retry' */
  onAbandoned?: OnAbandoned<NoInfer<T>>;
  /** How class instances in results are treated. @default refused, with the path named */
  codec?: IdempotencyOptions['codec'];
  /** Any subset of debug, info, warn, error. @default warnings go to process.emitWarning */
  logger?: IdempotencyOptions['logger'];
  /** How keys stand in warnings. @default 'plain' */
  keysInLogs?: IdempotencyOptions['keysInLogs'];
  /**
   * A record answered this call: replayed, joined, or waited for. `record` is a copy of its own, and holds the error
   * where that is the answer. A call fires this or {@link onCacheMiss}, once. Nobody waits for what it returns; what it
   * throws is logged.
   */
  onCacheHit?: (key: string, record: IdempotencyRecord<NoInfer<T>>) => unknown;
  /** This call runs the work itself, from now on. Nobody waits for what it returns; what it throws is logged. */
  onCacheMiss?: (key: string) => unknown;
}

/** {@link FunctionOptions}, checked. */
export interface FunctionSettings {
  readonly policy: RunPolicy;
  readonly rule: AbandonedRule;
  readonly remember: Remember<unknown>;
}

export const FUNCTION_OPTION_NAMES: readonly string[] = [
  ...COMMON_OPTION_NAMES.filter((name) => name !== 'concurrent'),
  ...['store', 'concurrentBehavior', 'prefix', 'name', 'scope', 'payload', 'signal'],
  ...['remember', 'onAbandoned', 'codec', 'logger', 'keysInLogs', 'onCacheHit', 'onCacheMiss'],
];
/** Who writes a ttl below a minute as a number means seconds, more likely than not. */
const SUSPICIOUS_TTL_MS = 60_000;

/**
 * @param where whose options these are, for messages
 * @throws UsageError INVALID_OPTIONS
 */
export function functionSettings<T>(
  where: string,
  options: FunctionOptions<T>,
  known: readonly string[],
): FunctionSettings {
  checkNames(where, options, known);
  const { concurrentBehavior = 'WAIT', onAbandoned, remember = 'none', logger, codec } = options;
  checkFunction('onCacheHit', options.onCacheHit);
  checkFunction('onCacheMiss', options.onCacheMiss);
  checkObject('logger', logger);
  checkObject('codec', codec);
  checkKeysInLogs(options.keysInLogs);
  checkRemember(remember);
  const behavior = parseChoice('concurrentBehavior', concurrentBehavior, ['WAIT', 'REJECT']);
  const policy = resolvePolicy(options, FUNCTION_POLICY);
  return {
    policy: behavior === 'REJECT' ? { ...policy, concurrent: 'reject' } : policy,
    rule: abandonedRule(onAbandoned),
    remember,
  };
}

/** What is to be said about a ttl that is probably not meant so. */
export function suspicionOf(ttl: Duration | undefined): string | undefined {
  if (typeof ttl !== 'number' || ttl >= SUSPICIOUS_TTL_MS) return undefined;
  return `ttl is ${ttl} milliseconds; seconds were probably meant: write '${ttl}s', or '${ttl}ms' if not`;
}

/** @throws UsageError INVALID_OPTIONS for a given value that is no function */
export function checkFunction(option: string, value: unknown): void {
  if (value === undefined || typeof value === 'function') return;
  throw new UsageError('INVALID_OPTIONS', `${option} is ${show(value)}: give a function`);
}
