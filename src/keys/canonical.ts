import { Buffer } from 'node:buffer';
import { UsageError } from '../core/errors.js';
import { quote } from '../values/kinds.js';
import { write, type Form } from '../values/write.js';

type Code = 'INVALID_KEY' | 'INVALID_OPTIONS';

/** Enough for 64 MiB of bytes. Hashing more blocks the process for seconds: hash such data yourself, as a stream. */
const MAX_LENGTH = 128 * 1024 * 1024;
const MAX_PATH = 80;

const CANONICAL: Form = {
  token: (text) => (text === '-0' ? '0' : text),
  leaf: (kind, data) =>
    `${kind}(${data instanceof Uint8Array ? toHex(data) : [data].flat().map(spell).join()})`,
  list: (kind, texts) => `${kind}{${texts.sort().join()}}`,
  pair: (key, value) => `${key}=>${value}`,
  object: (value, walk) => walk.members(value, sorted(walk.keys(value))),
};

/** Checks first whether the keys are sorted already: for a small object sorting costs as much as all the rest. */
function sorted(keys: string[]): string[] {
  for (let at = 1; at < keys.length; at++) if (keys[at - 1]! > keys[at]!) return keys.sort();
  return keys;
}

const toHex = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  Buffer.from(buffer, byteOffset, byteLength).toString('hex');
const spell = (part: unknown) => (typeof part === 'string' ? quote(part) : String(part));

/**
 * The canonical text of a value: equal values have equal texts, different values have different texts.
 *
 * For JSON values it is JSON text, with the members of every object sorted by UTF-16 code units. Values that JSON
 * lacks are written as tokens that JSON text can't contain: `undefined`, `NaN`, `12n`,
 * `Date(1700000000000)`, `hole(1)`, `Uint8Array(00ff)`, `RegExp("a","g")`, `URL("https://…")`, `Map{…}`,
 * `Set{…}`. These make no difference: the insertion order of Maps and Sets, `-0` or `0`, a null prototype, the `lastIndex` of
 * a RegExp, and members that are not enumerable.
 *
 * @param root the name of the value in error messages
 * @param code the code of errors
 * @param tooLarge the code for a value over a limit: number of values, depth or length
 * @throws UsageError with the path, for values without a dependable text: functions, symbols, class instances, boxed
 * primitives, errors, promises, cycles
 */
export function canonicalize(
  value: unknown,
  root = 'value',
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
      // A value that is nested too deep has a path of hundreds of names.
      const place = over ? path.slice(0, MAX_PATH) : path;
      const message = `${place} ${what}, which has no canonical form: ${remedy}`;
      return new UsageError(over ? tooLarge : code, message, options);
    },
    { maxLength: MAX_LENGTH },
  );
}
