/** The data of a value that has no members, such as a Date or a RegExp. */
export type Leaf = number | string | string[] | Uint8Array;

export const prototypeOf = (value: unknown) => Object.getPrototypeOf(value) as object | null;

/** JSON.stringify of a string. Three times as fast when nothing has to be escaped. */
export function quote(text: string): string {
  return /["\\\0-\x1f\ud800-\udfff]/.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/** The result of `run`, or undefined if it throws. */
export function orUndefined<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}

/** `Map` for a Map, from `[object Map]`. No `instanceof`, because the value may come from another realm. */
export function builtinTag(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** The names of an object's classes: its own, then those it extends. */
export function classNames(value: object): string[] {
  const names: string[] = [];
  for (let at = prototypeOf(value); at; at = prototypeOf(at)) {
    const name = (at as { constructor?: { name?: unknown } }).constructor?.name;
    names.push(typeof name === 'string' ? name : '');
  }
  return names;
}

/** An object literal of this realm or another one, or an object without a prototype. */
export function isPlain(value: object): boolean {
  const prototype = prototypeOf(value);
  return (
    prototype === null ||
    prototype === Object.prototype ||
    (prototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf'))
  );
}

/** Whether the value is a number that survives JSON: not NaN, an infinity or -0. */
export function isJsonNumber(value: unknown): boolean {
  return Number.isFinite(value) && !Object.is(value, -0);
}

/** Whether this is an instance of a builtin class, and not of a subclass, which may carry more than its base does. */
export function isBuiltin(names: readonly string[], tag: string): boolean {
  return names.join().replace(/^Buffer,(?=U)|(,TypedArray)?,Object$/g, '') === tag;
}

/** The data of a builtin that has no members; undefined for any other object. */
export function toLeaf(value: object, kind: string): Leaf | undefined {
  switch (kind) {
    case '':
      return undefined;
    case 'ArrayBuffer':
      return new Uint8Array(value as ArrayBuffer);
    case 'Date':
      return (value as Date).getTime();
    case 'RegExp':
      return [(value as RegExp).source, (value as RegExp).flags];
    case 'URL':
    case 'URLSearchParams':
      return (value as URL).toString();
  }
  // Only the bytes that the view covers: the rest of its buffer may belong to something else.
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : undefined;
}

/** The message of a thrown value. No `instanceof`: it may come from another realm, and need not be an Error. */
export function thrownMessage(error: unknown): string {
  const message: unknown = (error as { message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' ? message : typeof error;
}
