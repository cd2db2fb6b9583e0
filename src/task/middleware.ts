import type { Adapter } from '../adapter.js';
import type { Attempt } from '../core/attempt.js';
import { answerOf } from '../core/ask.js';
import { BOOLEAN, readOptions, show, something } from '../core/check.js';
import { DuplicateError, isIdempotencyError, UsageError, type ErrorCode } from '../core/errors.js';
import { FIXED_SCOPE } from '../core/options.js';
import { failureOutcome, type Answer, type DuplicateAnswer, type Outcome } from '../core/outcome.js';
import type { StoredRecord } from '../core/record.js';
import type { IdempotencyRecord } from '../api.js';
import { capture, type Live } from './capture.js';
import { applyChanges, fillGaps } from './context-changes.js';
import {
  checkContext,
  isSavedResult,
  type ContextLike,
  type ResultClass,
  type ResultLike,
  type SavedResult,
  type TaskInternals,
  type TaskLike,
} from './contract.js';
import {
  taskSettings,
  type TaskDefaults,
  type TaskOptions,
  type TaskReconciled,
  type TaskSettings,
} from './options.js';
import { ResultFactory } from './results.js';

/** What the middleware stands on; `IdempotencyMiddleware` brings it together with a store. */
export interface TaskMiddlewareParts {
  readonly adapter: Adapter;
  readonly defaults: TaskDefaults;
  readonly Result: ResultClass | undefined;
  readonly warn: (message: string) => void;
}

type TaskClass = abstract new (...args: never[]) => unknown;

/** The reasons that the recipe gave, word for word, since people match on them. */
const REASONS: Partial<Record<ErrorCode, string>> = {
  DUPLICATE_EXECUTION: 'Duplicate execution not allowed',
  IDEMPOTENCY_TIMEOUT: 'Timeout waiting for concurrent execution',
  CONCURRENT_REQUEST: 'Concurrent execution rejected',
};
const SKIPPED_REASON = 'Duplicate execution prevented';

const GET_OPTIONS = { scope: FIXED_SCOPE };
const FORGET_OPTIONS = { scope: FIXED_SCOPE, force: BOOLEAN };

/** The task face: keys from tasks, and Results from answers. */
export class TaskMiddleware {
  readonly #settings = new WeakMap<object, TaskSettings>();
  readonly #results: ResultFactory;

  constructor(protected readonly parts: TaskMiddlewareParts) {
    this.#results = new ResultFactory(parts.Result);
  }

  /** The typed form of an entry in `static middlewares`: `idempotency.with<ChargeCard>({ key: (task) => ... })`. */
  with<Task = TaskLike>(options: TaskOptions<Task>): [this, TaskOptions<Task>] {
    return [this, options];
  }

  /**
   * What the pipeline calls. A duplicate, a bad key and a store that is down end as Results, as the framework's
   * `execute()` promises; only a rejection of the pipeline itself is passed on.
   * @throws UsageError INVALID_OPTIONS when no Result class is known that a duplicate could be given
   */
  async call<R>(task: TaskLike, options: object, next: () => Promise<R>): Promise<R> {
    // The framework's Result type is opaque here: what comes back is its own Result, or one of the same class.
    return (await this.#call(task, options, next)) as R;
  }

  async #call(task: TaskInternals, given: object, next: () => Promise<unknown>): Promise<ResultLike> {
    let live: Live | undefined;
    try {
      const settings = this.#settingsOf(given);
      checkContext(task);
      const answer = await this.#ask(task, settings, async () => {
        const { remember } = settings.options;
        const captured = await capture(task, next, this.parts.adapter.codec, remember, settings.onAbandoned);
        live = captured.live;
        return captured.outcome;
      });
      if (answer.kind === 'ran' && answer.by === 'work' && live) return this.#ownResult(live);
      return this.#results.build(task, this.#savedFor(answer, task.context));
    } catch (error) {
      // The framework's own rejection is not ours to hide.
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
    return this.parts.adapter.answer<SavedResult>({
      key: await keyOf(task, options),
      name: nameOf(task.constructor, options.name),
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

  #savedFor(answer: Answer<SavedResult>, context: ContextLike): SavedResult {
    switch (answer.kind) {
      case 'ran': {
        // A reconcile function gave the outcome, and the pipeline did not run.
        const { outcome } = answer;
        const saved = outcome.kind === 'completed' ? outcome.value : outcome.error;
        if (!isSavedResult(saved)) return refusal(saved);
        applyChanges(saved, context);
        return saved;
      }
      case 'duplicate':
        return this.#savedForDuplicate(answer.how, answer.record, context);
      case 'refused':
        return refusal(answer.error);
      case 'left':
        return refusal(answer.reason);
    }
  }

  #savedForDuplicate(how: DuplicateAnswer, record: StoredRecord, context: ContextLike): SavedResult {
    if (how === 'replay') {
      const saved = this.#read(record);
      (record.format === 'recipe' ? fillGaps : applyChanges)(saved, context);
      return saved;
    }
    const originalStatus = this.#statusOf(record);
    if (how === 'skip') {
      return { status: 'skipped', reason: SKIPPED_REASON, metadata: { idempotent: true, originalStatus } };
    }
    const error = new DuplicateError(
      'DUPLICATE_EXECUTION',
      'this key was executed before, and onDuplicate is "fail"',
    );
    return refusal(error, { originalStatus });
  }

  #read(record: StoredRecord): SavedResult {
    const value =
      record.format === 'recipe' ? parseRecipe(record.payload) : this.parts.adapter.decode(record);
    if (isSavedResult(value)) return value;
    // A failure that could not be encoded in full was recorded as a plain error.
    if (record.status === 'FAILED') return refusal(value);
    return refusal(new UsageError('INVALID_KEY', 'the record under this key was not written by a task'));
  }

  #statusOf(record: StoredRecord): string {
    try {
      return this.#read(record).status;
    } catch {
      // Recorded without its value: the status of the record is all there is.
      return record.status === 'COMPLETED' ? 'success' : 'failed';
    }
  }

  /** The record of a task's key, or undefined. */
  async get(
    taskClass: TaskClass,
    key: string,
    where: { scope?: string } = {},
  ): Promise<IdempotencyRecord | undefined> {
    return this.parts.adapter.get(key, this.#placeOf(taskClass, readOptions('get()', GET_OPTIONS, where)));
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
    return this.parts.adapter.override(key, this.#placeOf(taskClass, where), { kind: 'forget', force });
  }

  #placeOf(taskClass: TaskClass, where: { scope?: string }) {
    const { middlewares } = taskClass as { middlewares?: unknown };
    const entries: unknown[] = Array.isArray(middlewares) ? middlewares : [];
    const entry = entries.find((each): each is [unknown, object] => Array.isArray(each) && each[0] === this);
    const options: Partial<TaskOptions> = entry ? this.#settingsOf(entry[1]).options : this.parts.defaults;
    const scope = where.scope ?? (typeof options.scope === 'string' ? options.scope : undefined);
    return {
      name: nameOf(taskClass, options.name),
      ...(options.prefix !== undefined && { prefix: options.prefix }),
      ...(scope !== undefined && { scope }),
    };
  }

  #settingsOf(given: object): TaskSettings {
    const { defaults, warn } = this.parts;
    let settings = this.#settings.get(given);
    if (!settings) this.#settings.set(given, (settings = taskSettings(given, defaults, warn)));
    return settings;
  }
}

async function keyOf(task: TaskLike, options: TaskOptions): Promise<unknown> {
  const { key } = options;
  if (typeof key === 'string') return key;
  try {
    return await answerOf('the key function', () => key(task));
  } catch (error) {
    if (isIdempotencyError(error)) throw error;
    throw new UsageError('INVALID_KEY', `the key function threw: ${show(error)}`, { cause: error });
  }
}

function nameOf(taskClass: object, given: string | undefined): string {
  const name = given ?? (taskClass as { name?: unknown }).name;
  if (typeof name === 'string' && (given !== undefined || name.length > 2)) return name;
  throw new UsageError(
    'INVALID_OPTIONS',
    `the task class is named ${show(name)}, as if minified, so that tasks would share keys: give the option name`,
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
      `the onAbandoned function answered ${show(found)}: it answers "run", or { status } of a result`,
    );
  }
  return found.status === 'failed' ? failureOutcome('final', found) : { kind: 'completed', value: found };
}

function refusal(error: unknown, more: Record<string, unknown> = {}): SavedResult {
  const message = error instanceof Error ? error.message : show(error);
  if (!isIdempotencyError(error)) return { status: 'failed', reason: message, metadata: more, cause: error };
  const metadata = { code: error.code, ...more };
  return { status: 'failed', reason: REASONS[error.code] ?? message, metadata, cause: error };
}

function parseRecipe(payload: string | undefined): unknown {
  try {
    return JSON.parse(payload ?? '');
  } catch {
    return undefined;
  }
}
