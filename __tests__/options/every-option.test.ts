/** Every option of every adapter: what was set further out is inherited, overridden or refused; nothing that is given is dropped. */
import { describe, expect, test } from '@jest/globals';
import { isIdempotencyError } from '../../src/core/errors.js';
import { ABORTED, EFFECTS, meansOf, observe, UNSEEN, type Effect, type Seen } from './effects.js';
import { ADAPTERS, type Call, type Adapter } from './adapters.js';

/** What the work fails with, and what an aborted caller gets. */
const EXPECTED = ['declined', (ABORTED.reason as Error).message];
type Value = 'a' | 'b' | undefined;

/** What is seen where the option has one of its two values further out, in the adapter, in both, or nowhere. */
async function seeing(
  adapter: Adapter,
  name: string,
  outer: Value,
  inner: Value,
  isAlone = false,
): Promise<Seen> {
  const effect = effectOf(name);
  const told: string[] = [];
  const means = meansOf(told);
  const valueOf = (from: Effect['values'], value: Value) =>
    value === undefined ? {} : { [name]: from(adapter, means)[value === 'a' ? 0 : 1] };
  const { headers, times, work, also } = effect;
  const outerValues = (adapter.inheritance[name] === 'combined' && effect.outerValues) || effect.values;
  const given: Partial<Omit<Call, 'work'>> = {
    outer: valueOf(outerValues, outer),
    inner: { ...also?.(adapter), ...valueOf(effect.values, inner) },
    ...(headers && { headers }),
    ...(times && { times }),
    isAlone,
  };
  const seen = await observe(adapter, { ...given, ...(work && { work }) }, told);
  // A mistake of the test's own would look like an option that is dropped.
  if (seen.error && !isIdempotencyError(seen.error) && !EXPECTED.includes(seen.error.message))
    throw seen.error;
  return seen;
}

function effectOf(name: string): Effect {
  const effect = EFFECTS[name];
  if (effect) return effect;
  throw new Error(
    `the option ${name} has no line in effects.ts: say what it does, or in UNSEEN why it can't be seen`,
  );
}

describe.each(Object.entries(ADAPTERS))('%s', (label, adapter) => {
  const { own, outer = {}, inheritance } = adapter;
  const isSeen = (name: string) => !(`${label}: ${name}` in UNSEEN || `every adapter: ${name}` in UNSEEN);
  const see = (name: string, seen: Seen) => effectOf(name).see(seen);
  const look = async (name: string, ...values: [Value, Value, boolean?]) =>
    see(name, await seeing(adapter, name, ...values));

  const further = Object.keys(outer).filter(isSeen);
  if (further.length === 0) return ownOptions();

  test.each(further)('%s, set further out, is never dropped', async (name) => {
    const rule = inheritance[name];
    const [a, b] = [await look(name, 'a', undefined), await look(name, 'b', undefined)];
    switch (rule) {
      case 'inherited':
        expect(a).not.toEqual(b);
        expect(await look(name, 'a', 'b')).toEqual(b);
        expect(await look(name, 'b', 'a')).toEqual(a);
        return;
      case 'combined':
        expect(a).not.toEqual(b);
        expect(await look(name, 'a', 'b')).not.toEqual(await look(name, 'b', 'b'));
        expect(await look(name, undefined, 'a')).not.toEqual(await look(name, undefined, 'b'));
        return;
      case 'kept': {
        expect(a).not.toEqual(b);
        const beside = await seeing(adapter, name, 'a', 'b');
        expect(beside).toMatchObject({ error: { code: 'INVALID_OPTIONS' }, runs: 0, claimed: undefined });
        expect(beside.error?.message).toContain(name);
        return;
      }
      case 'replaced':
        expect(a).toEqual(b);
        expect(await look(name, 'a', 'b')).not.toEqual(a);
        return;
      case 'refused': {
        const refusal = await seeing(adapter, name, 'a', undefined);
        expect(refusal).toMatchObject({ error: { code: 'INVALID_OPTIONS' }, runs: 0, claimed: undefined });
        expect(refusal.error?.message).toContain(`the ${name} of its idempotency`);
        expect(await look(name, 'a', 'b')).toEqual(await look(name, 'b', 'b'));
        return;
      }
      default:
        throw new Error(`no rule says what becomes of ${name}`);
    }
  });

  // Seen above, where they are those of the same table.
  if (own !== outer) ownOptions();

  function ownOptions() {
    test.each(Object.keys(own).filter(isSeen))('%s, its own, is never dropped', async (name) => {
      const [a, b] = [await look(name, undefined, 'a', true), await look(name, undefined, 'b', true)];
      expect(a).not.toEqual(b);
    });
  }
});

test('what can not be seen is said of options that there are', () => {
  for (const line of Object.keys(UNSEEN)) {
    const [label, name] = line.split(': ') as [string, string];
    const adapter = ADAPTERS[label === 'every adapter' ? 'run()' : label];
    expect({ ...adapter?.own, ...adapter?.outer }).toHaveProperty([name]);
  }
});
