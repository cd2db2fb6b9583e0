/** Includes `authorize`, but not names about authors. */
const NAMES = /auth(?!or(?!i[sz]))|passport|jwt|permission|guard|requireuser|requirelogin|requirerole/i;

/**
 * Warns if a function whose name looks like authorization runs after the idempotency middleware. A replay is answered without
 * it, so a caller who has lost a right meanwhile still gets the first answer. Only the names of functions can be checked.
 * @param functions what runs after the middleware, in order
 */
export function warnOfAuthorization(
  functions: readonly unknown[],
  place: string,
  remedy: string,
  warn: (message: string) => void,
): void {
  const name = functions
    .map((each) => (typeof each === 'function' ? each.name : ''))
    .find((each) => NAMES.test(each));
  if (name === undefined) return;
  warn(`${place}: ${name} runs after the idempotency check, so a replay is answered without it; ${remedy}`);
}
