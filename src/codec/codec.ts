import { StoreError, UsageError } from '../core/errors.js';
import { orUndefined, thrownMessage } from '../values/kinds.js';
import { write, type Refusal } from '../values/write.js';
import { checkClassCodecs, type ClassCodec } from './class-codec.js';
import { createForm } from './form.js';
import { isPlainJson } from './plain.js';
import { checkRedact, redacted, type Redact, type RedactFacts } from './redact.js';
import { reviver } from './revive.js';
import { UnencodableError } from './unencodable.js';

/** Turns values into text and back into equal values (G9). Shared references come back as equal copies; cycles are refused. */
export interface Codec {
  /**
   * @param onDropped called with the path of each member of an error that is left out
   * @throws UnencodableError for a value that would come back changed; it names the path
   */
  encode(value: unknown, onDropped?: (path: string) => void): string;
  /** @throws StoreError `CORRUPT_RECORD` for a text that can't be read */
  decode(text: string): unknown;
  /**
   * The value to record: what the `redact` option returns, or without that option the value itself.
   * @throws RedactError when the hook throws, or returns a promise, or returns nothing
   */
  redact(value: unknown, facts: RedactFacts): unknown;
}

export interface CodecOptions {
  /** How instances of your classes are recorded and restored; see {@link classCodec}. @default [] */
  readonly classes?: readonly ClassCodec[];
  /** Whether class instances come back as plain objects of their enumerable members. If not, they are refused. @default false */
  readonly flatten?: boolean;
  /**
   * What is recorded of errors. Always: class, name, message, code, cause, and members that are strings, numbers or booleans.
   * Members that are objects are left out, because HTTP clients keep requests and responses there, with credentials. `keep`
   * names members that are recorded whole, on any error. @default { keep: [] }
   */
  readonly errors?: { readonly keep?: readonly string[] };
  /**
   * Called with each result, error and step before it is recorded; what it returns is recorded instead. The caller that runs
   * the work gets the original value; duplicates, and later attempts that read a step, get what was recorded. The function must
   * not change its argument, and must not be async. If it throws, returns a promise, or returns undefined for a value, the
   * outcome is recorded without its value, with the event `no-value`: duplicates get RESULT_UNAVAILABLE.
   * @default none
   */
  readonly redact?: Redact;
}

/** First character of a text that marks what JSON lacks. No JSON text starts with it, so plain data is stored as plain JSON. */
const MARKED = '~';

/** @throws UsageError `INVALID_OPTIONS` for an incomplete or repeated class codec, and for wrong `errors` or `redact` */
export function createCodec({ classes = [], flatten = false, errors, redact }: CodecOptions = {}): Codec {
  checkClassCodecs(classes);
  checkRedact(redact);
  const form = createForm({ classes, flatten, keep: keptMembers(errors) });
  const revive = reviver(classes);
  const refusal: Refusal = (path, what, options) => new UnencodableError(path, what, options);
  return {
    encode: (value, onDropped) =>
      plainText(value) ?? MARKED + write(value, 'value', form, refusal, { onDropped }),
    decode(text) {
      try {
        return text[0] === MARKED ? revive(JSON.parse(text.slice(1))) : (JSON.parse(text) as unknown);
      } catch (cause) {
        throw new StoreError('CORRUPT_RECORD', `a recorded value can't be read: ${thrownMessage(cause)}`, {
          cause,
        });
      }
    },
    redact: (value, facts) => (redact ? redacted(redact, value, facts) : value),
  };
}

/** The JSON of plain data. Undefined for anything else, also for what throws when read: the general form reports the path. */
function plainText(value: unknown): string | undefined {
  return orUndefined(() => (isPlainJson(value) ? JSON.stringify(value) : undefined));
}

function keptMembers(errors: unknown): readonly string[] {
  if (errors === undefined) return [];
  const { keep = [], ...others } = Object(errors) as { keep?: unknown };
  const isList = Array.isArray(keep) && keep.every((name) => typeof name === 'string' && name !== '');
  if (typeof errors === 'object' && errors && isList && Object.keys(others).length === 0)
    return [...(keep as string[])];
  throw new UsageError(
    'INVALID_OPTIONS',
    "codec.errors is { keep: ['name', ...] }: the names of members of errors that are recorded although they are objects",
  );
}
