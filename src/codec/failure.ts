import { attempt, classNames, messageOf, prototypeOf } from '../values/kinds.js';
import type { Codec } from './codec.js';

const MAX_CAUSES = 8;

/**
 * A thrown value as text. What can't be kept of it is left out, since a failure must be recorded: never throws.
 * Of an error, what the codec keeps and can encode remains; of anything else that
 * can't be encoded, an Error that describes it.
 */
export function encodeFailure(codec: Codec, error: unknown, onDropped?: (path: string) => void): string {
  try {
    return codec.encode(error, onDropped);
  } catch (refusal) {
    const described = new Error(`the operation threw what can't be recorded: ${messageOf(refusal)}`);
    const reduced = attempt(() => reduce(codec, error, MAX_CAUSES)) ?? described;
    return attempt(() => codec.encode(reduced)) ?? codec.encode(described);
  }
}

/** What can be encoded of a value: all of it, a copy with less in it, or undefined. */
function reduce(codec: Codec, value: unknown, depth: number): unknown {
  if (attempt(() => codec.encode(value)) !== undefined) return value;
  if (depth === 0 || typeof value !== 'object' || value === null) return undefined;
  if (Array.isArray(value)) return value.map((element) => reduce(codec, element, depth - 1));
  if (!classNames(value).includes('Error')) return undefined;
  // Of the same class, so that what its getters answer is still answered.
  const copy = Object.create(prototypeOf(value)) as object;
  const fields: unknown[] = Object.keys(value);
  // Our brand is a hidden symbol; one that is not hidden would be refused.
  for (const key of Reflect.ownKeys(value)) {
    const kept = reduce(codec, (value as Record<string | symbol, unknown>)[key], depth - 1);
    if (kept !== undefined)
      Object.defineProperty(copy, key, { value: kept, enumerable: fields.includes(key) });
  }
  return copy;
}
