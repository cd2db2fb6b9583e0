import { FUNCTION, invalid, show, something, type OptionTable } from '../core/check.js';
import { UsageError } from '../core/errors.js';
import type { Stats } from '../core/events.js';
import { checkScoped, DEFAULT_PREFIX, NAME, SCOPE } from '../core/options.js';
import { composeNamespace, hashKey } from '../keys/index.js';
import { storeFor } from '../default-store.js';
import { keyFrom, perform } from './call.js';
import { sharedRuntime, storeTally, warnOfSharedName, warnOnce } from './instances.js';
import { FUNCTION_OPTIONS, functionSettings, type FunctionOptions } from './options.js';

export type AnyFunction = (...args: never[]) => unknown;

/** A function with the same arguments and the same `this` as the wrapped one. */
type CallFunction<F extends AnyFunction, R> = (this: ThisParameterType<F>, ...args: Parameters<F>) => R;

/** The options of {@link MakeIdempotent}. Functions in them are called with the arguments and the `this` of the call. */
export interface MakeIdempotentOptions<F extends AnyFunction> extends FunctionOptions<
  Awaited<ReturnType<F>>
> {
  /**
   * Makes the idempotency key of a call. Required if the function uses `this`, which the default does not include.
   * @default hashKey() of the arguments, which refuses functions, class instances and cycles
   */
  key?: CallFunction<F, string | Promise<string>>;
  /** The name of the operation. @default the function's name; refused if that is missing or looks minified */
  name?: string;
  /** The tenant that the key belongs to. @default none */
  scope?: string | CallFunction<F, string>;
  /** Its fingerprint is recorded: the same key with another payload is refused with KEY_REUSED. @default none */
  payload?: CallFunction<F, unknown>;
  /** Aborting it ends this caller's wait, never the work. @default none */
  signal?: CallFunction<F, AbortSignal | undefined>;
}

/** The options are optional, except for the `key` of a function that declares `this`. */
type OptionsArgument<F extends AnyFunction> =
  unknown extends ThisParameterType<F>
    ? [options?: MakeIdempotentOptions<F>]
    : [options: MakeIdempotentOptions<F> & Required<Pick<MakeIdempotentOptions<F>, 'key'>>];

/**
 * The type of the wrapped function. If the original returns a promise it is the original type, so that overloads and type
 * parameters stay; otherwise the same signature with a promise of the result.
 */
export type MadeIdempotent<F extends AnyFunction> = ([ReturnType<F>] extends [Promise<infer R>]
  ? Promise<R> extends ReturnType<F>
    ? F
    : CallFunction<F, Promise<Awaited<ReturnType<F>>>>
  : CallFunction<F, Promise<Awaited<ReturnType<F>>>>) & {
  /** Counters of this operation in this process: hits, misses, waits, joins, takeovers and more. */
  stats(): Stats;
};

/**
 * The type of {@link makeIdempotent}.
 * @throws UsageError INVALID_OPTIONS at once; calls throw what `idempotent()` throws
 */
export type MakeIdempotent = <F extends AnyFunction>(
  fn: F,
  ...options: OptionsArgument<F>
) => MadeIdempotent<F>;

// The implementation works with any `this` and any arguments.
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

/**
 * Wraps a function so that calls with the same key run it once. The default key is made of the arguments. Inside the function,
 * `currentAttempt()` returns the attempt.
 *
 * @example const charge = makeIdempotent(chargeCard, { key: (order) => order.id, store });
 */
export const makeIdempotent: MakeIdempotent = <F extends AnyFunction>(
  fn: F,
  ...[options]: OptionsArgument<F>
) => wrap(fn as unknown as Loose, (options ?? {}) as LooseOptions) as unknown as MadeIdempotent<F>;

function wrap(fn: Loose, given: LooseOptions): Loose & { stats(): Stats } {
  const settings = functionSettings<unknown, LooseOptions>(
    'makeIdempotent()',
    MAKE_IDEMPOTENT_OPTIONS,
    given,
  );
  const { options } = settings;
  const name = functionName(fn, options);
  const { key: keyOption, payload, signal, logger } = options;
  const store = storeFor(options.store, logger);
  const runtime = sharedRuntime(store, options);
  if (options.requireScope || runtime.requiresScope) checkScoped(name, true, options.scope);
  for (const note of settings.notes) warnOnce(logger, `twiceshy: ${name}: ${note}`);
  if (options.name === undefined) warnOfSharedName(store, name, fn, logger);

  const wrapped = async function (this: unknown, ...args: unknown[]): Promise<unknown> {
    const compute = keyOption ? () => keyOption.apply(this, args) : () => argumentsKey(name, this, args);
    return perform<unknown>(runtime, {
      ...{ name, settings },
      key: await keyFrom(`the key function of ${name}`, compute),
      scope: callScope(options, this, args),
      payload: payload && something('payload', payload.apply(this, args)),
      signal: signal?.apply(this, args) as AbortSignal | undefined,
      execute: () => fn.apply(this, args),
    });
  };
  // The wrapped function has the type of the original, so it needs its properties too.
  Object.assign(wrapped, fn);
  Object.defineProperty(wrapped, 'name', { value: fn.name, configurable: true });
  Object.defineProperty(wrapped, 'length', { value: fn.length, configurable: true });
  return Object.assign(wrapped, { stats: () => storeTally(store).stats(name) });
}

function callScope({ scope }: LooseOptions, receiver: unknown, args: unknown[]): string | undefined {
  return typeof scope === 'function' ? (something('scope', scope.apply(receiver, args)) as string) : scope;
}

/** @throws UsageError INVALID_OPTIONS */
function functionName(fn: Loose, { name: given, prefix = DEFAULT_PREFIX, scope }: LooseOptions): string {
  if (typeof fn !== 'function') {
    throw invalid(`makeIdempotent() wraps a function, not ${show(fn)}`);
  }
  const name = given ?? fn.name;
  if (given === undefined && name.length <= 2) {
    const message = `the function is named ${show(name)}: functions without a name, or with a minified one, would share records: give the option name`;
    throw invalid(message);
  }
  composeNamespace({ prefix, name, scope: typeof scope === 'function' ? undefined : scope });
  return name;
}

/** @throws UsageError INVALID_KEY */
function argumentsKey(name: string, receiver: unknown, args: readonly unknown[]): string {
  if (isInstance(receiver)) {
    const message = `${name} was called as a method of a class instance, which is not part of the default key: give the option key`;
    throw new UsageError('INVALID_KEY', message);
  }
  // f(1) and f(1, undefined) count as the same call.
  let count = args.length;
  while (count > 0 && args[count - 1] === undefined) count--;
  if (count > 0) return hashKey(...args.slice(0, count));
  throw new UsageError(
    'INVALID_KEY',
    `${name} was called without arguments to make a key of: give the option key`,
  );
}

/**
 * Whether `this` is a class instance, so that the call probably depends on it. A plain object or a module only holds the
 * function.
 */
function isInstance(receiver: unknown): boolean {
  if (typeof receiver !== 'object' || receiver === null || receiver === globalThis) return false;
  const prototype: unknown = Object.getPrototypeOf(receiver);
  // Without `instanceof`, because the object may come from another realm: Object.prototype is the prototype that has none.
  return prototype !== null && Object.getPrototypeOf(prototype) !== null;
}
