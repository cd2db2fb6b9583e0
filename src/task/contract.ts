import { UsageError } from '../core/errors.js';

/**
 * The types that the middleware needs from a task framework. They are structural: cero-ts and our own pipeline have these
 * members, and neither is imported here.
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

/** Members of a task that are not public in the framework, so each may be missing. */
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

/** The constructor argument of cero-ts' Result, with its names. */
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

/** A Result class. That of cero-ts and ours take the parts; others have a static function for each status. */
export type ResultClass =
  | (new (parts: never) => ResultLike)
  | {
      success(task: never, metadata?: never): ResultLike;
      skipped(task: never, reason?: never, metadata?: never): ResultLike;
      failed(task: never, reason?: never, metadata?: never): ResultLike;
    };

/** A result as it is recorded: what duplicates need, without the task's inputs. */
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

export function isSavedResult(value: unknown): value is SavedResult {
  return typeof value === 'object' && value !== null && 'status' in value && isTaskStatus(value.status);
}

export function plainObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/**
 * @throws UsageError INVALID_OPTIONS if the task's context lacks a method that is needed
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
