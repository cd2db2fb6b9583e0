/** Makes a value once for each id. The cache is bounded, because ids come from outside. */
export function memoize<T>(cache: Map<string, T>, id: string, make: () => T): T {
  let value = cache.get(id);
  if (value === undefined) {
    if (cache.size >= 1000) cache.clear();
    cache.set(id, (value = make()));
  }
  return value;
}
