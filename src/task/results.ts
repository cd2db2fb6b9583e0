import { UsageError } from '../core/errors.js';
import {
  isResultLike,
  plainObject,
  type ResultClass,
  type ResultLike,
  type ResultParts,
  type SavedResult,
  type TaskInternals,
} from './contract.js';

type Builder = (task: TaskInternals, saved: SavedResult) => unknown;

/**
 * Makes Results of the framework's own class. It does not import the framework, because that might load a second copy, whose
 * Results would not be `instanceof` the first copy's class.
 */
export class ResultFactory {
  #learned: unknown;

  /** @param given the class from the options; it takes precedence over a learned one */
  constructor(private readonly given: ResultClass | undefined) {}

  /** Remembers the class of a Result that the framework made. */
  learn(result: unknown): void {
    if (this.#learned === undefined && isResultLike(result)) this.#learned = result.constructor;
  }

  /**
   * Builds the Result of a duplicate.
   * @throws UsageError INVALID_OPTIONS if no known class can build it
   */
  build(task: TaskInternals, saved: SavedResult): ResultLike {
    for (const candidate of [this.given, this.#learned, classFromTask(task)]) {
      const built = tryBuild(candidate, task, saved);
      if (built) return built;
    }
    throw new UsageError(
      'INVALID_OPTIONS',
      "cannot build a Result for a duplicate: pass your framework's class, new IdempotencyMiddleware({ Result })",
    );
  }
}

function classFromTask(task: TaskInternals): unknown {
  try {
    const result = task._createResult?.();
    return isObject(result) ? result.constructor : undefined;
  } catch {
    return undefined;
  }
}

function tryBuild(candidate: unknown, task: TaskInternals, saved: SavedResult): ResultLike | undefined {
  if (typeof candidate !== 'function' || candidate === Object) return undefined;
  for (const build of [byConstructor(candidate), byStatics(candidate), byStaticsWithParts(candidate)]) {
    try {
      const result = build(task, saved);
      if (isResultLike(result) && result.status === saved.status && result.reason === saved.reason)
        return result;
    } catch {
      // This class is built in another way: try the next.
    }
  }
  return undefined;
}

function byConstructor(candidate: object): Builder {
  return (task, saved) =>
    Reflect.construct(candidate as new (parts: ResultParts) => unknown, [resultParts(task, saved)]);
}

type Statics = Record<string, ((...args: unknown[]) => unknown) | undefined>;

/** `Result.failed(task, reason, metadata)`. */
function byStatics(candidate: object): Builder {
  const statics = candidate as Statics;
  return (task, { status, reason, metadata }) =>
    status === 'success' ? statics.success?.(task, metadata) : statics[status]?.(task, reason, metadata);
}

/** `Result.failed(task, { reason, metadata, cause })`. */
function byStaticsWithParts(candidate: object): Builder {
  return (task, { status, reason, metadata, cause }) =>
    (candidate as Statics)[status]?.(task, { reason, metadata, cause });
}

function resultParts(task: TaskInternals, saved: SavedResult): ResultParts {
  return {
    task,
    context: task.context,
    chain: task.chain,
    index: task._index,
    state: saved.status === 'success' ? 'complete' : 'interrupted',
    status: saved.status,
    reason: saved.reason,
    cause: saved.cause,
    metadata: plainObject(saved.metadata),
    retries: 0,
    rolledBack: false,
  };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
