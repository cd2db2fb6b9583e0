import { Buffer } from 'node:buffer';
import { prototypeOf, quote, type Leaf } from '../values/kinds.js';
import type { Form, Walk } from '../values/write.js';
import type { ClassCodec } from './class-codec.js';
import { writeError } from './error-form.js';

export interface FormRules {
  readonly classes: readonly ClassCodec[];
  readonly flatten: boolean;
  /** The names of error members that are recorded although they are objects. */
  readonly keep: readonly string[];
}

/** A value that JSON lacks is written as an object with one member, named `$` and the kind: `{"$Date":"2020-…"}`. */
const mark = (kind: string, text: string) => `{"$${kind}":${text}}`;

const list = (kind: string, texts: readonly string[]) => mark(kind, `[${texts.join()}]`);

/** JSON with marks; `revive.ts` reads it. */
export function createForm({ classes, flatten, keep }: FormRules): Form {
  const findCodec = (value: object) => classes.find(({ type }) => type.prototype === prototypeOf(value));
  const errorRules = { keep, hasCodec: (value: object) => findCodec(value) !== undefined };
  return {
    token: (text) => mark('', `"${text}"`),
    leaf: (kind, data) => mark(kind, JSON.stringify(readable(kind, data))),
    list,
    pair: (key, value) => `[${key},${value}]`,
    object,
    instance(value, tag, names, walk) {
      const codec = findCodec(value);
      if (codec) return list('Class', [quote(codec.name), walk.text(codec.encode(value))]);
      if (names.includes('Error')) return list('Error', writeError(value, names, walk, errorRules));
      if (tag === 'RegExp' && (value as RegExp).lastIndex > 0)
        walk.refuse('is a RegExp in use, with a lastIndex');
      // With another tag the object has state that is not in its members: a Promise, a stream, a Headers.
      return flatten && tag === 'Object' ? object(value, walk) : undefined;
    },
  };
}

function readable(kind: string, data: Leaf): unknown {
  if (kind === 'Date') return new Date(data as number); // JSON.stringify makes it an ISO text, or null
  if (!(data instanceof Uint8Array)) return data;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
}

/** A plain object. It is marked too if it has no prototype, or if it looks like a mark. */
function object(value: object, walk: Walk): string {
  const keys = walk.keys(value);
  const text = walk.members(value, keys);
  if (prototypeOf(value) === null) return mark('Bare', text);
  return isMark(keys) ? mark('Object', text) : text;
}

export function isMark(keys: readonly string[]): boolean {
  return keys.length === 1 && keys[0]!.startsWith('$');
}
