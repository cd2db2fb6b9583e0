import {
  classNames,
  isBuiltin,
  isJsonNumber,
  isPlain,
  leafOf,
  messageOf,
  prototypeOf,
  quote,
  tagOf,
  type Leaf,
} from './kinds.js';

/** Deeper than any real value; far below what the stack holds. */
export const MAX_DEPTH = 500;
/** Shared references are written out each time they are met, so a small graph can have an endless text. */
export const MAX_NODES = 500_000;

/** How much a text may hold, and who is told what was left out of it. */
export interface WriteOptions {
  /** Of names, strings and bytes together, in UTF-16 units of the text. @default no bound */
  readonly maxLength?: number;
  /** The path of a member that the form leaves out. */
  readonly onDropped?: ((path: string) => void) | undefined;
}

/** Which budget a value went over. Such a value is too large, and not of a wrong kind. */
export type Budget = 'depth' | 'nodes' | 'length';

/** How a form spells what JSON has no text for. All texts that it is given are in its own form. */
export interface Form {
  /** `undefined`, `NaN`, `-Infinity`, `-0`, `12n`. */
  token(text: string): string;
  /** A builtin without parts, or `hole`: so many missing elements of an array. */
  leaf(kind: string, data: Leaf): string;
  /** A Map (of pairs) or a Set. */
  list(kind: string, texts: string[]): string;
  pair(key: string, value: string): string;
  /** A plain object. */
  object(value: object, walk: Walk): string;
  /** An instance of any class; undefined when it is up to the walk. */
  instance?(value: object, tag: string, names: readonly string[], walk: Walk): string | undefined;
}

/** What a form may ask of the walk. */
export interface Walk {
  text(value: unknown): string;
  /** The names of the members; symbols are refused, hidden members are no data. */
  keys(value: object): string[];
  /** `{…}` with these members. */
  members(value: object, keys: readonly string[]): string;
  refuse(what: string): never;
  /** Says that this member is left out. */
  drop(key: string | number): void;
  /** Whatever is said meanwhile is about this member. */
  within<T>(key: string | number, run: () => T): T;
}

export type Refusal = (path: string, what: string, options?: ErrorOptions, over?: Budget) => Error;

/**
 * Writes a value in a form; what has no dependable text is refused by its path. The costs grow with the size of the
 * text, not with its depth: texts are put together with `+`, which copies nothing before the whole text is read, where
 * `join` would copy the inner text once for each level around it.
 *
 * @throws what `refusal` makes, and nothing else.
 */
export function write(
  value: unknown,
  root: string,
  form: Form,
  refusal: Refusal,
  { maxLength = Infinity, onDropped }: WriteOptions = {},
): string {
  // A stack, made into text only when something is refused. It is pushed before a read, since that may throw.
  const path: (string | number)[] = [];
  const ancestors = new Set<object>();
  let nodes = 0;
  let length = 0;
  let refused: unknown;

  const place = () => root + path.map(segment).join('');

  const refuse = (what: string, options?: ErrorOptions, over?: Budget): never => {
    refused = refusal(place(), what, options, over);
    throw refused;
  };

  /** Before the text is made: a text that is too long would cost what the budget is to save. */
  const charge = (units: number) => {
    length += units;
    if (length > maxLength) refuse(`makes the text longer than ${maxLength} characters`, undefined, 'length');
  };

  const text = (node: unknown): string => {
    if (++nodes > MAX_NODES) refuse(`holds more than ${MAX_NODES} values`, undefined, 'nodes');
    if (typeof node === 'object') return node ? structure(node) : 'null';
    if (typeof node === 'string') {
      charge(node.length);
      return quote(node);
    }
    if (typeof node === 'boolean' || isJsonNumber(node)) return `${node as number}`;
    if (typeof node === 'function' || typeof node === 'symbol') return refuse(`is a ${typeof node}`);
    if (typeof node === 'bigint') return form.token(`${node}n`);
    return form.token(node === 0 ? '-0' : `${node as number | undefined}`);
  };

  const structure = (node: object): string => {
    if (ancestors.has(node)) refuse('refers back to itself');
    if (ancestors.size >= MAX_DEPTH) refuse(`is nested deeper than ${MAX_DEPTH} levels`, undefined, 'depth');
    ancestors.add(node);
    const written =
      prototypeOf(node) === Array.prototype
        ? array(node as unknown[])
        : isPlain(node)
          ? form.object(node, walk)
          : instance(node, classNames(node));
    ancestors.delete(node);
    return written;
  };

  const instance = (node: object, names: readonly string[]): string => {
    const tag = tagOf(node);
    const own = form.instance?.(node, tag, names, walk);
    if (own !== undefined) return own;
    const kind = isBuiltin(names, tag) ? tag : '';
    if (kind === 'Array') return array(node as unknown[]);
    const holds = kind === 'Map' || kind === 'Set';
    const leaf = leafOf(node, kind);
    if (!holds && leaf === undefined) return refuse(`is an instance of ${names[0] || 'an unnamed class'}`);
    if (!ArrayBuffer.isView(node) && keysOf(node).length > 0) refuse(`is a ${tag} with extra members`);
    if (leaf === undefined) return form.list(kind, collection(node as Map<unknown, unknown>, kind));
    charge(lengthOf(leaf));
    return form.leaf(names[0]!, leaf);
  };

  const collection = (node: Map<unknown, unknown>, kind: string): string[] => {
    const all = (iterator: 'keys' | 'values'): string[] => {
      const list = [...node[iterator]()];
      path.push(`${iterator}()`);
      const texts = list.map((_, index) => member(list, index));
      path.pop();
      return texts;
    };
    const values = all('values');
    return kind === 'Set' ? values : all('keys').map((key, index) => form.pair(key, values[index]!));
  };

  const array = (list: readonly unknown[]): string => {
    const keys = keysOf(list);
    const { length: count } = list;
    // Indices come first and in order: as many keys as elements, the last one an index, are all elements and no more.
    if (keys.length !== count || (count > 0 && keys[count - 1] !== String(count - 1)))
      return sparse(list, keys);
    let written = '';
    for (let index = 0; index < count; index++) {
      if (index > 0) written += ',';
      written += member(list, index);
    }
    return `[${written}]`;
  };

  const sparse = (list: readonly unknown[], keys: readonly string[]): string => {
    const texts: string[] = [];
    let next = 0;
    const skipTo = (index: number) => index > next && texts.push(form.leaf('hole', index - next));
    // By keys, not by length: a sparse array may have four thousand million holes.
    for (const key of keys) {
      const index = Number(key);
      // Elements come first and in order: anything else is a member that was put on the array.
      if (!(index >= next && index < list.length && String(index) === key)) {
        refuse(`is an array with the extra member ${quote(key)}`);
      }
      skipTo(index);
      texts.push(member(list, index));
      next = index + 1;
    }
    skipTo(list.length);
    return `[${texts.join()}]`;
  };

  const member = (holder: object, key: string | number): string => {
    path.push(key);
    const written = text((holder as Record<string | number, unknown>)[key]);
    path.pop();
    return written;
  };

  const keysOf = (node: object): string[] => {
    for (const key of Object.getOwnPropertySymbols(node)) {
      if (Object.prototype.propertyIsEnumerable.call(node, key))
        refuse(`has the symbol ${String(key)} as a key`);
    }
    return Object.keys(node);
  };

  const walk: Walk = {
    text,
    refuse,
    keys: keysOf,
    within(key, run) {
      path.push(key);
      const made = run();
      path.pop();
      return made;
    },
    members(node, keys) {
      let written = '';
      for (const key of keys) {
        charge(key.length);
        written += `${written && ','}${quote(key)}:${member(node, key)}`;
      }
      return `{${written}}`;
    },
    drop(key) {
      if (onDropped) onDropped(place() + segment(key));
    },
  };

  try {
    return text(value);
  } catch (error) {
    if (refused && error === refused) throw error;
    return refuse(`can't be read (${messageOf(error)})`, { cause: error });
  }
}

function lengthOf(leaf: Leaf): number {
  if (typeof leaf === 'number') return 0;
  if (Array.isArray(leaf)) return leaf.join().length;
  // Bytes take two hex digits each, and hardly less as base64.
  return typeof leaf === 'string' ? leaf.length : leaf.length * 2;
}

function segment(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`;
  return /^[\w$]+(\(\))?$/.test(key) ? `.${key}` : `[${quote(key)}]`;
}
