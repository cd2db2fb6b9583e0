/** The composition root: the only file that may import stores and faces together. */
import { ANY, BOOLEAN, invalid, OBJECT, readOptions, show, type OptionTable } from './core/check.js';
import { LEASE_STORE } from './core/options.js';
import { isIdempotencyStore, isLeaseStore, type LeaseStore } from './core/store.js';
import type { IdempotencyOptions } from './api.js';
import { createIdempotent } from './function/idempotent.js';
import { createMakeIdempotent } from './function/make-idempotent.js';
import type { AnyStore } from './function/options.js';
import { adapterOf, createIdempotency } from './idempotency.js';
import { KEYS_IN_LOGS, warnThrough, type Logger } from './logging.js';
import { KeyValueStore } from './stores/keyvalue.js';
import { InMemoryStore } from './stores/memory.js';
import { RedisStore } from './stores/redis.js';
import type { ResultClass } from './task/contract.js';
import { TaskMiddleware } from './task/middleware.js';
import { TASK_DEFAULTS, type TaskDefaults } from './task/options.js';

export type IdempotencyMiddlewareOptions = TaskDefaults &
  Pick<IdempotencyOptions, 'requireScope' | 'codec' | 'logger' | 'keysInLogs'> & {
    /** A URL, an ioredis client, or RedisStore's options. @default process.env.REDIS_URL || 'redis://localhost:6379' */
    redis?: ConstructorParameters<typeof RedisStore>[0];
    /** Any store, in the place of Redis. */
    store?: LeaseStore;
    /** The framework's Result class, for duplicates. @default learnt from the framework's own Results */
    Result?: ResultClass;
  };

export const MIDDLEWARE_OPTIONS = {
  ...TASK_DEFAULTS,
  redis: ANY,
  store: LEASE_STORE,
  Result: ANY,
  requireScope: BOOLEAN,
  codec: OBJECT,
  logger: OBJECT,
  keysInLogs: KEYS_IN_LOGS,
} satisfies OptionTable<IdempotencyMiddlewareOptions>;

/**
 * Idempotency for tasks, declared in a task's `static middlewares`, as `[instance, options]` or as the typed
 * `instance.with<ThisTask>(options)`. Nothing connects before the first task runs.
 */
export class IdempotencyMiddleware extends TaskMiddleware {
  readonly #ownStore: LeaseStore | undefined;

  /**
   * @param input a Redis URL (default: `process.env.REDIS_URL`, else `redis://localhost:6379`, read at the first use),
   * or options
   * @throws UsageError INVALID_OPTIONS
   */
  constructor(input: string | IdempotencyMiddlewareOptions = {}) {
    const given = typeof input === 'string' ? { redis: input } : input;
    const notes: string[] = [];
    const options = readOptions('IdempotencyMiddleware', MIDDLEWARE_OPTIONS, given, (note) =>
      notes.push(note),
    );
    const { redis, store, Result, requireScope, codec, logger, keysInLogs, ...defaults } = options;
    const ownStore = store ? undefined : new RedisStore(redis);
    const idempotency = createIdempotency({
      store: store ?? (ownStore as RedisStore),
      ...(requireScope && { requireScope }),
      ...(codec && { codec }),
      ...(logger && { logger }),
      ...(keysInLogs && { keysInLogs }),
    });
    const adapter = adapterOf(idempotency);
    notes.forEach(adapter.note);
    super({ adapter, defaults, Result, warn: warnThrough(logger) });
    this.#ownStore = ownStore;
  }

  /** Waits for running tasks and unrecorded results, 10 s at most, and closes the connections that it opened. */
  async close(): Promise<void> {
    await this.parts.adapter.close();
    await this.#ownStore?.close?.();
  }
}

// One per URL and process, also where the ESM and the CommonJS build are both loaded.
const SHARED = Symbol.for('twiceshy.middlewares.1');

/**
 * The process's one middleware for a Redis URL.
 * @param url default: `process.env.REDIS_URL`, else `redis://localhost:6379`
 */
export function getIdempotencyMiddleware(url?: string): IdempotencyMiddleware {
  const holder = globalThis as { [SHARED]?: Map<string | undefined, IdempotencyMiddleware> };
  const shared = (holder[SHARED] ??= new Map());
  let middleware = shared.get(url);
  if (!middleware) shared.set(url, (middleware = new IdempotencyMiddleware(url)));
  return middleware;
}

// One per process, like the middlewares: two copies of the library must meet in the same records.
const STORES = Symbol.for('twiceshy.stores.1');

function storesOfProcess() {
  const holder = globalThis as {
    [STORES]?: { memory?: InMemoryStore; wrapped: WeakMap<object, LeaseStore> };
  };
  return (holder[STORES] ??= { wrapped: new WeakMap() });
}

/**
 * The store of {@link idempotent} and {@link makeIdempotent} where none is given: one in memory, the same for the whole process.
 * Its expired records go as others are written; `startCleanup()` frees them by a timer too, `clear()` forgets everything,
 * as between tests, and `close()` ends the timer.
 */
export function defaultStore(): InMemoryStore {
  return (storesOfProcess().memory ??= new InMemoryStore());
}

/** The store that an option of the function face means: two calls with one object have one store. */
function storeOf(given: AnyStore | undefined, logger?: Logger): LeaseStore {
  const stores = storesOfProcess();
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

/** Runs a function once for a key, and gives every duplicate the same answer. */
export const idempotent = /* @__PURE__ */ createIdempotent({ storeOf });

/** Wraps a function: calls with the same key, by default with the same arguments, run it once. */
export const makeIdempotent = /* @__PURE__ */ createMakeIdempotent({ storeOf });
