import { Adapter } from './adapter.js';
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
import { reconcileOf, workOf } from './outcomes.js';

export type { Idempotency } from './api.js';

/** How adapters reach what is theirs; registered, since the ESM and the CommonJS copy may both be loaded. */
const DOOR = Symbol.for('twiceshy.adapter.1');

const rejected = async (error: unknown): Promise<never> => {
  throw error;
};

class Instance implements Idempotency {
  readonly #adapter: Adapter;

  constructor(adapter: Adapter) {
    this.#adapter = adapter;
    Object.defineProperty(this, DOOR, { value: adapter });
  }

  run<T>(key: string, work: (attempt: Attempt) => T | Promise<T>, options: RunOptions<T> = {}): Promise<T> {
    try {
      const given = readOptions('run()', RUN_OPTIONS, options, this.#adapter.note);
      checkWork(work);
      return runWith(this.#adapter, 'run()', key, work, given);
    } catch (error) {
      return rejected(error);
    }
  }

  async get<T = unknown>(key: string, where: Namespaced = {}): Promise<IdempotencyRecord<T> | undefined> {
    return await this.#adapter.get<T>(
      key,
      this.#placeOf('get()', readOptions('get()', PLACE_OPTIONS, where)),
    );
  }

  async resolve(
    key: string,
    outcome: { result: unknown } | { error: unknown },
    where: Namespaced = {},
  ): Promise<boolean> {
    const place = this.#placeOf('resolve()', readOptions('resolve()', PLACE_OPTIONS, where));
    checkOutcomeByHand(outcome);
    const isGood = 'result' in outcome;
    const given = isGood
      ? ({ kind: 'completed', value: outcome.result } as const)
      : ({ kind: 'failed', error: outcome.error, final: true } as const);
    const encoded = this.#adapter.encode(given, { name: place.name, key });
    if (!('text' in encoded)) throw encoded.error;
    const settled = { status: isGood ? 'COMPLETED' : 'FAILED', final: true, payload: encoded.text } as const;
    const retentionMs = this.#adapter.policy.ttlMs;
    return await this.#adapter.override(key, place, {
      kind: 'resolve',
      token: newToken(),
      ...settled,
      retentionMs,
    });
  }

  async forget(key: string, options: ForgetOptions = {}): Promise<boolean> {
    const { force = false, ...where } = readOptions('forget()', FORGET_OPTIONS, options);
    return await this.#adapter.override(key, this.#placeOf('forget()', where), { kind: 'forget', force });
  }

  stats(name?: string): Stats {
    return this.#adapter.events.stats(name);
  }

  on(event: EventName, listener: Listener): () => void {
    checkListener(event, listener);
    return this.#adapter.events.on(event, listener);
  }

  close(): Promise<void> {
    return this.#adapter.close();
  }

  #placeOf(method: string, { name = this.#adapter.given.name, ...where }: Namespaced) {
    return { ...where, name: requireName(method, name) };
  }
}

/**
 * A run whose options are checked, over those of the instance. Not async: a promise less on the path of every run.
 * @param where who runs, for messages
 * @throws UsageError at once, for options that do not go together
 */
export function runWith<T>(
  adapter: Adapter,
  where: string,
  key: string,
  work: (attempt: Attempt) => T | Promise<T>,
  options: RunOptions<T>,
): Promise<T> {
  const { given } = adapter;
  const { onAbandoned, remember = given.remember ?? 'none' } = options;
  const rule = abandonedRule(onAbandoned);
  const answer = adapter.answer<T>({
    key,
    name: requireName(where, options.name ?? given.name),
    scope: options.scope,
    prefix: options.prefix,
    payload: options.payload,
    policy: resolvePolicy(options, adapter.policy),
    onDuplicate: 'replay',
    onAbandoned: rule,
    signal: options.signal,
    work: workOf(work, remember, rule),
    reconcile: typeof onAbandoned === 'function' ? reconcileOf(onAbandoned) : undefined,
  });
  return answer.then((given) => adapter.unwrap(given));
}

/**
 * One engine on one store, with the defaults of all its runs.
 * @throws UsageError INVALID_OPTIONS
 */
export function createIdempotency(options: IdempotencyOptions): Idempotency {
  const notes: string[] = [];
  const read = readOptions('createIdempotency()', INSTANCE_OPTIONS, options, (note) => notes.push(note));
  const adapter = new Adapter(read);
  notes.forEach(adapter.note);
  return new Instance(adapter);
}

/**
 * What an adapter is to stand on.
 * @throws UsageError INVALID_OPTIONS for what `createIdempotency()` did not make
 */
export function adapterOf(idempotency: Idempotency): Adapter {
  const adapter = (Object(idempotency) as { [DOOR]?: Adapter })[DOOR];
  if (adapter) return adapter;
  throw invalid(`idempotency is ${show(idempotency)}: give what createIdempotency() made`);
}
