import type { Attempt } from '../core/attempt/attempt.js';
import { FUNCTION, invalid, show, type Option, type OptionTable } from '../core/check.js';
import type { Stats } from '../core/events.js';
import { FIXED_SCOPE, KEY, NAME, PAYLOAD, SIGNAL } from '../core/options.js';
import { newToken } from '../core/token.js';
import { keyFrom, perform } from './call.js';
import { storeFor, type AnyStore } from '../default-store.js';
import { sharedRuntime, storeTally, warnOfSharedName, warnOnce } from './instances.js';
import { FUNCTION_OPTIONS, functionSettings, type FunctionOptions } from './options.js';

/** The options of {@link Idempotent}. */
export interface IdempotentOptions<T> extends FunctionOptions<T> {
  /** The work. Its argument is the attempt: fencing token, signal, `deriveKey(name)`. */
  execute: (attempt: Attempt) => T | Promise<T>;
  /** The idempotency key. It takes precedence over `keyGenerator`. @default a new key for each call, which protects nothing */
  key?: string;
  /** Makes the key if `key` is not given. @default none */
  keyGenerator?: () => string | Promise<string>;
  /**
   * The name of the operation. Two places that call `idempotent()` with the same name and key share the record.
   * @default 'idempotent'
   */
  name?: string;
  /** The tenant that the key belongs to. @default none */
  scope?: string;
  /** Its fingerprint is recorded: the same key with another payload is refused with KEY_REUSED. @default none */
  payload?: unknown;
  /** Aborting it ends this caller's wait, never the work. @default none */
  signal?: AbortSignal;
}

/** The type of {@link idempotent}. */
export interface Idempotent {
  /**
   * Runs a function once for a key, and gives every duplicate the same answer.
   *
   * @example const charge = await idempotent({ key: order.id, execute: () => provider.charge(order) });
   * @throws IdempotencyError CONCURRENT_REQUEST, IDEMPOTENCY_TIMEOUT, KEY_REUSED, IN_DOUBT, RESULT_UNAVAILABLE,
   * LEASE_LOST, STORE_UNAVAILABLE, CORRUPT_RECORD, INVALID_KEY, INVALID_OPTIONS; or what `execute` threw, in this call or in
   * the attempt that it waited for
   */
  <T>(options: IdempotentOptions<T>): Promise<T>;
  /**
   * Counters of this process for a store: of the operation `name`, or of all operations together. Functions made by
   * `makeIdempotent()` are counted too, under their name.
   */
  stats(of?: { name?: string; store?: AnyStore }): Stats;
}

const DEFAULT_NAME = 'idempotent';
const WORK: Option = {
  isRequired: true,
  check: (value, option) => {
    if (typeof value === 'function') return value;
    throw invalid(`${option} is ${show(value)}: give the function that should run once`);
  },
};

export const IDEMPOTENT_OPTIONS = {
  ...FUNCTION_OPTIONS,
  execute: WORK,
  key: KEY,
  keyGenerator: FUNCTION,
  name: NAME,
  scope: FIXED_SCOPE,
  payload: PAYLOAD,
  signal: SIGNAL,
} satisfies OptionTable<IdempotentOptions<never>>;

async function runOnce<T>(given: IdempotentOptions<T>): Promise<T> {
  const settings = functionSettings<T, IdempotentOptions<T>>('idempotent()', IDEMPOTENT_OPTIONS, given);
  const { execute, name = DEFAULT_NAME, scope, payload, signal, logger } = settings.options;
  const store = storeFor(settings.options.store, logger);
  const runtime = sharedRuntime(store, settings.options);
  for (const note of settings.notes) warnOnce(logger, `twiceshy: ${name}: ${note}`);
  if (settings.options.name === undefined) warnOfSharedName(store, name, execute, logger);
  const key = settings.options.key ?? (await otherKey(settings.options, name));
  return perform(runtime, { name, key, scope, payload, signal, settings, execute });
}

const stats: Idempotent['stats'] = ({ name, store } = {}) => storeTally(storeFor(store)).stats(name);

/** Runs a function once for a key, and gives every duplicate the same answer. */
export const idempotent: Idempotent = /* @__PURE__ */ Object.assign(runOnce, { stats });

async function otherKey<T>({ keyGenerator, logger }: IdempotentOptions<T>, name: string): Promise<unknown> {
  if (keyGenerator) return keyFrom('keyGenerator', keyGenerator);
  warnOnce(
    logger,
    `twiceshy: ${name} was given neither key nor keyGenerator: each call gets a new key, which protects nothing; give it a key`,
  );
  return newToken();
}
