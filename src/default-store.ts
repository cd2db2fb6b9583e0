/** The default stores. This is the only file below the adapters that imports stores. */
import { invalid, show } from './core/check.js';
import { isIdempotencyStore, isLeaseStore, type IdempotencyStore, type LeaseStore } from './core/store.js';
import { warnThrough, type Logger } from './idempotency/logging.js';
import { KeyValueStore } from './stores/keyvalue/store.js';
import { InMemoryStore } from './stores/memory/store.js';
import { RedisStore } from './stores/redis/store.js';

/** The `store` option of functions: a LeaseStore, or a store with get, set, delete and clear. */
export type AnyStore = LeaseStore | IdempotencyStore<unknown>;

/** The argument of `new RedisStore()`: a URL, an ioredis client, or options. */
export type RedisInput = ConstructorParameters<typeof RedisStore>[0];

/** The default store of tasks. */
export const defaultTaskStore = (redis: RedisInput): RedisStore => new RedisStore(redis);

// One for the process, even if the ESM and the CommonJS build are both loaded: both must use the same records.
const STORES = Symbol.for('twiceshy.stores.1');

function processStores() {
  const holder = globalThis as {
    [STORES]?: { memory?: InMemoryStore; wrapped: WeakMap<object, LeaseStore> };
  };
  return (holder[STORES] ??= { wrapped: new WeakMap() });
}

/**
 * The store that `idempotent()` and `makeIdempotent()` use by default: one in memory for the whole process. Expired records are
 * removed when others are written. `startCleanup()` removes them by a timer too, and `close()` stops that timer. `clear()`
 * forgets everything, for example between tests.
 */
export function defaultStore(): InMemoryStore {
  return (processStores().memory ??= new InMemoryStore());
}

/**
 * The store for a function's option `store`: the store itself, a wrapper around a simple one, or the default store. The same
 * object always gives the same wrapper, whose warnings go to the logger of the first call.
 * @throws UsageError INVALID_OPTIONS
 */
export function storeFor(given: AnyStore | undefined, logger?: Logger): LeaseStore {
  const stores = processStores();
  if (given === undefined) return defaultStore();
  if (isLeaseStore(given)) return given;
  if (!isIdempotencyStore(given)) {
    throw invalid(
      `store is ${show(given)}: give an InMemoryStore, a RedisStore, another object with claim(), or one with get(), set(), ` +
        'delete() and clear()',
    );
  }
  let store = stores.wrapped.get(given);
  if (!store) {
    store = new KeyValueStore(given, logger ? { onWarning: warnThrough(logger) } : {});
    stores.wrapped.set(given, store);
  }
  return store;
}
