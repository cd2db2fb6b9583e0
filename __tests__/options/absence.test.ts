/** Absence never widens: what was to keep callers apart and is missing is refused, in every adapter, and nothing is run. */
import { describe, expect, test } from '@jest/globals';
import { observe, type Seen } from './effects.js';
import { ADAPTERS, isHttp, type Adapter } from './adapters.js';

/** The ways in which a member can be there and be undefined. */
const PRESENT: Readonly<Record<string, (name: string) => object>> = {
  'a member': (name) => ({ [name]: undefined }),
  'a getter of a class': (name) => {
    class Options {}
    Object.defineProperty(Options.prototype, name, { get: () => undefined });
    return new Options();
  },
  'an inherited member': (name) => Object.create({ [name]: undefined }) as object,
  'a Proxy': (name) =>
    new Proxy(
      {},
      {
        has: (target, asked) => asked === name || asked in target,
        get: (target, asked) => (asked === name ? undefined : (Reflect.get(target, asked) as unknown)),
      },
    ),
};
const NOTHING = [undefined, null, ''];
const IDENTITY = ['scope', 'prefix', 'payload', 'fingerprint', 'key', 'host'];

const codeOf = (name: string) => (name === 'key' ? 'INVALID_KEY' : 'INVALID_OPTIONS');
const hasRun = ({ runs, claimed }: Seen) => runs > 0 || claimed !== undefined;
const among = (table: object = {}) => IDENTITY.filter((name) => name in table);
/** As the plain recipe does it: `options.prefix ?? 'idempotency'`. */
const isDefault = (adapter: Adapter, name: string) => name === 'prefix' && 'onDuplicate' in adapter.own;

describe.each(Object.entries(ADAPTERS))('%s', (_, adapter) => {
  const own = among(adapter.own).filter((name) => !isDefault(adapter, name));
  const further = among(adapter.outer).filter((name) => !isDefault(adapter, name));

  test.each(
    [...own.map((name) => ['inner', name]), ...further.map((name) => ['outer', name])].flatMap(
      ([where, name]) => Object.keys(PRESENT).map((way) => [where, name, way] as [string, string, string]),
    ),
  )('%s: %s is undefined, as %s', async (where, name, way) => {
    const seen = await observe(adapter, { [where]: PRESENT[way]?.(name) });
    expect(seen).toMatchObject({ error: { code: codeOf(name) } });
    expect(seen.error?.message).toContain(name);
    expect(hasRun(seen)).toBe(false);
  });

  const texts = own.filter((name) => takes(adapter, name, 'value'));
  test.each(texts.flatMap((name) => [[name, null] as const, [name, ''] as const]))(
    '%s is %j',
    async (name, nothing) => {
      const seen = await observe(adapter, { inner: { [name]: nothing } });
      expect(seen).toMatchObject({ error: { code: codeOf(name) } });
      expect(hasRun(seen)).toBe(false);
    },
  );

  const functions = own.filter((name) => name !== 'prefix' && takes(adapter, name, 'function'));
  const answers = functions.flatMap((name) => NOTHING.map((nothing) => [name, nothing] as const));
  if (answers.length > 0) {
    test.each(answers)('the function %s gives %j', async (name, nothing) => {
      // Where `key` of HTTP gives nothing the header counts, so that there is none either.
      const headers = isHttp(adapter) && name === 'key' ? { headers: {} } : {};
      const seen = await observe(adapter, { inner: { [name]: () => nothing }, ...headers });
      // A client alone can bring that about in HTTP, where it is an answer.
      if (isHttp(adapter)) expect(seen.answer).toMatchObject({ status: name === 'scope' ? 403 : 400 });
      else expect(seen).toMatchObject({ error: { code: codeOf(name) } });
      expect(hasRun(seen)).toBe(false);
    });
  }
});

test('a task takes an undefined prefix, as the plain recipe does', async () => {
  for (const where of ['inner', 'outer']) {
    const seen = await observe(ADAPTERS['a task'] as Adapter, { [where]: { prefix: undefined } });
    expect(seen.place?.address).toBe('idempotency:Pay:k');
  }
});

function takes({ form }: Adapter, name: string, what: 'value' | 'function'): boolean {
  if (name === 'prefix') return what === 'value';
  if (name === 'host') return what === 'function';
  const of = form[name === 'fingerprint' ? 'payload' : (name as keyof typeof form)];
  return of === what || of === 'both';
}
