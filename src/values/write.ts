import {
  classNames,
  isBuiltin,
  isJsonNumber,
  isPlain,
  toLeaf,
  thrownMessage,
  prototypeOf,
  quote,
  builtinTag,
  type Leaf,
} from './kinds.js';

/** Deeper than any real value, and far from overflowing the stack. */
export const MAX_DEPTH = 500;
/** Shared references are written out each time, so a small graph could otherwise have an enormous text. */
export const MAX_NODES = 500_000;

/** Limits of one writing, and a callback for what it leaves out. */
export interface WriteOptions {
  /** The longest that names, strings and bytes together may be, in UTF-16 units. @default no limit */
  readonly maxLength?: number;
  /** Called with the path of each member that the form leaves out. */
  readonly onDropped?: ((path: string) => void) | undefined;
}

/** Which limit a value exceeds: such a value is too large, not of an unsupported kind. */
export type Budget = 'depth' | 'nodes' | 'length';

/** How an output format writes values that JSON has no text for. The texts passed in are already in that format. */
export interface Form {
  /** `undefined`, `NaN`, `-Infinity`, `-0`, `12n`. */
  token(text: string): string;
  /** A builtin without members, or `hole` with the number of missing array elements. */
  leaf(kind: string, data: Leaf): string;
  /** A Map (its texts are pairs) or a Set. */
  list(kind: string, texts: string[]): string;
  pair(key: string, value: string): string;
  /** A plain object. */
  object(value: object, walk: Walk): string;
  /** An instance of any class; undefined to let the walk handle it. */
  instance?(value: object, tag: string, names: readonly string[], walk: Walk): string | undefined;
}

/** What a form may call on the walk. */
export interface Walk {
  text(value: unknown): string;
  /** The names of the enumerable members. An enumerable symbol is refused. */
  keys(value: object): string[];
  /** The text `{…}` of these members. */
  members(value: object, keys: readonly string[]): string;
  refuse(what: string): never;
  /** Reports that this member is left out. */
  drop(key: string | number): void;
  /** Adds the member to the path while `run` works. */
  within<T>(key: string | number, run: () => T): T;
}

export type Refusal = (path: string, what: string, options?: ErrorOptions, over?: Budget) => Error;

/**
 * Writes a value in a form. A value without a dependable text is refused, and the refusal names its path. Texts are joined with
 * `+` and not with `join`, which would copy the inner text once for each level around it: the cost grows with the size of the
 * text, not with its depth.
 *
 * @throws only what `refusal` returns
 */
export function write(
  value: unknown,
  root: string,
  form: Form,
  refusal: Refusal,
  options: WriteOptions = {},
): string {
  return new Writer(root, form, refusal, options).write(value);
}

class Writer implements Walk {
  readonly #maxLength: number;
  readonly #onDropped: WriteOptions['onDropped'];
  /** The path of the current member. It is pushed before the member is read, because a getter may throw. */
  readonly #path: (string | number)[] = [];
  /** The object that is being written now, and those around it: to find cycles. */
  #innermost: object | undefined;
  #outer: Set<object> | undefined;
  #depth = 0;
  #nodes = 0;
  #length = 0;
  #refused: unknown;

  constructor(
    private readonly root: string,
    private readonly form: Form,
    private readonly refusal: Refusal,
    { maxLength = Infinity, onDropped }: WriteOptions,
  ) {
    this.#maxLength = maxLength;
    this.#onDropped = onDropped;
  }

  write(value: unknown): string {
    try {
      return this.text(value);
    } catch (error) {
      if (this.#refused && error === this.#refused) throw error;
      return this.#refuse(`can't be read (${thrownMessage(error)})`, { cause: error });
    }
  }

  text(node: unknown): string {
    if (++this.#nodes > MAX_NODES) this.#refuse(`holds more than ${MAX_NODES} values`, undefined, 'nodes');
    if (typeof node === 'object') return node ? this.#structure(node) : 'null';
    if (typeof node === 'string') {
      this.#charge(node.length);
      return quote(node);
    }
    if (typeof node === 'boolean' || isJsonNumber(node)) return `${node as number}`;
    if (typeof node === 'function' || typeof node === 'symbol') return this.refuse(`is a ${typeof node}`);
    if (typeof node === 'bigint') return this.form.token(`${node}n`);
    return this.form.token(node === 0 ? '-0' : `${node as number | undefined}`);
  }

  keys(node: object): string[] {
    for (const key of Object.getOwnPropertySymbols(node)) {
      if (Object.prototype.propertyIsEnumerable.call(node, key))
        this.refuse(`has the symbol ${String(key)} as a key`);
    }
    return Object.keys(node);
  }

  members(node: object, keys: readonly string[]): string {
    let written = '';
    for (const key of keys) {
      this.#charge(key.length);
      written += `${written && ','}${quote(key)}:${this.#member(node, key)}`;
    }
    return `{${written}}`;
  }

  refuse(what: string): never {
    return this.#refuse(what);
  }

  drop(key: string | number): void {
    this.#onDropped?.(this.#place() + segment(key));
  }

  within<T>(key: string | number, run: () => T): T {
    this.#path.push(key);
    const made = run();
    this.#path.pop();
    return made;
  }

  #place(): string {
    return this.root + this.#path.map(segment).join('');
  }

  #refuse(what: string, options?: ErrorOptions, over?: Budget): never {
    this.#refused = this.refusal(this.#place(), what, options, over);
    throw this.#refused;
  }

  /** Called before the text is built: a text over the limit should cost nothing. */
  #charge(units: number): void {
    this.#length += units;
    if (this.#length > this.#maxLength)
      this.#refuse(`makes the text longer than ${this.#maxLength} characters`, undefined, 'length');
  }

  #structure(node: object): string {
    const outer = this.#innermost;
    // The set is created for the first nested object only: most payloads are flat.
    if (outer) {
      this.#outer ??= new Set();
      this.#outer.add(outer);
      if (this.#outer.has(node)) this.refuse('refers back to itself');
    }
    if (this.#depth >= MAX_DEPTH)
      this.#refuse(`is nested deeper than ${MAX_DEPTH} levels`, undefined, 'depth');
    this.#depth++;
    this.#innermost = node;
    const written =
      prototypeOf(node) === Array.prototype
        ? this.#array(node as unknown[])
        : isPlain(node)
          ? this.form.object(node, this)
          : this.#instance(node, classNames(node));
    this.#innermost = outer;
    this.#depth--;
    if (outer) this.#outer?.delete(outer);
    return written;
  }

  #instance(node: object, names: readonly string[]): string {
    const tag = builtinTag(node);
    const own = this.form.instance?.(node, tag, names, this);
    if (own !== undefined) return own;
    const kind = isBuiltin(names, tag) ? tag : '';
    if (kind === 'Array') return this.#array(node as unknown[]);
    const holds = kind === 'Map' || kind === 'Set';
    const leaf = toLeaf(node, kind);
    if (!holds && leaf === undefined)
      return this.refuse(`is an instance of ${names[0] || 'an unnamed class'}`);
    if (!ArrayBuffer.isView(node) && this.keys(node).length > 0)
      this.refuse(`is a ${tag} with extra members`);
    if (leaf === undefined)
      return this.form.list(kind, this.#collection(node as Map<unknown, unknown>, kind));
    this.#charge(leafLength(leaf));
    return this.form.leaf(names[0]!, leaf);
  }

  #collection(node: Map<unknown, unknown>, kind: string): string[] {
    const all = (iterator: 'keys' | 'values'): string[] => {
      const list = [...node[iterator]()];
      return this.within(`${iterator}()`, () => list.map((_, index) => this.#member(list, index)));
    };
    const values = all('values');
    return kind === 'Set' ? values : all('keys').map((key, index) => this.form.pair(key, values[index]!));
  }

  #array(list: readonly unknown[]): string {
    const keys = this.keys(list);
    const { length: count } = list;
    // Object.keys lists indices first and in order. So if there are as many keys as elements and the last key is the last index,
    // the array has no holes and no extra members.
    if (keys.length !== count || (count > 0 && keys[count - 1] !== String(count - 1)))
      return this.#sparse(list, keys);
    let written = '';
    for (let index = 0; index < count; index++) {
      if (index > 0) written += ',';
      written += this.#member(list, index);
    }
    return `[${written}]`;
  }

  #sparse(list: readonly unknown[], keys: readonly string[]): string {
    const texts: string[] = [];
    let next = 0;
    const skipTo = (index: number) => index > next && texts.push(this.form.leaf('hole', index - next));
    // By keys, not by length: a sparse array may have billions of holes.
    for (const key of keys) {
      const index = Number(key);
      // Elements come first and in order, so anything else is an extra member of the array.
      if (!(index >= next && index < list.length && String(index) === key)) {
        this.refuse(`is an array with the extra member ${quote(key)}`);
      }
      skipTo(index);
      texts.push(this.#member(list, index));
      next = index + 1;
    }
    skipTo(list.length);
    return `[${texts.join()}]`;
  }

  #member(holder: object, key: string | number): string {
    this.#path.push(key);
    const written = this.text((holder as Record<string | number, unknown>)[key]);
    this.#path.pop();
    return written;
  }
}

function leafLength(leaf: Leaf): number {
  if (typeof leaf === 'number') return 0;
  if (Array.isArray(leaf)) return leaf.join().length;
  // Two hex digits a byte; base64 is a little shorter.
  return typeof leaf === 'string' ? leaf.length : leaf.length * 2;
}

function segment(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`;
  return /^[\w$]+(\(\))?$/.test(key) ? `.${key}` : `[${quote(key)}]`;
}
