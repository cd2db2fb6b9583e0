import type { Codec } from '../codec/index.js';
import { show } from '../core/check.js';
import type { Remember } from '../core/options.js';
import { judge, type Outcome } from '../core/outcome.js';
import type { AbandonedRule } from '../core/record.js';
import { changesSince, takeSnapshot } from './context-changes.js';
import {
  isResultLike,
  isTaskStatus,
  plainObject,
  type ResultLike,
  type SavedResult,
  type TaskInternals,
} from './contract.js';

/** How `next()` of the framework ended: with its own Result, or with a rejection. */
export type Live = { readonly result: ResultLike } | { readonly thrown: unknown };

export interface Captured {
  readonly live: Live;
  readonly outcome: Outcome<SavedResult>;
}

/** Runs the rest of the pipeline, and turns its end into an outcome. */
export async function capture(
  task: TaskInternals,
  next: () => Promise<unknown>,
  codec: Codec,
  remember: Remember<ResultLike> | undefined,
  rule: AbandonedRule,
): Promise<Captured> {
  const before = takeSnapshot(task.context, codec);
  let result: unknown;
  try {
    result = await next();
  } catch (thrown) {
    return {
      live: { thrown },
      outcome: rejectionOutcome(
        task,
        thrown,
        () => changesSince(before, task.context, codec),
        remember,
        rule,
      ),
    };
  }
  if (!isResultLike(result)) {
    const thrown = new TypeError(
      'the task pipeline returned something that is not a Result, so it is not known what happened',
    );
    return { live: { thrown }, outcome: { kind: 'unknown', error: thrown } };
  }
  const saved = { ...savedFrom(result), ...changesSince(before, task.context, codec) };
  return { live: { result }, outcome: resultOutcome(result, saved, remember, rule) };
}

function resultOutcome(
  result: ResultLike,
  saved: SavedResult,
  remember: Remember<ResultLike> | undefined,
  rule: AbandonedRule,
): Outcome<SavedResult> {
  if (result.status !== 'failed') return { kind: 'completed', value: saved };
  // Validation refused the input before the work began: the same key may come again with valid input.
  if (isInvalidInput(result)) return { kind: 'released', error: saved };
  return judge(remember ?? isBusinessFailure, result, rule, saved);
}

/**
 * `next()` rejects if an inner middleware rejects, or if a lifecycle callback throws after the work has ended. The task's state
 * shows which. In the second case the task's own result says how the work ended; what the callback threw does not change that.
 */
function rejectionOutcome(
  task: TaskInternals,
  thrown: unknown,
  changes: () => Pick<SavedResult, 'context' | 'removed'>,
  remember: Remember<ResultLike> | undefined,
  rule: AbandonedRule,
): Outcome<SavedResult> {
  const ended = endedResult(task);
  if (ended) return resultOutcome(ended, { ...savedFrom(ended), ...changes() }, remember, rule);
  if (task._state === 'complete') return { kind: 'completed', value: { status: 'success', ...changes() } };
  if (task._state === 'interrupted') {
    const reason = thrown instanceof Error ? `[${thrown.name}] ${thrown.message}` : shown(thrown);
    const failed: SavedResult = { status: 'failed', reason, cause: thrown };
    return resultOutcome(failed, { ...failed, ...changes() }, remember, rule);
  }
  // The work may still be running.
  return {
    kind: 'unknown',
    error: { status: 'failed', reason: 'the pipeline rejected while the work ran', cause: thrown },
  };
}

/** The result of a task whose work has ended, even if the pipeline did not return it. */
function endedResult(task: TaskInternals): ResultLike | undefined {
  if (task._state !== 'complete' && task._state !== 'interrupted') return undefined;
  try {
    const result = task._createResult?.();
    const isSuccess = task._state === 'complete';
    return isResultLike(result) && (result.status === 'success') === isSuccess ? result : undefined;
  } catch {
    return undefined;
  }
}

const shown = (thrown: unknown) => (typeof thrown === 'string' ? thrown : show(thrown));

function savedFrom(result: ResultLike): SavedResult {
  const metadata = plainObject(result.metadata);
  return {
    status: isTaskStatus(result.status) ? result.status : 'failed',
    ...(typeof result.reason === 'string' && { reason: result.reason }),
    ...(Object.keys(metadata).length > 0 && { metadata }),
    ...(result.cause !== undefined && result.cause !== null && { cause: result.cause }),
  };
}

/** Whether this is the result of a failed validation: reason `Invalid`, with messages in the metadata. */
function isInvalidInput(result: ResultLike): boolean {
  const { errors } = plainObject(result.metadata);
  return result.reason === 'Invalid' && plainObject(errors).messages !== undefined;
}

/**
 * Whether the task itself declared the failure, and no exception caused it. A missing cause is not enough: a workflow, or a task
 * that throws a sub-task's result, fails without one. So the sub-task's cause counts too, and the form of the reason, which is
 * `[Name] message` for an exception.
 */
function isBusinessFailure(result: ResultLike): boolean {
  const hasCause = [result.cause, result.causedFailure?.cause].some(
    (cause) => cause !== undefined && cause !== null,
  );
  return !hasCause && !(typeof result.reason === 'string' && /^\[[^\]]+\]/.test(result.reason));
}
