import { Buffer } from 'node:buffer';
import { UsageError } from '../core/errors.js';
import { quote } from '../values/kinds.js';
import { write, type Form } from '../values/write.js';

type Code = 'INVALID_KEY' | 'INVALID_OPTIONS';

/** Enough for 64 MiB of bytes. Hashing more holds up the process for seconds: hash it yourself, as a stream. */
const MAX_LENGTH = 128 * 1024 * 1024;
const MAX_PATH = 80;

const CANONICAL: Form = {
  token: (text) => (text === '-0' ? '0' : text),
  leaf: (kind, data) =>
    `${kind}(${data instanceof Uint8Array ? hexOf(data) : [data].flat().map(spell).join()})`,
  list: (kind, texts) => `${kind}{${texts.sort().join()}}`,
  pair: (key, value) => `${key}=>${value}`,
  object: (value, walk) => walk.members(value, sorted(walk.keys(value))),
};

/** Most objects are written with their members in order, and sorting costs as much as all the rest of a small one. */
function sorted(keys: string[]): string[] {
  for (let at = 1; at < keys.length; at++) if (keys[at - 1]! > keys[at]!) return keys.sort();
  return keys;
}

const hexOf = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  Buffer.from(buffer, byteOffset, byteLength).toString('hex');
const spell = (part: unknown) => (typeof part === 'string' ? quote(part) : String(part));

/**
 * The canonical text of a value: equal values give equal text, distinct values distinct text.
 *
 * For JSON values it is JSON text with the members of every object sorted by UTF-16 code units. What JSON
 * has no form for is written as a bare token that JSON text cannot contain: `undefined`, `NaN`, `12n`,
 * `Date(1700000000000)`, `hole(1)`, `Uint8Array(00ff)`, `RegExp("a","g")`, `URL("https://…")`, `Map{…}`,
 * `Set{…}`. Maps and Sets are compared as sets: the order of insertion does not count. Nor do `-0` against
 * `0`, a null prototype, the `lastIndex` of a RegExp, and members that are not enumerable.
 *
 * @throws UsageError `INVALID_KEY`, naming the path, for what has no dependable text: functions, symbols,
 * class instances, boxed primitives, errors, promises, cycles.
 */
export function canonicalize(value: unknown): string {
  return canonicalText(value, 'value', 'INVALID_KEY');
}

/**
 * {@link canonicalize} with another name for the value, and another code, in what it throws.
 *
 * @param tooLarge the code for a value that is over a budget: of values, of depth, or of length
 */
export function canonicalText(
  value: unknown,
  root: string,
  code: Code = 'INVALID_KEY',
  tooLarge: Code | 'PAYLOAD_TOO_LARGE' = code,
): string {
  return write(
    value,
    root,
    CANONICAL,
    (path, what, options, over) => {
      const remedy = over
        ? 'pass fewer values, or a hash of them that you make yourself'
        : 'pass String(x), or the plain fields that identify it';
      // A path of five hundred names helps nobody.
      const place = over ? path.slice(0, MAX_PATH) : path;
      const message = `${place} ${what}, which has no canonical form: ${remedy}`;
      return new UsageError(over ? tooLarge : code, message, options);
    },
    { maxLength: MAX_LENGTH },
  );
}
