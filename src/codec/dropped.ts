const MAX_KNOWN = 1_000;

/** Remembers which members of errors were left out, by operation, so that each is reported once. */
export class DroppedMembers {
  readonly #known = new Set<string>();

  /** The paths that were not reported before. `errors[0]` and `errors[1]` count as the same path. */
  news(operation: string, paths: readonly string[]): string[] {
    return paths.filter((path) => {
      const id = `${operation}\0${path.replaceAll(/\[\d+\]/g, '[]')}`;
      if (this.#known.has(id) || this.#known.size >= MAX_KNOWN) return false;
      this.#known.add(id);
      return true;
    });
  }
}
