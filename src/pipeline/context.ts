/**
 * What the tasks of one workflow share: a map from names to values. Members can also be read and written as properties
 * (`context.orderId`). A member with the name of a method is reached by `get` and `set` only.
 */
export class Context<T extends object = Record<string, unknown>> {
  readonly #values = new Map<string, unknown>();

  private constructor(values: object) {
    this.#assign(values);
  }

  /** A context with these values. */
  static from<T extends object = Record<string, unknown>>(values: Partial<T> = {}): ContextOf<T> {
    return new Proxy(new Context<T>(values), properties) as ContextOf<T>;
  }

  /** The value, or undefined if there is none. Types are checked before `work()` runs, not here. */
  get<K extends keyof T & string>(name: K): T[K] | undefined {
    return this.#values.get(name) as T[K] | undefined;
  }

  set<K extends keyof T & string>(name: K, value: T[K]): this {
    this.#values.set(name, value);
    return this;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  delete(name: string): boolean {
    return this.#values.delete(name);
  }

  keys(): string[] {
    return [...this.#values.keys()];
  }

  /** A shallow copy. */
  toObject(): Record<string, unknown> {
    return Object.fromEntries(this.#values);
  }

  merge(values: Partial<T>): this {
    this.#assign(values);
    return this;
  }

  #assign(values: object): void {
    for (const [name, value] of Object.entries(values)) this.#values.set(name, value);
  }
}

/** A context with its members as properties. */
export type ContextOf<T extends object> = Context<T> & Partial<T>;

const properties: ProxyHandler<Context> = {
  get(context, name) {
    if (typeof name === 'string' && !Reflect.has(context, name)) return context.get(name);
    const own: unknown = Reflect.get(context, name, context);
    // Bound, because the methods use private fields, which the proxy does not have.
    return typeof own === 'function' && name !== 'constructor' ? (own.bind(context) as unknown) : own;
  },
  set(context, name, value) {
    if (typeof name !== 'string' || Reflect.has(context, name)) return false;
    context.set(name, value);
    return true;
  },
  has: (context, name) => Reflect.has(context, name) || (typeof name === 'string' && context.has(name)),
  deleteProperty(context, name) {
    if (typeof name === 'string') context.delete(name);
    return true;
  },
  ownKeys: (context) => context.keys(),
  getOwnPropertyDescriptor(context, name) {
    if (typeof name !== 'string' || !context.has(name)) return undefined;
    return { value: context.get(name), writable: true, enumerable: true, configurable: true };
  },
};
