import type { EngineParts, EncodedOf } from '../operation.js';
import type { Outcome } from '../outcome.js';

export type Encoded = ReturnType<EngineParts['encode']>;

/** The text of an outcome, or why it is recorded without its value. */
export function encodeWithin(
  encode: EngineParts['encode'],
  outcome: Outcome<unknown>,
  maxBytes: number,
  of: EncodedOf,
): Encoded {
  const encoded = encode(outcome, of);
  if ('path' in encoded || !isLargerThan(encoded.text, maxBytes)) return encoded;
  return { path: 'value', error: new RangeError(`larger than ${maxBytes} bytes`) };
}

function isLargerThan(text: string, maxBytes: number): boolean {
  // A UTF-16 unit is at most three bytes of UTF-8, so that most texts need no counting.
  if (text.length * 3 <= maxBytes) return false;
  return text.length > maxBytes || new TextEncoder().encode(text).length > maxBytes;
}
