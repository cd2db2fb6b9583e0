const noted = new WeakMap<object, { readonly error: unknown }>();

/** Stores the error that the framework is about to answer, so that `remember` gets it. @param response the raw response */
export function noteError(response: object, error: unknown): void {
  if (!noted.has(response)) noted.set(response, { error });
}

/** The first error that was stored for a response, as the member `error`; empty if there is none. */
export const notedError = (response: object): { readonly error?: unknown } => noted.get(response) ?? {};
