import type { Attempt } from '../core/attempt/attempt.js';
import { answerInTime } from '../core/ask.js';
import {
  ANY,
  BOOLEAN,
  FUNCTION,
  invalid,
  OBJECT,
  readOptions,
  show,
  something,
  type OptionTable,
} from '../core/check.js';
import { isIdempotencyError, UsageError } from '../core/errors.js';
import { ADMIT, FIXED_SCOPE, LEASE_STORE } from '../core/options.js';
import { failureOutcome, type Answer, type Outcome } from '../core/outcome.js';
import type { LeaseStore } from '../core/store.js';
import { defaultTaskStore, type RedisInput } from '../default-store.js';
import type { Runtime } from '../idempotency/runtime.js';
import type { IdempotencyOptions, IdempotencyRecord } from '../idempotency/api.js';
import { getRuntime, createIdempotency } from '../idempotency/idempotency.js';
import { KEYS_IN_LOGS, warnThrough } from '../idempotency/logging.js';
import { capture, type Live } from './capture.js';
import {
  checkContext,
  isSavedResult,
  type ResultClass,
  type ResultLike,
  type SavedResult,
  type TaskInternals,
  type TaskLike,
} from './contract.js';
import {
  TASK_DEFAULTS,
  taskSettings,
  type TaskDefaults,
  type TaskOptions,
  type TaskReconciled,
  type TaskSettings,
} from './options.js';
import { refusal, Replies } from './replies.js';
import { ResultFactory } from './results.js';

type TaskClass = abstract new (...args: never[]) => unknown;

const GET_OPTIONS = { scope: FIXED_SCOPE };
const FORGET_OPTIONS = { scope: FIXED_SCOPE, force: BOOLEAN };

export type IdempotencyMiddlewareOptions = TaskDefaults &
  Pick<IdempotencyOptions, 'requireScope' | 'codec' | 'logger' | 'keysInLogs' | 'admit'> & {
    /** A URL, an ioredis client, or the options of RedisStore. @default process.env.REDIS_URL || 'redis://localhost:6379' */
    redis?: RedisInput;
    /** Any other store, instead of Redis. @default a RedisStore, as `redis` says */
    store?: LeaseStore;
    /** The framework's Result class, used for duplicates. @default taken from the Results that the framework makes */
    Result?: ResultClass;
  };

export const MIDDLEWARE_OPTIONS = {
  ...TASK_DEFAULTS,
  redis: ANY,
  store: LEASE_STORE,
  Result: FUNCTION,
  requireScope: BOOLEAN,
  codec: OBJECT,
  logger: OBJECT,
  admit: ADMIT,
  keysInLogs: KEYS_IN_LOGS,
} satisfies OptionTable<IdempotencyMiddlewareOptions>;

/**
 * Idempotency for tasks. It is declared in a task's `static middlewares`, as `[instance, options]` or as the typed
 * `instance.with<ThisTask>(options)`. It connects to Redis when the first task runs.
 *
 * @example
 * const idempotency = new IdempotencyMiddleware('redis://localhost:6379');
 * class ChargeCard extends Task {
 *   static middlewares = [[idempotency, { key: (task) => task.context.get('orderId') }]];
 * }
 */
export class IdempotencyMiddleware {
  readonly #runtime: Runtime;
  readonly #replies: Replies;
  readonly #results: ResultFactory;
  readonly #defaults: TaskDefaults;
  readonly #warn: (message: string) => void;
  readonly #settings = new WeakMap<object, TaskSettings>();
  readonly #ownStore: LeaseStore | undefined;

  /**
   * @param input options, or a Redis URL. Default: `process.env.REDIS_URL`, else `redis://localhost:6379`, read at the first use
   * @throws UsageError INVALID_OPTIONS
   */
  constructor(input: string | IdempotencyMiddlewareOptions = {}) {
    const given = typeof input === 'string' ? { redis: input } : input;
    const notes: string[] = [];
    const options = readOptions('IdempotencyMiddleware', MIDDLEWARE_OPTIONS, given, (note) =>
      notes.push(note),
    );
    const { redis, store, Result, requireScope, codec, logger, keysInLogs, admit, ...defaults } = options;
    if (store && redis !== undefined)
      throw invalid(
        'IdempotencyMiddleware takes redis or store, not both: each says where the records are kept',
      );
    const ownStore = store ? undefined : defaultTaskStore(redis);
    const idempotency = createIdempotency({
      store: store ?? ownStore!,
      ...(requireScope && { requireScope }),
      ...(codec && { codec }),
      ...(logger && { logger }),
      ...(admit && { admit }),
      ...(keysInLogs && { keysInLogs }),
    });
    this.#runtime = getRuntime(idempotency);
    notes.forEach(this.#runtime.note);
    this.#replies = new Replies(this.#runtime);
    this.#results = new ResultFactory(Result);
    this.#defaults = defaults;
    this.#warn = warnThrough(logger);
    this.#ownStore = ownStore;
  }

  /** An entry for `static middlewares` with typed options: `idempotency.with<ChargeCard>({ key: (task) => ... })`. */
  with<Task = TaskLike>(options: TaskOptions<Task>): [this, TaskOptions<Task>] {
    return [this, options];
  }

  /**
   * Called by the pipeline. Duplicates, invalid keys and store failures become Results, because the framework's `execute()`
   * promises a Result. Only a rejection of the pipeline itself is passed on.
   * @throws UsageError INVALID_OPTIONS if no Result class is known to build a duplicate's Result
   */
  async call<R>(task: TaskLike, options: object, next: () => Promise<R>): Promise<R> {
    // R is the framework's Result type, unknown here: the value is its own Result, or one of the same class.
    return (await this.#call(task, options, next)) as R;
  }

  async #call(task: TaskInternals, given: object, next: () => Promise<unknown>): Promise<ResultLike> {
    let live: Live | undefined;
    try {
      const settings = this.#entrySettings(given);
      checkContext(task);
      const answer = await this.#ask(task, settings, async () => {
        const { remember } = settings.options;
        const captured = await capture(task, next, this.#runtime.codec, remember, settings.onAbandoned);
        live = captured.live;
        return captured.outcome;
      });
      if (answer.kind === 'ran' && answer.by === 'work' && live) return this.#ownResult(live);
      return this.#results.build(task, this.#replies.to(answer, task.context));
    } catch (error) {
      // The framework's own rejection is passed on.
      if (live && 'thrown' in live && live.thrown === error) throw error;
      return this.#results.build(task, refusal(error));
    }
  }

  async #ask(
    task: TaskInternals,
    settings: TaskSettings,
    work: () => Promise<Outcome<SavedResult>>,
  ): Promise<Answer<SavedResult>> {
    const { options, policy, onDuplicate, onAbandoned } = settings;
    const { onAbandoned: reconcile } = options;
    return this.#runtime.answer<SavedResult>({
      key: await taskKey(task, options),
      name: taskName(task.constructor, options.name),
      scope: typeof options.scope === 'function' ? something('scope', options.scope(task)) : options.scope,
      prefix: options.prefix,
      payload: options.payload && something('payload', options.payload(task)),
      policy,
      onDuplicate,
      onAbandoned,
      signal: undefined,
      work,
      reconcile:
        typeof reconcile === 'function' ? (attempt) => reconciled(task, reconcile, attempt) : undefined,
    });
  }

  #ownResult(live: Live): ResultLike {
    if ('thrown' in live) throw live.thrown;
    this.#results.learn(live.result);
    return live.result;
  }

  /** The record of a task's key, or undefined. */
  async get(
    taskClass: TaskClass,
    key: string,
    where: { scope?: string } = {},
  ): Promise<IdempotencyRecord | undefined> {
    return this.#runtime.get(key, this.#recordPlace(taskClass, readOptions('get()', GET_OPTIONS, where)));
  }

  /**
   * Forgets a task's key, so that its next execution runs. `false` when there is no record.
   * @throws DuplicateError CONCURRENT_REQUEST while an attempt runs, unless forced
   */
  async forget(
    taskClass: TaskClass,
    key: string,
    options: { scope?: string; force?: boolean } = {},
  ): Promise<boolean> {
    const { force = false, ...where } = readOptions('forget()', FORGET_OPTIONS, options);
    return this.#runtime.override(key, this.#recordPlace(taskClass, where), { kind: 'forget', force });
  }

  /** Waits at most 10 s for running tasks and unrecorded results, then closes the connections that it opened. */
  async close(): Promise<void> {
    await this.#runtime.close();
    await this.#ownStore?.close?.();
  }

  #recordPlace(taskClass: TaskClass, where: { scope?: string }) {
    const { middlewares } = taskClass as { middlewares?: unknown };
    const entries: unknown[] = Array.isArray(middlewares) ? middlewares : [];
    const entry = entries.find((each): each is [unknown, object] => Array.isArray(each) && each[0] === this);
    const options: Partial<TaskOptions> = entry ? this.#entrySettings(entry[1]).options : this.#defaults;
    const scope = where.scope ?? (typeof options.scope === 'string' ? options.scope : undefined);
    return {
      name: taskName(taskClass, options.name),
      ...(options.prefix !== undefined && { prefix: options.prefix }),
      ...(scope !== undefined && { scope }),
    };
  }

  #entrySettings(given: object): TaskSettings {
    let settings = this.#settings.get(given);
    if (!settings) this.#settings.set(given, (settings = taskSettings(given, this.#defaults, this.#warn)));
    return settings;
  }
}

async function taskKey(task: TaskLike, options: TaskOptions): Promise<unknown> {
  const { key } = options;
  if (typeof key === 'string') return key;
  try {
    return await answerInTime('the key function', () => key(task));
  } catch (error) {
    if (isIdempotencyError(error)) throw error;
    throw new UsageError('INVALID_KEY', `the key function threw: ${show(error)}`, { cause: error });
  }
}

function taskName(taskClass: object, given: string | undefined): string {
  const name = given ?? (taskClass as { name?: unknown }).name;
  if (typeof name === 'string' && (given !== undefined || name.length > 2)) return name;
  throw new UsageError(
    'INVALID_OPTIONS',
    `the task class is named ${show(name)}, which looks minified: tasks with such names would share records: give the option name`,
  );
}

async function reconciled(
  task: TaskLike,
  reconcile: (task: TaskLike, attempt: Attempt) => TaskReconciled | Promise<TaskReconciled>,
  attempt: Attempt,
): Promise<Outcome<SavedResult> | 'run'> {
  const found = await reconcile(task, attempt);
  if (found === 'run') return 'run';
  if (!isSavedResult(found)) {
    throw new UsageError(
      'INVALID_OPTIONS',
      `the onAbandoned function returned ${show(found)}: it must return "run", or a result with a status`,
    );
  }
  return found.status === 'failed' ? failureOutcome('final', found) : { kind: 'completed', value: found };
}

// One for each URL in the process, even if the ESM and the CommonJS build are both loaded.
const SHARED = Symbol.for('twiceshy.middlewares.1');

/**
 * The middleware for a Redis URL. It is made once and shared in the process.
 * @param url default: `process.env.REDIS_URL`, else `redis://localhost:6379`
 */
export function getIdempotencyMiddleware(url?: string): IdempotencyMiddleware {
  const holder = globalThis as { [SHARED]?: Map<string | undefined, IdempotencyMiddleware> };
  const shared = (holder[SHARED] ??= new Map());
  let middleware = shared.get(url);
  if (!middleware) shared.set(url, (middleware = new IdempotencyMiddleware(url)));
  return middleware;
}
