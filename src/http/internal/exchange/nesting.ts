import { isInside } from '../../../idempotency/current-attempt.js';
import type { Attempt } from '../../../core/attempt/attempt.js';
import { UsageError } from '../../../core/errors.js';
import { show } from '../../../core/check.js';

/** The protection that a request is currently under. */
interface Protection {
  readonly attempt: Attempt;
  readonly where: string;
  /** The options as they were given. */
  readonly options: object;
}

// One for the process, even if the ESM and the CommonJS build are both loaded.
const RUNNING = Symbol.for('twiceshy.requests.2');
const holder = globalThis as { [RUNNING]?: WeakMap<object, Protection> };
const running = (holder[RUNNING] ??= new WeakMap());

/** Marks the request as protected while its work runs. Call the returned function when the work has ended. */
export function enterProtection(request: object, protection: Protection): () => void {
  running.set(request, protection);
  return () => {
    if (running.get(request) === protection) running.delete(request);
  };
}

/**
 * Whether an outer middleware protects this request already. An app and its router may both protect it; then the inner one would
 * wait for the outer one for ever. The same request object counts as another request if it comes again later or from elsewhere.
 * @param comesOnce whether each request has its own object. Then it is nested even if a middleware in between has lost the
 * async context
 * @throws UsageError INVALID_OPTIONS if the outer protection has other options, because the inner ones would be ignored
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
    `a request is protected twice, with different options: by ${outer.where} (${name}: ${theirs}), ` +
      `and inside of that by ${where} (${name}: ${theirs === ours ? 'another ' : ''}${ours}), whose options would be ignored. Protect it once, or give both the same options`,
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

/** An object is named by its class, since it has no text of its own. The text of a function would be too long. */
function inWords(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return show(value);
  const { constructor } = value;
  return typeof constructor === 'function' ? constructor.name : 'an object';
}

/** Two lists (of methods or headers) are the same if their elements are. */
function isSame(one: unknown, other: unknown): boolean {
  if (!Array.isArray(one) || !Array.isArray(other)) return Object.is(one, other);
  return one.length === other.length && one.every((each, at) => Object.is(each, other[at]));
}
