import type { FaceOperation } from '../api.js';
import type { Attempt } from '../core/attempt.js';
import { isIdempotencyError, UsageError } from '../core/errors.js';
import { show } from '../core/options.js';
import type { Idempotency } from '../idempotency.js';
import { inLogs, warnThrough } from '../logging.js';
import { reconcileOf, workOf } from '../translate.js';
import type { FunctionOptions, FunctionSettings } from './options.js';

/** One call: under which key, what it runs, and under which settings. */
export interface Call<T> extends Pick<FaceOperation<T>, 'name' | 'key' | 'scope' | 'payload' | 'signal'> {
  readonly options: FunctionOptions<T>;
  readonly settings: FunctionSettings;
  readonly execute: (attempt: Attempt) => T | Promise<T>;
}

/**
 * Runs it, or answers it from the record of another, and tells the hooks which of the two it was.
 * @throws IdempotencyError what stands in its `code`; or what the work threw, recorded or its own
 */
export async function perform<T>(idempotency: Idempotency, call: Call<T>): Promise<T> {
  const { name, key, scope, payload, signal, options, settings } = call;
  const { prefix, onAbandoned, onCacheHit, onCacheMiss } = options;
  const { policy, rule } = settings;
  const report = reporter(call);
  const hooks = new Hooks(report);
  const work = workOf(call.execute, settings.remember, rule);
  const reconcile = typeof onAbandoned === 'function' ? reconcileOf(onAbandoned) : undefined;
  // A reconcile function runs in the place of the work, or before it.
  const missed = () => hooks.fire('onCacheMiss', onCacheMiss && (() => onCacheMiss(key as string)));
  const answer = await idempotency.answer<T>({
    ...{ key, name, scope, prefix, payload, policy, signal },
    onDuplicate: 'replay',
    onAbandoned: rule,
    work: (attempt) => (missed(), work(attempt)),
    reconcile: reconcile && ((attempt) => (missed(), reconcile(attempt))),
  });
  if (answer.kind === 'duplicate') {
    const { record } = answer;
    const tell =
      onCacheHit && (() => onCacheHit(key as string, idempotency.describe<T>(key as string, record)));
    hooks.fire('onCacheHit', tell);
  }
  return idempotency.unwrap(answer);
}

/** Says what a function of the user's threw that the call does not depend on. */
function reporter<T>({ name, key, options }: Call<T>): (what: string, error: unknown) => void {
  return (what, error) => {
    const detail = inLogs({ key: String(key), error }, options.keysInLogs);
    const message = `twiceshy: ${what} of ${name} "${detail.key}" threw: ${messageOf(detail.error)}`;
    warnThrough(options.logger)(message, { error: detail.error });
  };
}

/** Tells a call's first event to the user, and keeps what goes wrong there away from the call. */
class Hooks {
  #fired = false;

  constructor(private readonly report: ReturnType<typeof reporter>) {}

  fire(hook: string, tell: (() => unknown) | undefined): void {
    if (this.#fired) return;
    this.#fired = true;
    const failed = (error: unknown) => this.report(hook, error);
    try {
      // Not waited for: a hook that hangs would hold up an answer that is there.
      Promise.resolve(tell?.()).catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}

/**
 * The key that a function of the user's gives.
 * @throws UsageError INVALID_KEY when it throws
 */
export async function keyFrom(option: string, compute: () => unknown): Promise<unknown> {
  try {
    return await compute();
  } catch (error) {
    if (isIdempotencyError(error)) throw error;
    throw new UsageError('INVALID_KEY', `${option} threw: ${messageOf(error)}`, { cause: error });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : show(error);
}
