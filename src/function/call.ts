import type { Adapter } from '../idempotency/adapter.js';
import type { CacheHit, FaceOperation } from '../idempotency/api.js';
import type { Attempt } from '../core/attempt/attempt.js';
import { answerOf } from '../core/ask.js';
import { messageOf } from '../core/check.js';
import { isIdempotencyError, UsageError } from '../core/errors.js';
import { checkScoped } from '../core/options.js';
import { inLogs, warnThrough } from '../idempotency/logging.js';
import { reconcileOf, workOf } from '../idempotency/outcomes.js';
import type { FunctionOptions, FunctionSettings } from './options.js';

/** One call: under which key, what it runs, and under which settings. */
export interface Call<T> extends Pick<FaceOperation<T>, 'name' | 'key' | 'scope' | 'payload' | 'signal'> {
  readonly settings: FunctionSettings<FunctionOptions<T>>;
  readonly execute: (attempt: Attempt) => T | Promise<T>;
}

/**
 * Runs it, or answers it from the record of another, and tells the hooks which of the two it was.
 * @throws IdempotencyError what stands in its `code`; or what the work threw, recorded or its own
 */
export async function perform<T>(adapter: Adapter, call: Call<T>): Promise<T> {
  const { name, key, scope, payload, signal, settings } = call;
  const { policy, rule, options } = settings;
  const { prefix, onAbandoned, onCacheHit, onCacheMiss } = options;
  checkScoped(name, options.requireScope, scope);
  const report = reporter(call);
  const work = workOf(call.execute, settings.remember, rule);
  const reconcile = typeof onAbandoned === 'function' ? reconcileOf(onAbandoned) : undefined;
  const answer = await adapter.answer<T>({
    ...{ key, name, scope, prefix, payload, policy, signal },
    onDuplicate: 'replay',
    onAbandoned: rule,
    onStart: onCacheMiss && (() => tell(report, 'onCacheMiss', () => onCacheMiss(key as string))),
    work,
    reconcile,
  });
  // A call whose own attempt lost its lease has told that it ran: one call fires one hook.
  if (onCacheHit && answer.kind === 'duplicate' && !answer.lost) {
    const { record } = answer;
    const describe = () => adapter.describe<T>(key as string, record) as CacheHit<T>;
    tell(report, 'onCacheHit', () => onCacheHit(key as string, describe()));
  }
  return adapter.unwrap(answer);
}

/** Says what a function of the user's threw that the call does not depend on. */
function reporter<T>({ name, key, settings }: Call<T>): (what: string, error: unknown) => void {
  return (what, error) => {
    const { logger, keysInLogs } = settings.options;
    const detail = inLogs({ key: String(key), error }, keysInLogs);
    const message = `twiceshy: ${what} of ${name} "${detail.key}" threw: ${messageOf(detail.error)}`;
    warnThrough(logger)(message, { error: detail.error });
  };
}

/** Calls a hook of the user's, and keeps what goes wrong there away from the call. */
function tell(report: ReturnType<typeof reporter>, hook: string, call: () => unknown): void {
  const failed = (error: unknown) => report(hook, error);
  try {
    // Not waited for: a hook that hangs would hold up an answer that is there.
    Promise.resolve(call()).catch(failed);
  } catch (error) {
    failed(error);
  }
}

/**
 * The key that a function of the user's gives.
 * @throws UsageError INVALID_KEY when it throws
 */
export async function keyFrom(option: string, compute: () => unknown): Promise<unknown> {
  try {
    return await answerOf(option, compute);
  } catch (error) {
    if (isIdempotencyError(error)) throw error;
    throw new UsageError('INVALID_KEY', `${option} threw: ${messageOf(error)}`, { cause: error });
  }
}
