import { isJsonNumber, isPlain, prototypeOf } from '../values/kinds.js';
import { MAX_DEPTH, MAX_NODES } from '../values/write.js';

/**
 * Whether `JSON.parse(JSON.stringify(value))` gives an equal value. This runs for every result, so it reads each member once
 * and stops at the first doubt; the general form then decides.
 */
export function isPlainJson(value: unknown): boolean {
  let nodes = 0;

  const stable = (node: unknown, depth: number): boolean => {
    if (typeof node === 'string' || typeof node === 'boolean' || node === null) return true;
    return typeof node === 'object' ? structure(node, depth + 1) : isJsonNumber(node);
  };

  const structure = (node: object & { toJSON?: unknown }, depth: number): boolean => {
    if (depth > MAX_DEPTH || ++nodes > MAX_NODES) return false;
    // JSON.stringify calls toJSON also where it is inherited or not enumerable.
    if (typeof node.toJSON === 'function' || Object.getOwnPropertySymbols(node).length > 0) return false;
    if (Array.isArray(node)) return elements(node, depth);
    if (!isPlain(node) || !prototypeOf(node)) return false;
    // Twice as fast as Object.keys. Checking an inherited member too does no harm.
    for (const key in node) if (!stable((node as Record<string, unknown>)[key], depth)) return false;
    return true;
  };

  const elements = (list: readonly unknown[], depth: number): boolean => {
    const { length } = list;
    nodes += length;
    // As many keys as elements means no holes and no extra members.
    if (prototypeOf(list) !== Array.prototype || Object.keys(list).length !== length) return false;
    for (let i = 0; i < length; i++) if (!stable(list[i], depth)) return false;
    return true;
  };

  return stable(value, 0);
}
