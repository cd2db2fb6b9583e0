import { isInside } from '../../../idempotency/current-attempt.js';
import type { Attempt } from '../../../core/attempt/attempt.js';
import { UsageError } from '../../../core/errors.js';
import { show } from '../../../core/check.js';

/** What protects a request right now. */
interface Protection {
  readonly attempt: Attempt;
  readonly where: string;
  /** The options as they were given. */
  readonly options: object;
}

// One per process, also where the ESM and the CommonJS build are both loaded.
const RUNNING = Symbol.for('twiceshy.requests.2');
const holder = globalThis as { [RUNNING]?: WeakMap<object, Protection> };
const running = (holder[RUNNING] ??= new WeakMap());

/** Notes that the work for this request runs; what is returned says that it has ended. */
export function enterProtection(request: object, protection: Protection): () => void {
  running.set(request, protection);
  return () => {
    if (running.get(request) === protection) running.delete(request);
  };
}

/**
 * Whether the request is protected already, around us: an app and its router may both protect it, and the inner one
 * would wait for the outer one for ever. The same request object that comes again later, or from somewhere else, is
 * another request.
 * @param comesOnce whether an object stands for one request only, so that it is nested also where a middleware in between
 * has lost the async context
 * @throws UsageError INVALID_OPTIONS when the outer protection has other options, which the inner one's would not replace
 */
export function isProtected(
  request: object,
  comesOnce: boolean,
  { where, given: options }: { readonly where: string; readonly given: object },
): boolean {
  const outer = running.get(request);
  if (!outer || !(comesOnce || isInside(outer.attempt))) return false;
  const differing = differingOption(outer.options, options);
  if (differing === undefined) return true;
  const [name, theirs, ours] = differing;
  throw new UsageError(
    'INVALID_OPTIONS',
    `a request is protected twice, with different options: around it by ${outer.where} (${name}: ${theirs}), ` +
      `and inside of that by ${where} (${name}: ${theirs === ours ? 'another ' : ''}${ours}), whose options would mean nothing. Protect it once, or give both the same options`,
  );
}

function differingOption(theirs: object, ours: object): [string, string, string] | undefined {
  for (const name of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    const one: unknown = Reflect.get(theirs, name);
    const other: unknown = Reflect.get(ours, name);
    if (!isSame(one, other)) return [name, inWords(one), inWords(other)];
  }
  return undefined;
}

/** Of an object its class, since it has no text of its own; and of a function nothing but that, since its text is long. */
function inWords(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return show(value);
  const { constructor } = value;
  return typeof constructor === 'function' ? constructor.name : 'an object';
}

/** Lists, of methods or headers, are the same when their members are. */
function isSame(one: unknown, other: unknown): boolean {
  if (!Array.isArray(one) || !Array.isArray(other)) return Object.is(one, other);
  return one.length === other.length && one.every((each, at) => Object.is(each, other[at]));
}
