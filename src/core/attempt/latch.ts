/** A value that is set once, and a promise of it only for those who must wait. */
export class Latch<T> {
  #value: T | undefined;
  #promise: Promise<T> | undefined;
  #resolve: ((value: T) => void) | undefined;

  get value(): T | undefined {
    return this.#value;
  }

  set(value: T): void {
    if (this.#value !== undefined) return;
    this.#value = value;
    this.#resolve?.(value);
  }

  wait(): Promise<T> {
    if (this.#value !== undefined) return Promise.resolve(this.#value);
    return (this.#promise ??= new Promise((resolve) => (this.#resolve = resolve)));
  }
}
