import type { Runtime } from '../idempotency/runtime.js';
import type { AdapterOperation, CacheHit } from '../idempotency/api.js';
import type { Attempt } from '../core/attempt/attempt.js';
import { answerInTime } from '../core/ask.js';
import { errorMessage } from '../core/check.js';
import { isIdempotencyError, UsageError } from '../core/errors.js';
import { checkScoped } from '../core/options.js';
import { inLogs, warnThrough } from '../idempotency/logging.js';
import { toReconcile, toWork } from '../idempotency/outcomes.js';
import type { FunctionOptions, FunctionSettings } from './options.js';

/** One call: its key, its work and its settings. */
export interface Call<T> extends Pick<AdapterOperation<T>, 'name' | 'key' | 'scope' | 'payload' | 'signal'> {
  readonly settings: FunctionSettings<FunctionOptions<T>>;
  readonly execute: (attempt: Attempt) => T | Promise<T>;
}

/**
 * Runs the work, or answers from a record, and calls the hook for the one that happened.
 * @throws IdempotencyError see its `code`; or what the work threw, in this call or in the recorded attempt
 */
export async function perform<T>(runtime: Runtime, call: Call<T>): Promise<T> {
  const { name, key, scope, payload, signal, settings } = call;
  const { policy, rule, options } = settings;
  const { prefix, onAbandoned, onCacheHit, onCacheMiss } = options;
  checkScoped(name, options.requireScope, scope);
  const report = reporter(call);
  const work = toWork(call.execute, settings.remember, rule);
  const reconcile = typeof onAbandoned === 'function' ? toReconcile(onAbandoned) : undefined;
  const answer = await runtime.answer<T>({
    ...{ key, name, scope, prefix, payload, policy, signal },
    onDuplicate: 'replay',
    onAbandoned: rule,
    onStart: onCacheMiss && (() => tell(report, 'onCacheMiss', () => onCacheMiss(key as string))),
    work,
    reconcile,
  });
  // If this call's own attempt lost its lease, onCacheMiss was called already: a call fires one hook.
  if (onCacheHit && answer.kind === 'duplicate' && !answer.lost) {
    const { record } = answer;
    const describe = () => runtime.describe<T>(key as string, record) as CacheHit<T>;
    tell(report, 'onCacheHit', () => onCacheHit(key as string, describe()));
  }
  return runtime.unwrap(answer);
}

/** A function that logs what a user's hook threw. The call does not depend on hooks. */
function reporter<T>({ name, key, settings }: Call<T>): (what: string, error: unknown) => void {
  return (what, error) => {
    const { logger, keysInLogs } = settings.options;
    const detail = inLogs({ key: String(key), error }, keysInLogs);
    const message = `twiceshy: ${what} of ${name} "${detail.key}" threw: ${errorMessage(detail.error)}`;
    warnThrough(logger)(message, { error: detail.error });
  };
}

/** Calls a user's hook. Its errors are logged and never fail the call. */
function tell(report: ReturnType<typeof reporter>, hook: string, call: () => unknown): void {
  const failed = (error: unknown) => report(hook, error);
  try {
    // Not awaited: a hook that hangs must not delay the answer.
    Promise.resolve(call()).catch(failed);
  } catch (error) {
    failed(error);
  }
}

/**
 * The key that a user's function returns.
 * @throws UsageError INVALID_KEY if it throws
 */
export async function keyFrom(option: string, compute: () => unknown): Promise<unknown> {
  try {
    return await answerInTime(option, compute);
  } catch (error) {
    if (isIdempotencyError(error)) throw error;
    throw new UsageError('INVALID_KEY', `${option} threw: ${errorMessage(error)}`, { cause: error });
  }
}
