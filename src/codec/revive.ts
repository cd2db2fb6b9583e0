import { Buffer } from 'node:buffer';
import type { ClassCodec } from './class-codec.js';
import { makeError } from './error-form.js';
import { isMark } from './form.js';

type Members = Record<string, unknown>;

type ViewClass = new (memory: ArrayBuffer) => unknown;

/** The classes that bytes are restored to. A record can't name any other global. */
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
    // Missing in older versions of Node.
    Float16Array: Reflect.get(globalThis, 'Float16Array') as ViewClass | undefined,
  }),
);

/** Replaces the marks in a parsed text by the values they stand for, in place. */
export function reviver(classes: readonly ClassCodec[]): (node: unknown) => unknown {
  const revive = (node: unknown): unknown => {
    if (typeof node !== 'object' || node === null) return node;
    if (Array.isArray(node)) return elements(node);
    const keys = Object.keys(node);
    return isMark(keys)
      ? make(keys[0]!.slice(1), (node as Members)[keys[0]!] as never)
      : members(node as Members, keys);
  };

  // JSON.parse makes `__proto__` an own member, so this assignment does not call the setter.
  const members = (node: Members, keys = Object.keys(node)): Members => {
    for (const key of keys) node[key] = revive(node[key]);
    return node;
  };

  const elements = (list: unknown[]): unknown[] => {
    const made: unknown[] = [];
    for (const element of list) {
      // Always a mark: data with a member `$hole` is wrapped in `$Object`, or has other members too.
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
  // A copy, because a small Buffer is a view on Node's shared pool.
  const memory = Uint8Array.from(buffer).buffer;
  if (kind === 'ArrayBuffer') return memory;
  const View = VIEWS.get(kind);
  if (!View) throw new Error(`unknown kind ${kind}`);
  return new View(memory);
}
