import type { Attempt } from '../core/attempt.js';
import { UsageError } from '../core/errors.js';
import type { Stats } from '../core/events.js';
import { show } from '../core/options.js';
import { newToken } from '../core/token.js';
import { keyFrom, perform } from './call.js';
import { instanceOf, tallyOf, warnOnce, type FunctionParts } from './instances.js';
import {
  checkFunction,
  FUNCTION_OPTION_NAMES,
  functionSettings,
  suspicionOf,
  type AnyStore,
  type FunctionOptions,
} from './options.js';

/** The options of {@link Idempotent}. */
export interface IdempotentOptions<T> extends FunctionOptions<T> {
  /** The work. It is given its attempt: fence, signal, `deriveKey(name)`. */
  execute: (attempt: Attempt) => T | Promise<T>;
  /** The idempotency key. It wins over `keyGenerator`. @default a key of its own for each call, which protects nothing */
  key?: string;
  /** Makes the key where none is given. @default none */
  keyGenerator?: () => string | Promise<string>;
  /**
   * The operation. The key is the whole identity within it: two places that call `idempotent()` with the same key and
   * name share the record. @default 'idempotent'
   */
  name?: string;
  /** The tenant whose keys these are. @default none */
  scope?: string;
  /** Fingerprinted: the same key with another payload is refused with KEY_REUSED. @default none */
  payload?: unknown;
  /** Aborting it ends this caller's waiting, never the work. @default none */
  signal?: AbortSignal;
}

/** Runs a function once for a key, and gives every duplicate the same answer. */
export interface Idempotent {
  /**
   * @throws IdempotencyError CONCURRENT_REQUEST, IDEMPOTENCY_TIMEOUT, KEY_REUSED, IN_DOUBT, RESULT_UNAVAILABLE,
   * LEASE_LOST, STORE_UNAVAILABLE, CORRUPT_RECORD, INVALID_KEY, INVALID_OPTIONS; or what `execute` threw, its own or
   * that of the attempt it waited on
   */
  <T>(options: IdempotentOptions<T>): Promise<T>;
  /**
   * What happened in this process so far on a store, to the operation `name`, or to all of them together.
   * `makeIdempotent` counts in the same place, under the function's name.
   */
  stats(of?: { name?: string; store?: AnyStore }): Stats;
}

const DEFAULT_NAME = 'idempotent';
const OPTION_NAMES = [...FUNCTION_OPTION_NAMES, 'execute', 'key', 'keyGenerator'];

/** For the composition root. */
export function createIdempotent(parts: FunctionParts): Idempotent {
  const idempotent = async <T>(options: IdempotentOptions<T>): Promise<T> => {
    const settings = functionSettings<T>('idempotent()', options, OPTION_NAMES);
    const { execute, name = DEFAULT_NAME, scope, payload, signal, store, ttl, logger } = options;
    if (typeof execute !== 'function') {
      throw new UsageError(
        'INVALID_OPTIONS',
        `execute is ${show(execute)}: give the function that is to run once`,
      );
    }
    checkFunction('keyGenerator', options.keyGenerator);
    const idempotency = instanceOf(parts.storeOf(store, logger), options);
    const suspicion = suspicionOf(ttl);
    if (suspicion) warnOnce(logger, `twiceshy: ${name}: ${suspicion}`);
    const key = options.key ?? (await otherKey(options, name));
    return perform(idempotency, { name, key, scope, payload, signal, options, settings, execute });
  };
  const stats: Idempotent['stats'] = ({ name, store } = {}) => tallyOf(parts.storeOf(store)).stats(name);
  return Object.assign(idempotent, { stats });
}

async function otherKey<T>(options: IdempotentOptions<T>, name: string): Promise<unknown> {
  const { keyGenerator, logger } = options;
  if (keyGenerator) return keyFrom('keyGenerator', keyGenerator);
  if ('key' in options) {
    const message = `key is ${String(options.key)}: what it was to be made of is missing; leave it out to run unprotected`;
    throw new UsageError('INVALID_KEY', message);
  }
  warnOnce(
    logger,
    `twiceshy: ${name} was given neither key nor keyGenerator: it runs under a key that no other call has, which protects ` +
      'nothing; give it a key',
  );
  return newToken();
}
