import type { Runtime } from '../../idempotency/runtime.js';
import type { Idempotency, IdempotencyOptions, OnAbandoned } from '../../idempotency/api.js';
import type { Attempt } from '../../core/attempt/attempt.js';
import {
  ANY,
  bare,
  BOOLEAN,
  DURATION,
  inherit,
  invalid,
  OBJECT,
  readOptions,
  show,
  type InheritanceTable,
  type Option,
  type OptionTable,
} from '../../core/check.js';
import {
  abandonedRule,
  ADMIT,
  checkScoped,
  COMMON_INHERITANCE,
  COMMON_OPTIONS,
  DEFAULT_PREFIX,
  LEASE_STORE,
  NAME,
  ON_ABANDONED,
  PREFIX,
  REMEMBER,
  REQUEST_POLICY,
  resolvePolicy,
  SCOPE,
  type CommonOptions,
  type Duration,
  type Remember,
  type RunPolicy,
} from '../../core/options.js';
import type { AbandonedRule } from '../../core/record.js';
import type { LeaseStore } from '../../core/store.js';
import { getRuntime, createIdempotency } from '../../idempotency/idempotency.js';
import { composeNamespace } from '../../keys/index.js';
import { KEYS_IN_LOGS, warnThrough } from '../../idempotency/logging.js';

type ReconcileFunction<R> = Extract<OnAbandoned<R>, (attempt: Attempt) => unknown>;

/** The options of every consumer. Either `store` or `idempotency` is required. */
export interface ConsumerOptions<M, R> extends CommonOptions {
  /** Where the records are kept. @default none: give it, or `idempotency` */
  store?: LeaseStore;
  /**
   * An instance made by `createIdempotency()`, instead of `store`. Its options are the defaults, except for `name`: a consumer
   * needs its own. @default none: give it, or `store`
   */
  idempotency?: Idempotency;
  /** The name of the operation, or a function of the message. Messages with different names never share a record. */
  name: string | ((message: M) => string);
  /** The idempotency key of a message. It must be the same each time the message is delivered. */
  key: (message: M) => string | undefined | Promise<string | undefined>;
  /**
   * The work, which runs once for a key. The attempt has `step(name, fn)`, `deriveKey(name)`, `fence` and `signal`. If it throws,
   * the message comes again, unless {@link remember} says that the failure is final.
   */
  handler: (message: M, attempt: Attempt) => R | Promise<R>;
  /** The first part of every address. @default 'idempotency' */
  prefix?: string;
  /** The tenant that the key belongs to. @default none */
  scope?: string | ((message: M) => string);
  /** Whether a consumer without a `scope` is refused. @default that of `idempotency` or the store */
  requireScope?: boolean;
  /** Its fingerprint is recorded: a message with the same key and another payload is dropped with KEY_REUSED. @default none */
  payload?: (message: M) => unknown;
  /** Which failures are final: then the message and its duplicates are dropped. @default 'none' */
  remember?: Remember<unknown>;
  /**
   * What happens to a message whose consumer crashed: `retry` runs it again, `block` drops it with IN_DOUBT, and a function finds
   * out what happened, for example from the provider. @default 'retry'
   */
  onAbandoned?:
    'retry' | 'block' | ((message: M, attempt: Attempt) => ReturnType<ReconcileFunction<NoInfer<R>>>);
  /**
   * What happens to a message that is running elsewhere. `reject`: it comes again after the length of a lease. `wait`: this
   * consumer waits for the other one, at most `waitTimeout`. @default 'reject'
   */
  concurrent?: 'wait' | 'reject';
  /** The delay after the first failure. It doubles with each further failure, up to a minute. @default '1s' */
  retryDelay?: Duration;
  /**
   * Called, and awaited, before a message is dropped. If it throws, or takes more than ten seconds, the message comes again
   * instead.
   * @default a warning to the logger
   */
  onDrop?: (message: M, error: unknown) => unknown;
  /** Only with `store`: how values are recorded. @default class instances are refused, and the error names the path */
  codec?: IdempotencyOptions['codec'];
  /** Any subset of debug, info, warn, error. @default warnings go to process.emitWarning */
  logger?: IdempotencyOptions['logger'];
  /**
   * Only with `store`: called before each message, to decide whether it may start. `false`, or a number of milliseconds, refuses
   * it: the message comes again after that time. @default every message may start
   */
  admit?: IdempotencyOptions['admit'];
  /** How keys appear in warnings: plain, or hashed. @default 'plain' */
  keysInLogs?: IdempotencyOptions['keysInLogs'];
}

/** The options of an adapter that has defaults for `name` and `key`. */
export type WithDefaults<Options extends { name: unknown; key: unknown }> = Omit<Options, 'name' | 'key'> &
  Partial<Pick<Options, 'name' | 'key'>>;

const MESSAGE_FUNCTION: Option = {
  check: (value, option) => {
    if (typeof value === 'function') return value;
    throw invalid(`${option} is ${show(value)}: give a function of the message`);
  },
};

export const CONSUMER_OPTIONS = {
  ...COMMON_OPTIONS,
  store: LEASE_STORE,
  idempotency: ANY,
  name: { check: (value, option) => (typeof value === 'function' ? value : NAME.check(value, option)) },
  key: { ...MESSAGE_FUNCTION, refusesUndefined: 'INVALID_KEY' },
  handler: { ...MESSAGE_FUNCTION, isRequired: true },
  prefix: PREFIX,
  scope: SCOPE,
  requireScope: BOOLEAN,
  payload: { ...MESSAGE_FUNCTION, refusesUndefined: 'INVALID_OPTIONS' },
  remember: REMEMBER,
  onAbandoned: ON_ABANDONED,
  retryDelay: DURATION,
  onDrop: MESSAGE_FUNCTION,
  codec: OBJECT,
  logger: OBJECT,
  admit: ADMIT,
  keysInLogs: KEYS_IN_LOGS,
} satisfies OptionTable<ConsumerOptions<never, never>>;

/** How a consumer uses the options of its `idempotency`. */
export const CONSUMER_INHERITANCE = {
  ...COMMON_INHERITANCE,
  prefix: 'inherited',
  // The queue's name, or the consumer's own option.
  name: 'replaced',
  scope: 'inherited',
  // Required if either of the two requires it.
  requireScope: 'combined',
  remember: 'inherited',
  store: 'kept',
  codec: 'kept',
  pepper: 'kept',
  logger: 'inherited',
  admit: 'kept',
  keysInLogs: 'inherited',
} satisfies InheritanceTable<IdempotencyOptions>;

const DEFAULT_RETRY_DELAY_MS = 1_000;

/** The defaults that an adapter for a broker brings. */
export interface BrokerDefaults<M> {
  readonly name?: string | ((message: M) => string);
  readonly key?: (message: M) => string | undefined;
  /** The default payload. It is used with the default key only: with that key, the same message always has the same content. */
  readonly payload?: (message: M) => unknown;
  /** Wraps the user's `remember`, to handle the broker's own errors. */
  readonly remember?: (given: Remember<unknown>) => Remember<unknown>;
  /** @throws UsageError INVALID_OPTIONS for options that do not work with this broker */
  readonly check?: (options: CommonOptions) => void;
}

/** {@link ConsumerOptions}, checked. */
export interface ConsumerSettings<M, R> {
  readonly options: ConsumerOptions<M, R>;
  readonly idempotency: Idempotency;
  readonly runtime: Runtime;
  /** Whether `idempotency` was made here, so that the consumer closes it. */
  readonly isOwn: boolean;
  readonly policy: RunPolicy;
  readonly rule: AbandonedRule;
  readonly remember: Remember<unknown>;
  readonly retryDelayMs: number;
}

/**
 * @param where whose options these are, for messages
 * @throws UsageError INVALID_OPTIONS, INVALID_KEY
 */
export function consumerSettings<M, R>(
  where: string,
  given: ConsumerOptions<M, R>,
  broker: BrokerDefaults<M>,
): ConsumerSettings<M, R> {
  const notes: string[] = [];
  const table: OptionTable<ConsumerOptions<M, R>> = CONSUMER_OPTIONS;
  const read = readOptions(where, table, given, (note) => notes.push(note));
  const idempotency = chooseIdempotency(where, read);
  const runtime = getRuntime(idempotency);
  const defaults = bare(broker);
  const named = withDefaults(read, defaults);
  const options = inherit(where, CONSUMER_INHERITANCE, runtime.given, named);
  const {
    name,
    key,
    scope,
    prefix = DEFAULT_PREFIX,
    retryDelay = DEFAULT_RETRY_DELAY_MS,
    remember = 'none',
  } = options;
  MESSAGE_FUNCTION.check(key, 'key');
  defaults.check?.(options);
  // Check what is known by now. An error at the first message would drop it.
  composeNamespace({
    prefix,
    name: typeof name === 'function' ? 'of-message' : name,
    scope: typeof scope === 'function' ? undefined : scope,
  });
  checkScoped(where, options.requireScope || runtime.requiresScope, scope);
  const warn = warnThrough(options.logger);
  for (const note of notes) warn(`twiceshy: ${note}`);
  return {
    options,
    idempotency,
    runtime,
    isOwn: !read.idempotency,
    policy: resolvePolicy(options, REQUEST_POLICY),
    rule: abandonedRule(options.onAbandoned),
    remember: defaults.remember?.(remember) ?? remember,
    retryDelayMs: retryDelay as number,
  };
}

function withDefaults<M, R>(
  read: ConsumerOptions<M, R>,
  { name, key, payload }: BrokerDefaults<M>,
): ConsumerOptions<M, R> {
  const isOwnKey = read.key === undefined;
  return bare({
    ...(name !== undefined && { name }),
    ...(key && { key }),
    ...(payload && isOwnKey && { payload }),
    ...read,
  });
}

function chooseIdempotency<M, R>(where: string, options: ConsumerOptions<M, R>): Idempotency {
  const { idempotency, store, codec, logger, keysInLogs, admit } = options;
  if (!idempotency) {
    if (!store)
      throw invalid(`${where} needs store or idempotency (an instance made by createIdempotency())`);
    const own = {
      ...(codec && { codec }),
      ...(logger && { logger }),
      ...(keysInLogs && { keysInLogs }),
      ...(admit && { admit }),
    };
    return createIdempotency({ store, ...own });
  }
  if (store || codec || admit)
    throw invalid(`${where} takes store, codec and admit, or idempotency, which has its own, but not both`);
  return idempotency;
}
