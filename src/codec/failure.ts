import { orUndefined, classNames, thrownMessage, prototypeOf } from '../values/kinds.js';
import type { Codec } from './codec.js';

const MAX_CAUSES = 8;

/**
 * A thrown value as text. Never throws, because a failure must be recorded in any case: what can't be encoded of an error is
 * left out, and any other value that can't be encoded becomes an Error that describes it.
 */
export function encodeFailure(codec: Codec, error: unknown, onDropped?: (path: string) => void): string {
  try {
    return codec.encode(error, onDropped);
  } catch (refusal) {
    const described = new Error(`the operation threw what can't be recorded: ${thrownMessage(refusal)}`);
    const reduced = orUndefined(() => reduce(codec, error, MAX_CAUSES)) ?? described;
    return orUndefined(() => codec.encode(reduced)) ?? codec.encode(described);
  }
}

/** The part of a value that can be encoded: all of it, a copy with less in it, or undefined. */
function reduce(codec: Codec, value: unknown, depth: number): unknown {
  if (orUndefined(() => codec.encode(value)) !== undefined) return value;
  if (depth === 0 || typeof value !== 'object' || value === null) return undefined;
  if (Array.isArray(value)) return value.map((element) => reduce(codec, element, depth - 1));
  if (!classNames(value).includes('Error')) return undefined;
  // The same class, so that its getters still work.
  const copy = Object.create(prototypeOf(value)) as object;
  const fields: unknown[] = Object.keys(value);
  // All own keys: the brand of this library's errors is a symbol that is not enumerable.
  for (const key of Reflect.ownKeys(value)) {
    const kept = reduce(codec, (value as Record<string | symbol, unknown>)[key], depth - 1);
    if (kept !== undefined)
      Object.defineProperty(copy, key, { value: kept, enumerable: fields.includes(key) });
  }
  return copy;
}
