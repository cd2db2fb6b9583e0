/** What was made for this id before, or made now. Bounded, since ids come from outside. */
export function remember<T>(cache: Map<string, T>, id: string, make: () => T): T {
  let value = cache.get(id);
  if (value === undefined) {
    if (cache.size >= 1000) cache.clear();
    cache.set(id, (value = make()));
  }
  return value;
}
