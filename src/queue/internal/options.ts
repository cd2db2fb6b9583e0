import type { IdempotencyOptions, OnAbandoned } from '../../api.js';
import type { Attempt } from '../../core/attempt.js';
import { UsageError } from '../../core/errors.js';
import {
  abandonedRule,
  checkNames,
  COMMON_OPTION_NAMES,
  DEFAULT_PREFIX,
  parseChoice,
  parseDuration,
  resolvePolicy,
  show,
  type CommonOptions,
  type Duration,
  type Remember,
  type RunPolicy,
} from '../../core/options.js';
import type { AbandonedRule } from '../../core/record.js';
import type { LeaseStore } from '../../core/store.js';
import { checkKeysInLogs } from '../../logging.js';
import { Idempotency } from '../../idempotency.js';
import { composeNamespace } from '../../keys/index.js';

type ReconcileFunction<R> = Extract<OnAbandoned<R>, (attempt: Attempt) => unknown>;

/** What every consumer takes. `store` or `idempotency` must be given, and not both. */
export interface ConsumerOptions<M, R> extends CommonOptions {
  /** Where the records are. */
  store?: LeaseStore;
  /** What `createIdempotency()` made, in the place of `store`: its defaults hold, but for `concurrent`. */
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
   * Told of each message that is dropped, before it is, and waited for. If it throws, the message comes again instead.
   * @default a warning to the logger
   */
  onDrop?: (message: M, error: unknown) => unknown;
  /** With `store`: how class instances in results are treated. @default refused, with the path named */
  codec?: IdempotencyOptions['codec'];
  /** Any subset of debug, info, warn, error. @default warnings go to process.emitWarning */
  logger?: IdempotencyOptions['logger'];
  /** How keys stand in warnings. @default 'plain' */
  keysInLogs?: IdempotencyOptions['keysInLogs'];
}

/** The options of a consumer that knows a name and a key by itself. */
export type WithDefaults<Options extends { name: unknown; key: unknown }> = Omit<Options, 'name' | 'key'> &
  Partial<Pick<Options, 'name' | 'key'>>;

const OPTION_NAMES: readonly string[] = [
  ...COMMON_OPTION_NAMES,
  ...[
    'store',
    'idempotency',
    'name',
    'key',
    'handler',
    'prefix',
    'scope',
    'payload',
    'remember',
    'onAbandoned',
  ],
  ...['retryDelay', 'onDrop', 'codec', 'logger', 'keysInLogs'],
];
const DEFAULT_RETRY_DELAY_MS = 1_000;

/** {@link ConsumerOptions}, checked. */
export interface ConsumerSettings {
  readonly idempotency: Idempotency;
  /** Whether it was made here, so that it is ours to close. */
  readonly isOwn: boolean;
  readonly policy: RunPolicy;
  readonly rule: AbandonedRule;
  readonly retryDelayMs: number;
}

const invalid = (message: string) => new UsageError('INVALID_OPTIONS', message);

/**
 * @param where whose options these are, for messages
 * @throws UsageError INVALID_OPTIONS
 */
export function consumerSettings<M, R>(where: string, options: ConsumerOptions<M, R>): ConsumerSettings {
  checkNames(where, options, OPTION_NAMES);
  for (const option of ['key', 'handler'] as const) checkFunction(where, option, options[option], true);
  for (const option of ['payload', 'onDrop'] as const) checkFunction(where, option, options[option], false);
  const {
    name,
    scope,
    remember = 'none',
    retryDelay = DEFAULT_RETRY_DELAY_MS,
    concurrent = 'reject',
  } = options;
  checkKeysInLogs(options.keysInLogs);
  if (typeof remember !== 'function') parseChoice('remember', remember, ['none', 'all']);
  if (typeof name !== 'function') {
    const { prefix = DEFAULT_PREFIX } = options;
    composeNamespace({ prefix, name, scope: typeof scope === 'function' ? undefined : scope });
  }
  const idempotency = options.idempotency ?? ownIdempotency(where, options);
  if (options.idempotency) checkGiven(where, options);
  return {
    idempotency,
    isOwn: !options.idempotency,
    policy: resolvePolicy({ ...options, concurrent }, idempotency.policy),
    rule: abandonedRule(options.onAbandoned),
    retryDelayMs: parseDuration('retryDelay', retryDelay),
  };
}

function ownIdempotency<M, R>(
  where: string,
  { store, codec, logger, keysInLogs }: ConsumerOptions<M, R>,
): Idempotency {
  if (!store) throw invalid(`${where} needs store, or idempotency: what createIdempotency() made`);
  return new Idempotency({
    store,
    ...(codec && { codec }),
    ...(logger && { logger }),
    ...(keysInLogs && { keysInLogs }),
  });
}

function checkGiven<M, R>(where: string, { idempotency, store, codec }: ConsumerOptions<M, R>): void {
  if (store || codec)
    throw invalid(`${where} takes store and codec, or idempotency, which has its own; not both`);
  if (typeof idempotency?.answer === 'function') return;
  throw invalid(`idempotency is ${show(idempotency)}: give what createIdempotency() made`);
}

function checkFunction(where: string, option: string, value: unknown, isRequired: boolean): void {
  if (typeof value === 'function' || (value === undefined && !isRequired)) return;
  throw invalid(`${where}: ${option} is ${show(value)}: give a function of the message`);
}
