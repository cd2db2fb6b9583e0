/** Also `authorize`, but not what has to do with authors. */
const NAMES = /auth(?!or(?!i[sz]))|passport|jwt|permission|guard|requireuser|requirelogin|requirerole/i;

/**
 * Says that something with the name of an authorization stands behind us: a replay is answered without it, so that
 * whoever has lost a right meanwhile still reads the first answer. Names are all that can be seen.
 * @param functions what runs after us, in order
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
  warn(`${place}: ${name} stands behind the idempotency key, so a replay is answered without it; ${remedy}`);
}
