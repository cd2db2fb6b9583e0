/** The stores that are taken where none is given: the only file below the faces that imports stores. */
import { invalid, show } from './core/check.js';
import { isIdempotencyStore, isLeaseStore, type IdempotencyStore, type LeaseStore } from './core/store.js';
import { warnThrough, type Logger } from './idempotency/logging.js';
import { KeyValueStore } from './stores/keyvalue/store.js';
import { InMemoryStore } from './stores/memory/store.js';
import { RedisStore } from './stores/redis/store.js';

/** Where the records of a function are. A store of the simple shape takes no part in the type of the result. */
export type AnyStore = LeaseStore | IdempotencyStore<unknown>;

/** What `new RedisStore()` takes: a URL, an ioredis client, or options. */
export type RedisInput = ConstructorParameters<typeof RedisStore>[0];

/** The store of tasks: Redis. */
export const defaultTaskStore = (redis: RedisInput): RedisStore => new RedisStore(redis);

// One per process, also where the ESM and the CommonJS build are both loaded: two copies of the library must meet in the
// same records.
const STORES = Symbol.for('twiceshy.stores.1');

function processStores() {
  const holder = globalThis as {
    [STORES]?: { memory?: InMemoryStore; wrapped: WeakMap<object, LeaseStore> };
  };
  return (holder[STORES] ??= { wrapped: new WeakMap() });
}

/**
 * The store of `idempotent()` and `makeIdempotent()` where none is given: one in memory, the same for the whole process.
 * Its expired records go as others are written; `startCleanup()` frees them by a timer too, `clear()` forgets everything,
 * as between tests, and `close()` ends the timer.
 */
export function defaultStore(): InMemoryStore {
  return (processStores().memory ??= new InMemoryStore());
}

/**
 * The store that the option `store` of a function means: itself, a wrapper of it, or the process's own. Two calls with one
 * object have one store; what a wrapper has to say goes to the first logger that comes with it.
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
