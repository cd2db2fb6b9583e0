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

/** What a duplicate does while the first call runs. The plain strings are accepted too. */
export const ConcurrentBehavior = {
  /** It waits at most `waitTimeout`, and gets the same answer. */
  WAIT: 'WAIT',
  /** It is refused at once, with the code CONCURRENT_REQUEST. */
  REJECT: 'REJECT',
} as const;
export type ConcurrentBehavior = (typeof ConcurrentBehavior)[keyof typeof ConcurrentBehavior];

/** The options that `idempotent()` and `makeIdempotent()` share. */
export interface FunctionOptions<T> extends Omit<CommonOptions, 'ttl' | 'concurrent'> {
  /** How long the result is kept (retention): milliseconds, or text such as `'1h'`. @default '1h' */
  ttl?: Duration;
  /**
   * Where records are kept: a store with `claim`, or any object with get, set, delete and clear.
   * @default defaultStore(), in the memory of this process; other processes do not see it
   */
  store?: AnyStore;
  /** What a duplicate does while the first call runs. @default 'WAIT' */
  concurrentBehavior?: ConcurrentBehavior;
  /** The first part of every address. @default 'idempotency' */
  prefix?: string;
  /** Whether a call without a `scope` is refused with INVALID_OPTIONS. @default the store's */
  requireScope?: boolean;
  /** Which failures are final, so that every later duplicate gets them. Others may run again. @default 'none' */
  remember?: Remember<unknown>;
  /** What happens after a crash; see {@link OnAbandoned}. @default 'retry' */
  onAbandoned?: OnAbandoned<NoInfer<T>>;
  /**
   * How values are recorded: class instances, errors, redaction.
   * @default class instances are refused, and the error names the path
   */
  codec?: IdempotencyOptions['codec'];
  /** Any subset of debug, info, warn, error. @default warnings go to process.emitWarning */
  logger?: IdempotencyOptions['logger'];
  /** How keys appear in warnings: plain, or hashed. @default 'plain' */
  keysInLogs?: IdempotencyOptions['keysInLogs'];
  /**
   * Called before each call, to decide whether it may start. `false`, or a number of milliseconds after which to retry, refuses
   * it with LIMITED. Pass the same function to every call, because it counts the calls that it was passed to.
   * @default every call may start
   */
  admit?: IdempotencyOptions['admit'];
  /**
   * Called when a record answers the call: replayed, joined or waited for. `record` is a copy, and has the error if that is the
   * answer. Each call fires this hook or {@link onCacheMiss}, once. A returned promise is not awaited; errors are logged.
   * @default none
   */
  onCacheHit?: (key: string, record: CacheHit<NoInfer<T>>) => unknown;
  /** Called when this call starts the work itself. A returned promise is not awaited; errors are logged. @default none */
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
  /** Warnings about options that are probably mistakes. */
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
