const MAX_KNOWN = 1_000;

/** Which members were left out of the errors of which operation, so that each is told of once. */
export class DroppedMembers {
  readonly #known = new Set<string>();

  /** Those of the paths that are new; `errors[0]` and `errors[1]` are the same place. */
  news(operation: string, paths: readonly string[]): string[] {
    return paths.filter((path) => {
      const id = `${operation}\0${path.replaceAll(/\[\d+\]/g, '[]')}`;
      if (this.#known.has(id) || this.#known.size >= MAX_KNOWN) return false;
      this.#known.add(id);
      return true;
    });
  }
}
