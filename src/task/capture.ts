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

/** What the framework did when it was told to go on: its own Result, or its own rejection. */
export type Live = { readonly result: ResultLike } | { readonly thrown: unknown };

export interface Captured {
  readonly live: Live;
  readonly outcome: Outcome<SavedResult>;
}

/** Runs the rest of the pipeline, and says what its end means. */
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
      'the task pipeline answered with something that is no Result: nobody can say what happened',
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
  // Refused before the work began: the same key may come again with valid input.
  if (isInvalidInput(result)) return { kind: 'released', error: saved };
  return judge(remember ?? isBusinessFailure, result, rule, saved);
}

/**
 * `next()` rejects when an inner middleware does, and when a lifecycle callback throws after the work has ended. The
 * task's own state tells which, and its own result says how the work ended: what a callback threw changes nothing about it.
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

/** The result of a task whose work has ended, also where the pipeline never gave it. */
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

/** What validation answers: reason `Invalid`, with the messages in the metadata. */
function isInvalidInput(result: ResultLike): boolean {
  const { errors } = plainObject(result.metadata);
  return result.reason === 'Invalid' && plainObject(errors).messages !== undefined;
}

/**
 * A failure that the task declared, as against one that befell it. The absence of a cause does not prove it: a task
 * that throws a sub-task's result, and a workflow, fail without one, so that the sub-task's cause and the form of the
 * reason (`[Name] message`, which an exception gets) count too.
 */
function isBusinessFailure(result: ResultLike): boolean {
  const hasCause = [result.cause, result.causedFailure?.cause].some(
    (cause) => cause !== undefined && cause !== null,
  );
  return !hasCause && !(typeof result.reason === 'string' && /^\[[^\]]+\]/.test(result.reason));
}
