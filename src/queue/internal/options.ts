import type { Adapter } from '../../idempotency/adapter.js';
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
import { adapterOf, createIdempotency } from '../../idempotency/idempotency.js';
import { composeNamespace } from '../../keys/index.js';
import { KEYS_IN_LOGS, warnThrough } from '../../idempotency/logging.js';

type ReconcileFunction<R> = Extract<OnAbandoned<R>, (attempt: Attempt) => unknown>;

/** What every consumer takes. `store` or `idempotency` must be given, and not both. */
export interface ConsumerOptions<M, R> extends CommonOptions {
  /** Where the records are. @default none: give it, or `idempotency` */
  store?: LeaseStore;
  /**
   * What `createIdempotency()` made, in the place of `store`. Its options hold, unless they are given here; but a consumer has
   * a `name` of its own. @default none: give it, or `store`
   */
  idempotency?: Idempotency;
  /** The operation, or a function of the message: messages of two names never share a record. */
  name: string | ((message: M) => string);
  /** The idempotency key of a message. It must be the same whenever the message comes again. */
  key: (message: M) => string | undefined | Promise<string | undefined>;
  /**
   * The work, run once for a key. The attempt has `step(name, fn)`, `deriveKey(name)`, `fence` and `signal`. What it
   * throws is a failure: the message comes again, unless {@link remember} says otherwise.
   */
  handler: (message: M, attempt: Attempt) => R | Promise<R>;
  /** Stands first in every address. @default 'idempotency' */
  prefix?: string;
  /** The tenant whose keys these are. @default none */
  scope?: string | ((message: M) => string);
  /** Whether a consumer without a `scope` is refused. @default false, or what `idempotency` or the store say */
  requireScope?: boolean;
  /** Fingerprinted: a message with the same key and another payload is dropped with KEY_REUSED. @default none */
  payload?: (message: M) => unknown;
  /** Which failures are final: the message is dropped, and so is every duplicate. @default 'none' */
  remember?: Remember<unknown>;
  /**
   * What is done with a message whose consumer died: `retry` runs it again, `block` drops it with IN_DOUBT, a function
   * asks the provider what happened. @default 'retry'
   */
  onAbandoned?:
    'retry' | 'block' | ((message: M, attempt: Attempt) => ReturnType<ReconcileFunction<NoInfer<R>>>);
  /**
   * `reject`: a message that is running elsewhere comes again when that one's lease could have run out. `wait`: its
   * place in the consumer waits for the other one, `waitTimeout` at most. @default 'reject'
   */
  concurrent?: 'wait' | 'reject';
  /** The delay after a first failure, doubled by each further one up to a minute. @default '1s' */
  retryDelay?: Duration;
  /**
   * Told of each message that is dropped, before it is, and waited for. If it throws, or takes more than ten seconds, the message
   * comes again instead.
   * @default a warning to the logger
   */
  onDrop?: (message: M, error: unknown) => unknown;
  /** With `store`: how class instances in results are treated. @default refused, with the path named */
  codec?: IdempotencyOptions['codec'];
  /** Any subset of debug, info, warn, error. @default warnings go to process.emitWarning */
  logger?: IdempotencyOptions['logger'];
  /**
   * Whether a call is let in, asked before each one; only with `store`. `false`, or in how many milliseconds to come again,
   * refuses it: the message comes again after it. @default all are let in
   */
  admit?: IdempotencyOptions['admit'];
  /** How keys stand in warnings. @default 'plain' */
  keysInLogs?: IdempotencyOptions['keysInLogs'];
}

/** The options of a consumer that knows a name and a key by itself. */
export type WithDefaults<Options extends { name: unknown; key: unknown }> = Omit<Options, 'name' | 'key'> &
  Partial<Pick<Options, 'name' | 'key'>>;

const OF_MESSAGE: Option = {
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
  key: { ...OF_MESSAGE, refusesUndefined: 'INVALID_KEY' },
  handler: { ...OF_MESSAGE, isRequired: true },
  prefix: PREFIX,
  scope: SCOPE,
  requireScope: BOOLEAN,
  payload: { ...OF_MESSAGE, refusesUndefined: 'INVALID_OPTIONS' },
  remember: REMEMBER,
  onAbandoned: ON_ABANDONED,
  retryDelay: DURATION,
  onDrop: OF_MESSAGE,
  codec: OBJECT,
  logger: OBJECT,
  admit: ADMIT,
  keysInLogs: KEYS_IN_LOGS,
} satisfies OptionTable<ConsumerOptions<never, never>>;

/** What becomes of the options of `idempotency`. */
export const CONSUMER_INHERITANCE = {
  ...COMMON_INHERITANCE,
  prefix: 'inherited',
  // A queue's, or the one that must be given.
  name: 'replaced',
  scope: 'inherited',
  // True in one of the two is enough.
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

/** What a consumer of a known broker brings by itself. */
export interface OfBroker<M> {
  readonly name?: string | ((message: M) => string);
  readonly key?: (message: M) => string | undefined;
  /** What a message must say whenever it comes again under the broker's own key; it goes with that key only. */
  readonly payload?: (message: M) => unknown;
  /** What errors of the broker's own mean, before `remember` is asked. */
  readonly remember?: (given: Remember<unknown>) => Remember<unknown>;
  /** @throws UsageError INVALID_OPTIONS for options that the broker can't do with */
  readonly check?: (options: CommonOptions) => void;
}

/** {@link ConsumerOptions}, checked. */
export interface ConsumerSettings<M, R> {
  readonly options: ConsumerOptions<M, R>;
  readonly idempotency: Idempotency;
  readonly adapter: Adapter;
  /** Whether it was made here, so that it is ours to close. */
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
  ofBroker: OfBroker<M>,
): ConsumerSettings<M, R> {
  const broker = bare(ofBroker);
  const notes: string[] = [];
  const table: OptionTable<ConsumerOptions<M, R>> = CONSUMER_OPTIONS;
  const read = readOptions(where, table, given, (note) => notes.push(note));
  const idempotency = idempotencyOf(where, read);
  const adapter = adapterOf(idempotency);
  const named = withDefaults(read, broker);
  const options = inherit(where, CONSUMER_INHERITANCE, adapter.given, named);
  const {
    name,
    key,
    scope,
    prefix = DEFAULT_PREFIX,
    retryDelay = DEFAULT_RETRY_DELAY_MS,
    remember = 'none',
  } = options;
  OF_MESSAGE.check(key, 'key');
  broker.check?.(options);
  // Whatever is known by now: later it would cost messages.
  composeNamespace({
    prefix,
    name: typeof name === 'function' ? 'of-message' : name,
    scope: typeof scope === 'function' ? undefined : scope,
  });
  checkScoped(where, options.requireScope || adapter.requiresScope, scope);
  const warn = warnThrough(options.logger);
  for (const note of notes) warn(`twiceshy: ${note}`);
  return {
    options,
    idempotency,
    adapter,
    isOwn: !read.idempotency,
    policy: resolvePolicy(options, REQUEST_POLICY),
    rule: abandonedRule(options.onAbandoned),
    remember: broker.remember?.(remember) ?? remember,
    retryDelayMs: retryDelay as number,
  };
}

function withDefaults<M, R>(
  read: ConsumerOptions<M, R>,
  { name, key, payload }: OfBroker<M>,
): ConsumerOptions<M, R> {
  const isOwnKey = read.key === undefined;
  return bare({
    ...(name !== undefined && { name }),
    ...(key && { key }),
    ...(payload && isOwnKey && { payload }),
    ...read,
  });
}

function idempotencyOf<M, R>(where: string, options: ConsumerOptions<M, R>): Idempotency {
  const { idempotency, store, codec, logger, keysInLogs, admit } = options;
  if (!idempotency) {
    if (!store) throw invalid(`${where} needs store, or idempotency: what createIdempotency() made`);
    const own = {
      ...(codec && { codec }),
      ...(logger && { logger }),
      ...(keysInLogs && { keysInLogs }),
      ...(admit && { admit }),
    };
    return createIdempotency({ store, ...own });
  }
  if (store || codec || admit)
    throw invalid(`${where} takes store, codec and admit, or idempotency, which has its own; not both`);
  return idempotency;
}
