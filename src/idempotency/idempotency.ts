import { Runtime } from './runtime.js';
import type { Idempotency, IdempotencyOptions, IdempotencyRecord, Namespaced, RunOptions } from './api.js';
import {
  checkListener,
  checkOutcomeByHand,
  FORGET_OPTIONS,
  INSTANCE_OPTIONS,
  PLACE_OPTIONS,
  RUN_OPTIONS,
  type ForgetOptions,
} from './options.js';
import type { Attempt } from '../core/attempt/attempt.js';
import { invalid, readOptions, show } from '../core/check.js';
import type { EventName, Listener, Stats } from '../core/events.js';
import { abandonedRule, checkWork, requireName, resolvePolicy } from '../core/options.js';
import { newToken } from '../core/token.js';
import { toReconcile, toWork } from './outcomes.js';

export type { Idempotency } from './api.js';

/**
 * The hidden member where an instance keeps its runtime. A registered symbol, because the ESM and the CommonJS build may both be
 * loaded.
 */
const RUNTIME = Symbol.for('twiceshy.runtime.1');

const rejected = async (error: unknown): Promise<never> => {
  throw error;
};

class Instance implements Idempotency {
  readonly #runtime: Runtime;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    Object.defineProperty(this, RUNTIME, { value: runtime });
  }

  run<T>(key: string, work: (attempt: Attempt) => T | Promise<T>, options: RunOptions<T> = {}): Promise<T> {
    try {
      const given = readOptions('run()', RUN_OPTIONS, options, this.#runtime.note);
      checkWork(work);
      return runWith(this.#runtime, 'run()', key, work, given);
    } catch (error) {
      return rejected(error);
    }
  }

  async get<T = unknown>(key: string, where: Namespaced = {}): Promise<IdempotencyRecord<T> | undefined> {
    return await this.#runtime.get<T>(key, this.#place('get()', readOptions('get()', PLACE_OPTIONS, where)));
  }

  async resolve(
    key: string,
    outcome: { result: unknown } | { error: unknown },
    where: Namespaced = {},
  ): Promise<boolean> {
    const place = this.#place('resolve()', readOptions('resolve()', PLACE_OPTIONS, where));
    checkOutcomeByHand(outcome);
    const isGood = 'result' in outcome;
    const given = isGood
      ? ({ kind: 'completed', value: outcome.result } as const)
      : ({ kind: 'failed', error: outcome.error, final: true } as const);
    const encoded = this.#runtime.encode(given, { name: place.name, key });
    if (!('text' in encoded)) throw encoded.error;
    const settled = { status: isGood ? 'COMPLETED' : 'FAILED', final: true, payload: encoded.text } as const;
    const retentionMs = this.#runtime.policy.ttlMs;
    return await this.#runtime.override(key, place, {
      kind: 'resolve',
      token: newToken(),
      ...settled,
      retentionMs,
    });
  }

  async forget(key: string, options: ForgetOptions = {}): Promise<boolean> {
    const { force = false, ...where } = readOptions('forget()', FORGET_OPTIONS, options);
    return await this.#runtime.override(key, this.#place('forget()', where), { kind: 'forget', force });
  }

  stats(name?: string): Stats {
    return this.#runtime.events.stats(name);
  }

  on(event: EventName, listener: Listener): () => void {
    checkListener(event, listener);
    return this.#runtime.events.on(event, listener);
  }

  close(): Promise<void> {
    return this.#runtime.close();
  }

  #place(method: string, { name = this.#runtime.given.name, ...where }: Namespaced) {
    return { ...where, name: requireName(method, name) };
  }
}

/**
 * A run with checked options, which take precedence over those of the instance. Not async, which saves every run a promise.
 * @param where the caller's name, for messages
 * @throws UsageError synchronously, for options that do not fit together
 */
export function runWith<T>(
  runtime: Runtime,
  where: string,
  key: string,
  work: (attempt: Attempt) => T | Promise<T>,
  options: RunOptions<T>,
): Promise<T> {
  const { given } = runtime;
  const { onAbandoned, remember = given.remember ?? 'none' } = options;
  const rule = abandonedRule(onAbandoned);
  const answer = runtime.answer<T>({
    key,
    name: requireName(where, options.name ?? given.name),
    scope: options.scope,
    prefix: options.prefix,
    payload: options.payload,
    policy: resolvePolicy(options, runtime.policy),
    onDuplicate: 'replay',
    onAbandoned: rule,
    signal: options.signal,
    work: toWork(work, remember, rule),
    reconcile: typeof onAbandoned === 'function' ? toReconcile(onAbandoned) : undefined,
  });
  return answer.then((given) => runtime.unwrap(given));
}

/**
 * Creates an instance that runs operations once per key on one store. The options are the defaults of all its runs.
 *
 * @example
 * const idempotency = createIdempotency({ store: new RedisStore(url), name: 'charge' });
 * const charge = await idempotency.run(order.id, () => provider.charge(order));
 * @throws UsageError INVALID_OPTIONS
 */
export function createIdempotency(options: IdempotencyOptions): Idempotency {
  const notes: string[] = [];
  const read = readOptions('createIdempotency()', INSTANCE_OPTIONS, options, (note) => notes.push(note));
  const runtime = new Runtime(read);
  notes.forEach(runtime.note);
  return new Instance(runtime);
}

/**
 * The runtime behind an instance, for adapters.
 * @throws UsageError INVALID_OPTIONS for a value that `createIdempotency()` did not make
 */
export function getRuntime(idempotency: Idempotency): Runtime {
  const runtime = (Object(idempotency) as { [RUNTIME]?: Runtime })[RUNTIME];
  if (runtime) return runtime;
  throw invalid(`idempotency is ${show(idempotency)}: give what createIdempotency() returned`);
}
