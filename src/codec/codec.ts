import { StoreError } from '../core/errors.js';
import { attempt, messageOf } from '../values/kinds.js';
import { write } from '../values/write.js';
import { checkClassCodecs, type ClassCodec } from './class-codec.js';
import { createForm } from './form.js';
import { isPlainJson } from './plain.js';
import { reviver } from './revive.js';
import { UnencodableError } from './unencodable.js';

/** Values as text and back, equal (G9). Shared references come back as equal copies; cycles are refused. */
export interface Codec {
  /** @throws UnencodableError naming the path of what would come back changed. */
  encode(value: unknown): string;
  /** @throws StoreError `CORRUPT_RECORD` for a text that can't be read. */
  decode(text: string): unknown;
}

export interface CodecOptions {
  /** How instances of your classes are written. @default [] */
  readonly classes?: readonly ClassCodec[];
  /** Class instances come back as plain objects of their enumerable members, instead of being refused. @default false */
  readonly flatten?: boolean;
}

/** Starts a text with marks for what JSON lacks. No JSON starts so: plain data is its own JSON. */
const MARKED = '~';

/** @throws UsageError `INVALID_OPTIONS` for a class codec that is incomplete or repeated. */
export function createCodec({ classes = [], flatten = false }: CodecOptions = {}): Codec {
  checkClassCodecs(classes);
  const form = createForm({ classes, flatten });
  const revive = reviver(classes);
  return {
    encode: (value) =>
      plainText(value) ?? MARKED + write(value, 'value', form, (...what) => new UnencodableError(...what)),
    decode(text) {
      try {
        return text[0] === MARKED ? revive(JSON.parse(text.slice(1))) : (JSON.parse(text) as unknown);
      } catch (cause) {
        throw new StoreError('CORRUPT_RECORD', `a recorded value can't be read: ${messageOf(cause)}`, {
          cause,
        });
      }
    },
  };
}

/** Nothing for what throws when it is read, too: the general form will name the place. */
function plainText(value: unknown): string | undefined {
  return attempt(() => (isPlainJson(value) ? JSON.stringify(value) : undefined));
}
