const told = new WeakMap<object, { readonly error: unknown }>();

/** Notes the error that the framework is about to answer, so that `remember` can see it. @param response the raw response */
export function tellError(response: object, error: unknown): void {
  if (!told.has(response)) told.set(response, { error });
}

/** The first error that was told of a response, as a member; none where no error was told. */
export const toldError = (response: object): { readonly error?: unknown } => told.get(response) ?? {};
