import { StoreError, UsageError } from '../core/errors.js';
import { attempt, messageOf } from '../values/kinds.js';
import { write, type Refusal } from '../values/write.js';
import { checkClassCodecs, type ClassCodec } from './class-codec.js';
import { createForm } from './form.js';
import { isPlainJson } from './plain.js';
import { checkRedact, redacted, type Redact, type RedactFacts } from './redact.js';
import { reviver } from './revive.js';
import { UnencodableError } from './unencodable.js';

/** Values as text and back, equal (G9). Shared references come back as equal copies; cycles are refused. */
export interface Codec {
  /**
   * @param onDropped told of each member of an error that is left out, by its path
   * @throws UnencodableError naming the path of what would come back changed.
   */
  encode(value: unknown, onDropped?: (path: string) => void): string;
  /** @throws StoreError `CORRUPT_RECORD` for a text that can't be read. */
  decode(text: string): unknown;
  /**
   * What is to be recorded in the place of a value: itself, where there is no hook.
   * @throws RedactError when the hook is of no help
   */
  redact(value: unknown, facts: RedactFacts): unknown;
}

export interface CodecOptions {
  /** How instances of your classes are written. @default [] */
  readonly classes?: readonly ClassCodec[];
  /** Class instances come back as plain objects of their enumerable members, instead of being refused. @default false */
  readonly flatten?: boolean;
  /**
   * Of an error are recorded: its class, name, message, code, cause, and members that are strings, numbers or booleans.
   * Objects are left out, since clients keep requests and answers there, with credentials. `keep` names members that are
   * recorded whole, wherever an error has them. @default { keep: [] }
   */
  readonly errors?: { readonly keep?: readonly string[] };
  /**
   * Called with each result, error and step before it is recorded; what it returns is recorded in its place. Whoever runs
   * the work gets the value as it is; duplicates, and later attempts that read a step, get what was recorded. It must not
   * change the value that it is given, and must not be async. If it throws, or returns a promise, or undefined for a value,
   * the outcome is recorded without its value, with the event `no-value`: duplicates get RESULT_UNAVAILABLE.
   * @default none
   */
  readonly redact?: Redact;
}

/** Starts a text with marks for what JSON lacks. No JSON starts so: plain data is its own JSON. */
const MARKED = '~';

/** @throws UsageError `INVALID_OPTIONS` for a class codec that is incomplete or repeated, and for rules that are none. */
export function createCodec({ classes = [], flatten = false, errors, redact }: CodecOptions = {}): Codec {
  checkClassCodecs(classes);
  checkRedact(redact);
  const form = createForm({ classes, flatten, keep: keepOf(errors) });
  const revive = reviver(classes);
  const refusal: Refusal = (path, what, options) => new UnencodableError(path, what, options);
  return {
    encode: (value, onDropped) =>
      plainText(value) ?? MARKED + write(value, 'value', form, refusal, { onDropped }),
    decode(text) {
      try {
        return text[0] === MARKED ? revive(JSON.parse(text.slice(1))) : (JSON.parse(text) as unknown);
      } catch (cause) {
        throw new StoreError('CORRUPT_RECORD', `a recorded value can't be read: ${messageOf(cause)}`, {
          cause,
        });
      }
    },
    redact: (value, facts) => (redact ? redacted(redact, value, facts) : value),
  };
}

/** Nothing for what throws when it is read, too: the general form will name the place. */
function plainText(value: unknown): string | undefined {
  return attempt(() => (isPlainJson(value) ? JSON.stringify(value) : undefined));
}

function keepOf(errors: unknown): readonly string[] {
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
