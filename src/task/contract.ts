import { UsageError } from '../core/errors.js';

/**
 * The shapes that the middleware needs of a task framework. Structural: cero-ts has them, our own pipeline has
 * them, and neither is imported here.
 */

/** The context of a task: a map that the tasks of one workflow share. */
export interface ContextLike {
  get(name: string): unknown;
  set(name: string, value: unknown): unknown;
  has(name: string): boolean;
  delete(name: string): unknown;
  toObject(): Record<string, unknown>;
}

export interface TaskLike {
  readonly context: ContextLike;
  readonly chain?: unknown;
}

/** What a framework's run-time task has beside that; read with care, since it is not public. */
export interface TaskInternals extends TaskLike {
  readonly _index?: unknown;
  /** `executing` while the work may still run, then `complete` or `interrupted`. */
  readonly _state?: unknown;
  _createResult?(): unknown;
}

export type TaskStatus = 'success' | 'skipped' | 'failed';

export interface ResultLike {
  readonly status: string;
  readonly reason?: unknown;
  readonly cause?: unknown;
  readonly metadata?: unknown;
  /** In a workflow: the sub-task's result that made it fail. */
  readonly causedFailure?: { readonly cause?: unknown } | undefined;
}

/** What a Result is built from, by the name cero-ts' constructor gives each part. */
export interface ResultParts {
  readonly task: unknown;
  readonly context: unknown;
  readonly chain: unknown;
  readonly index: unknown;
  readonly state: 'complete' | 'interrupted';
  readonly status: TaskStatus;
  readonly reason: string | undefined;
  readonly cause: unknown;
  readonly metadata: Record<string, unknown>;
  readonly retries: number;
  readonly rolledBack: boolean;
}

/** A Result class: cero-ts' and ours take the parts; others have a static function per status. */
export type ResultClass =
  | (new (parts: never) => ResultLike)
  | {
      success(task: never, metadata?: never): ResultLike;
      skipped(task: never, reason?: never, metadata?: never): ResultLike;
      failed(task: never, reason?: never, metadata?: never): ResultLike;
    };

/** A result as it is recorded: what its duplicates need, and none of the task's inputs. */
export interface SavedResult {
  readonly status: TaskStatus;
  readonly reason?: string;
  readonly metadata?: Record<string, unknown>;
  /** The context members that the task set or changed. */
  readonly context?: Record<string, unknown>;
  /** The context members that the task removed. */
  readonly removed?: readonly string[];
  readonly cause?: unknown;
}

export function isResultLike(value: unknown): value is ResultLike {
  return typeof value === 'object' && value !== null && 'status' in value && isTaskStatus(value.status);
}

export function isTaskStatus(status: unknown): status is TaskStatus {
  return status === 'success' || status === 'skipped' || status === 'failed';
}

/** A record read back as a saved result, or undefined when it is something else. */
export function isSavedResult(value: unknown): value is SavedResult {
  return typeof value === 'object' && value !== null && 'status' in value && isTaskStatus(value.status);
}

export function plainObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/**
 * @throws UsageError INVALID_OPTIONS for a task whose context is no map
 */
export function checkContext(task: TaskLike): void {
  const context: Partial<ContextLike> | undefined = task.context;
  for (const method of ['get', 'set', 'has', 'delete', 'toObject'] as const) {
    if (typeof context?.[method] === 'function') continue;
    throw new UsageError(
      'INVALID_OPTIONS',
      `the task has no context.${method}(): this middleware needs a context like cero-ts'`,
    );
  }
}
