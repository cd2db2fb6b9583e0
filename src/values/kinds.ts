/** What a value without members of its own comes down to. */
export type Leaf = number | string | string[] | Uint8Array;

export const prototypeOf = (value: unknown) => Object.getPrototypeOf(value) as object | null;

/** JSON.stringify of a string, three times as fast where nothing is to be escaped. */
export function quote(text: string): string {
  return /["\\\0-\x1f\ud800-\udfff]/.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/** What it gives, or undefined when it throws. */
export function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}

/** `Map` of `[object Map]`: told without `instanceof`, since the value may come from another realm. */
export function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** The names of the classes of an object, its own first. */
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

/** Whether JSON has a text for it that comes back the same. */
export function isJsonNumber(value: unknown): boolean {
  return Number.isFinite(value) && !Object.is(value, -0);
}

/** Whether it is of a builtin class itself: a subclass adds meaning that its base has no form for. */
export function isBuiltin(names: readonly string[], tag: string): boolean {
  return names.join().replace(/^Buffer,(?=U)|(,TypedArray)?,Object$/g, '') === tag;
}

/** What a builtin without parts comes down to; undefined when it is none. */
export function leafOf(value: object, kind: string): Leaf | undefined {
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
  // Of a view only the bytes that it shows: the rest of its buffer may be anybody's.
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : undefined;
}

/** Without `instanceof`: what was thrown may come from another realm, and need not be an error. */
export function messageOf(error: unknown): string {
  const message: unknown = (error as { message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' ? message : typeof error;
}
