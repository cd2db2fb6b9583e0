import { Buffer } from 'node:buffer';
import type { ClassCodec } from './class-codec.js';
import { makeError } from './error-form.js';
import { isMark } from './form.js';

type Members = Record<string, unknown>;

type ViewClass = new (memory: ArrayBuffer) => unknown;

/** Every view that bytes are made into. A record names no other class, whatever else has a global name. */
const VIEWS = new Map<string, ViewClass | undefined>(
  Object.entries({
    DataView,
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
    // Not in every version of Node that we run on.
    Float16Array: Reflect.get(globalThis, 'Float16Array') as ViewClass | undefined,
  }),
);

/** Turns the marks of a parsed text into what they stand for, in place. */
export function reviver(classes: readonly ClassCodec[]): (node: unknown) => unknown {
  const revive = (node: unknown): unknown => {
    if (typeof node !== 'object' || node === null) return node;
    if (Array.isArray(node)) return elements(node);
    const keys = Object.keys(node);
    return isMark(keys)
      ? make(keys[0]!.slice(1), (node as Members)[keys[0]!] as never)
      : members(node as Members, keys);
  };

  // JSON.parse has made `__proto__` an own member, which assignment then leaves one.
  const members = (node: Members, keys = Object.keys(node)): Members => {
    for (const key of keys) node[key] = revive(node[key]);
    return node;
  };

  const elements = (list: unknown[]): unknown[] => {
    const made: unknown[] = [];
    for (const element of list) {
      // A member of that name, were it data, would be inside an `$Object`, or have others beside it.
      const hole = (element as { $hole?: number } | null)?.$hole;
      if (hole && isMark(Object.keys(element as object))) made.length += hole;
      else made.push(revive(element));
    }
    return made;
  };

  const make = (kind: string, data: never): unknown => {
    switch (kind) {
      case '':
        return token(data);
      case 'Object':
        return members(data);
      case 'Bare':
        return Object.setPrototypeOf(members(data), null);
      case 'Date':
        return new Date(data ?? NaN);
      case 'RegExp':
        return new RegExp(...(data as [string, string]));
      case 'URL':
        return new URL(data);
      case 'URLSearchParams':
        return new URLSearchParams(data);
      case 'Map':
        return new Map(elements(data) as [unknown, unknown][]);
      case 'Set':
        return new Set(elements(data));
      case 'Error':
        return makeError(data, members);
      case 'Class':
        return instance(data);
      default:
        return bytes(kind, data);
    }
  };

  const instance = ([name, data]: [string, unknown]): unknown => {
    const codec = classes.find((candidate) => candidate.name === name);
    if (!codec) throw new Error(`it needs the class codec "${name}": register it`);
    return codec.decode(revive(data));
  };

  return revive;
}

function token(text: string): unknown {
  if (text === 'undefined') return undefined;
  return text.endsWith('n') ? BigInt(text.slice(0, -1)) : Number(text);
}

function bytes(kind: string, base64: string): unknown {
  const buffer = Buffer.from(base64, 'base64');
  if (kind === 'Buffer') return buffer;
  // A copy, since a small Buffer is a window on a pool.
  const memory = Uint8Array.from(buffer).buffer;
  if (kind === 'ArrayBuffer') return memory;
  const View = VIEWS.get(kind);
  if (!View) throw new Error(`unknown kind ${kind}`);
  return new View(memory);
}
