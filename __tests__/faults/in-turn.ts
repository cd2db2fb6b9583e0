/** Starts all of them in order, a few at a time; each has a promise of its own. */
export function inTurn<T, R>(
  items: readonly T[],
  atATime: number,
  run: (item: T) => Promise<R>,
): Promise<R>[] {
  const lanes: Promise<unknown>[] = Array.from({ length: atATime }, () => Promise.resolve());
  return items.map((item, index) => {
    const lane = index % atATime;
    const result = lanes[lane]!.then(() => run(item));
    // Whoever awaits it learns of a failure; until then it is not unhandled.
    lanes[lane] = result.catch(() => undefined);
    return result;
  });
}
