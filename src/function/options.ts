import type { CacheHit, IdempotencyOptions, OnAbandoned } from '../idempotency/api.js';
import { ANY, choice, FUNCTION, OBJECT, BOOLEAN, readOptions, type OptionTable } from '../core/check.js';
import {
  abandonedRule,
  ADMIT,
  COMMON_OPTIONS,
  FUNCTION_POLICY,
  ON_ABANDONED,
  PREFIX,
  REMEMBER,
  resolvePolicy,
  type CommonOptions,
  type Duration,
  type Remember,
  type RunPolicy,
} from '../core/options.js';
import type { AbandonedRule } from '../core/record.js';
import type { AnyStore } from '../default-store.js';
import { KEYS_IN_LOGS } from '../idempotency/logging.js';

/** What a duplicate does while the first call runs; the plain strings do as well. */
export const ConcurrentBehavior = {
  /** It waits, at most `waitTimeout`, and gets the same answer. */
  WAIT: 'WAIT',
  /** It is refused at once, with code CONCURRENT_REQUEST. */
  REJECT: 'REJECT',
} as const;
export type ConcurrentBehavior = (typeof ConcurrentBehavior)[keyof typeof ConcurrentBehavior];

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
  /** Whether a call without a `scope` is refused with INVALID_OPTIONS. @default false, or what the store says */
  requireScope?: boolean;
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
   * Whether a call is let in, asked before each one. `false`, or in how many milliseconds to come again, refuses it with
   * LIMITED. Give the same function each time: it counts the calls that came with it. @default all are let in
   */
  admit?: IdempotencyOptions['admit'];
  /**
   * A record answered this call: replayed, joined, or waited for. `record` is a copy of its own, and holds the error
   * where that is the answer. A call fires this or {@link onCacheMiss}, once. Nobody waits for what it returns; what it
   * throws is logged. @default none
   */
  onCacheHit?: (key: string, record: CacheHit<NoInfer<T>>) => unknown;
  /** This call runs the work itself, from now on. Nobody waits for what it returns; what it throws is logged. @default none */
  onCacheMiss?: (key: string) => unknown;
}

const { concurrent: _, ...COMMON } = COMMON_OPTIONS;

export const FUNCTION_OPTIONS = {
  ...COMMON,
  store: ANY,
  concurrentBehavior: choice('WAIT', 'REJECT'),
  prefix: PREFIX,
  requireScope: BOOLEAN,
  remember: REMEMBER,
  onAbandoned: ON_ABANDONED,
  codec: OBJECT,
  logger: OBJECT,
  admit: ADMIT,
  keysInLogs: KEYS_IN_LOGS,
  onCacheHit: FUNCTION,
  onCacheMiss: FUNCTION,
} satisfies OptionTable<FunctionOptions<never>>;

/** {@link FunctionOptions}, checked. */
export interface FunctionSettings<Options> {
  readonly options: Options;
  readonly policy: RunPolicy;
  readonly rule: AbandonedRule;
  readonly remember: Remember<unknown>;
  /** What is to be said about options that are probably not meant so. */
  readonly notes: readonly string[];
}

/**
 * @param where whose options these are, for messages
 * @throws UsageError INVALID_OPTIONS, INVALID_KEY
 */
export function functionSettings<T, Options extends FunctionOptions<T>>(
  where: string,
  table: OptionTable<Options>,
  given: Options,
): FunctionSettings<Options> {
  const notes: string[] = [];
  const options = readOptions(where, table, given, (note) => notes.push(note));
  const { concurrentBehavior, onAbandoned, remember = 'none' } = options;
  const policy = resolvePolicy(options, FUNCTION_POLICY);
  return {
    options,
    policy: concurrentBehavior === 'REJECT' ? { ...policy, concurrent: 'reject' } : policy,
    rule: abandonedRule(onAbandoned),
    remember,
    notes,
  };
}
