import { FUNCTION, invalid, show, something, type OptionTable } from '../core/check.js';
import { UsageError } from '../core/errors.js';
import type { Stats } from '../core/events.js';
import { checkScoped, DEFAULT_PREFIX, NAME, SCOPE } from '../core/options.js';
import { composeNamespace, hashKey } from '../keys/index.js';
import { storeFor } from '../default-store.js';
import { keyFrom, perform } from './call.js';
import { instanceOf, tallyOf, warnOfNamesakes, warnOnce } from './instances.js';
import { FUNCTION_OPTIONS, functionSettings, type FunctionOptions } from './options.js';

export type AnyFunction = (...args: never[]) => unknown;

/** A function of the same arguments, and the same `this`. */
type OfCall<F extends AnyFunction, R> = (this: ThisParameterType<F>, ...args: Parameters<F>) => R;

/** The options of {@link MakeIdempotent}. Their functions are given the arguments and the `this` of the call. */
export interface MakeIdempotentOptions<F extends AnyFunction> extends FunctionOptions<
  Awaited<ReturnType<F>>
> {
  /**
   * The idempotency key of a call. Required where the function uses `this`, which is no argument.
   * @default hashKey of the arguments, which refuses functions, class instances and cycles
   */
  key?: OfCall<F, string | Promise<string>>;
  /** The operation. @default the function's name; refused where that is missing or looks minified */
  name?: string;
  /** The tenant whose keys these are. @default none */
  scope?: string | OfCall<F, string>;
  /** Fingerprinted: the same key with another payload is refused with KEY_REUSED. @default none */
  payload?: OfCall<F, unknown>;
  /** Aborting it ends this caller's waiting, never the work. @default none */
  signal?: OfCall<F, AbortSignal | undefined>;
}

/** Options may be left out, but not the key of a function that declares a `this`. */
type OptionsOf<F extends AnyFunction> =
  unknown extends ThisParameterType<F>
    ? [options?: MakeIdempotentOptions<F>]
    : [options: MakeIdempotentOptions<F> & Required<Pick<MakeIdempotentOptions<F>, 'key'>>];

/**
 * The function's own type where it gives promises, so that overloads and type parameters stay; else the same signature
 * with a promise of the result.
 */
export type MadeIdempotent<F extends AnyFunction> = ([ReturnType<F>] extends [Promise<infer R>]
  ? Promise<R> extends ReturnType<F>
    ? F
    : OfCall<F, Promise<Awaited<ReturnType<F>>>>
  : OfCall<F, Promise<Awaited<ReturnType<F>>>>) & {
  /** What happened to calls of this operation in this process: hits, misses, waits, joins, takeovers and more. */
  stats(): Stats;
};

/**
 * Wraps a function: calls with the same key run it once. Inside, `currentAttempt()` is the attempt.
 * @throws UsageError INVALID_OPTIONS at once; calls throw what `idempotent()` throws
 */
export type MakeIdempotent = <F extends AnyFunction>(fn: F, ...options: OptionsOf<F>) => MadeIdempotent<F>;

// What runs at run time, where types are gone: any this, any arguments.
type Loose = (this: unknown, ...args: unknown[]) => unknown;
interface LooseOptions extends FunctionOptions<unknown> {
  name?: string;
  key?: Loose;
  scope?: string | Loose;
  payload?: Loose;
  signal?: Loose;
}

export const MAKE_IDEMPOTENT_OPTIONS = {
  ...FUNCTION_OPTIONS,
  key: { ...FUNCTION, refusesUndefined: 'INVALID_KEY' },
  name: NAME,
  scope: SCOPE,
  payload: { ...FUNCTION, refusesUndefined: 'INVALID_OPTIONS' },
  signal: FUNCTION,
} satisfies OptionTable<MakeIdempotentOptions<AnyFunction>>;

/** Wraps a function: calls with the same key, by default with the same arguments, run it once. */
export const makeIdempotent: MakeIdempotent = <F extends AnyFunction>(fn: F, ...[options]: OptionsOf<F>) =>
  wrap(fn as unknown as Loose, (options ?? {}) as LooseOptions) as unknown as MadeIdempotent<F>;

function wrap(fn: Loose, given: LooseOptions): Loose & { stats(): Stats } {
  const settings = functionSettings<unknown, LooseOptions>(
    'makeIdempotent()',
    MAKE_IDEMPOTENT_OPTIONS,
    given,
  );
  const { options } = settings;
  const name = nameOf(fn, options);
  const { key: keyOption, payload, signal, logger } = options;
  const store = storeFor(options.store, logger);
  const adapter = instanceOf(store, options);
  if (options.requireScope || adapter.requiresScope) checkScoped(name, true, options.scope);
  for (const note of settings.notes) warnOnce(logger, `twiceshy: ${name}: ${note}`);
  if (options.name === undefined) warnOfNamesakes(store, name, fn, logger);

  const wrapped = async function (this: unknown, ...args: unknown[]): Promise<unknown> {
    const compute = keyOption ? () => keyOption.apply(this, args) : () => keyOfArguments(name, this, args);
    return perform<unknown>(adapter, {
      ...{ name, settings },
      key: await keyFrom(`the key function of ${name}`, compute),
      scope: scopeOf(options, this, args),
      payload: payload && something('payload', payload.apply(this, args)),
      signal: signal?.apply(this, args) as AbortSignal | undefined,
      execute: () => fn.apply(this, args),
    });
  };
  // What hangs on the function goes along, since its type says so.
  Object.assign(wrapped, fn);
  Object.defineProperty(wrapped, 'name', { value: fn.name, configurable: true });
  Object.defineProperty(wrapped, 'length', { value: fn.length, configurable: true });
  return Object.assign(wrapped, { stats: () => tallyOf(store).stats(name) });
}

function scopeOf({ scope }: LooseOptions, receiver: unknown, args: unknown[]): string | undefined {
  return typeof scope === 'function' ? (something('scope', scope.apply(receiver, args)) as string) : scope;
}

/** @throws UsageError INVALID_OPTIONS */
function nameOf(fn: Loose, { name: given, prefix = DEFAULT_PREFIX, scope }: LooseOptions): string {
  if (typeof fn !== 'function') {
    throw invalid(`makeIdempotent() wraps a function, not ${show(fn)}`);
  }
  const name = given ?? fn.name;
  if (given === undefined && name.length <= 2) {
    const message = `the function is named ${show(name)}: functions without a name, or with a minified one, would share keys: give the option name`;
    throw invalid(message);
  }
  composeNamespace({ prefix, name, scope: typeof scope === 'function' ? undefined : scope });
  return name;
}

/** @throws UsageError INVALID_KEY */
function keyOfArguments(name: string, receiver: unknown, args: readonly unknown[]): string {
  if (isInstance(receiver)) {
    const message = `${name} was called as a method of a class instance, which is no argument: give the option key`;
    throw new UsageError('INVALID_KEY', message);
  }
  // f(1) and f(1, undefined) are the same call.
  let count = args.length;
  while (count > 0 && args[count - 1] === undefined) count--;
  if (count > 0) return hashKey(...args.slice(0, count));
  throw new UsageError(
    'INVALID_KEY',
    `${name} was called without arguments to make a key of: give the option key`,
  );
}

/** Whether a call depends on it, more likely than on a plain object or a module that merely holds the function. */
function isInstance(receiver: unknown): boolean {
  if (typeof receiver !== 'object' || receiver === null || receiver === globalThis) return false;
  const prototype: unknown = Object.getPrototypeOf(receiver);
  // Of whatever realm: an object's prototype has none itself.
  return prototype !== null && Object.getPrototypeOf(prototype) !== null;
}
