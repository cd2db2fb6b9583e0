/** Wraps a task: calls `next()` to continue, and returns a result. */
export type Middleware<Task, Result> = (
  task: Task,
  options: Record<string, unknown>,
  next: () => Promise<Result>,
) => Promise<Result>;

/** A middleware function, an object with `call`, or either of them with options. */
export type Definition<Task, Result> = Layer<Task, Result> | [Layer<Task, Result>, Record<string, unknown>];

type Layer<Task, Result> = Middleware<Task, Result> | { call: Middleware<Task, Result> };

/** Runs `core` inside the middlewares. The first one is the outermost. */
export function runThrough<Task, Result>(
  definitions: readonly Definition<Task, Result>[],
  task: Task,
  core: () => Promise<Result>,
): Promise<Result> {
  const chained = definitions.reduceRight<() => Promise<Result>>((next, definition) => {
    const [layer, options] = Array.isArray(definition) ? definition : [definition, {}];
    // A class given instead of an instance is a function too: calling it throws a TypeError that says so.
    const call = typeof layer === 'function' ? layer : layer.call.bind(layer);
    return async () => call(task, options, next);
  }, core);
  return chained();
}
