/** What an option can't be is refused by name, with what to give, in every adapter and store; and nothing is run. */
import { describe, expect, test } from '@jest/globals';
import { UsageError } from '../../src/core/errors.js';
import { InMemoryStore } from '../../src/index.js';
import { DynamoDBStore } from '../../src/stores/dynamodb/store.js';
import { KeyValueStore } from '../../src/stores/keyvalue/store.js';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { checkOptions } from '../../src/testing/options.js';
import { observe, type Seen } from './effects.js';
import { ADAPTERS, isHttp, type Adapter } from './adapters.js';
import { optionTables } from './tables.js';
import { NO_TEXT, WRONG } from './wrong.js';

function valuesOf(name: string): readonly unknown[] {
  const values = WRONG[name];
  if (values) return values;
  throw new Error(`the option ${name} has no line in wrong.ts: say what it refuses`);
}
/** What is wrong in this adapter besides: a text where it takes a function, a function where it takes a value. */
function alsoWrong({ form }: Adapter, name: string): readonly unknown[] {
  if (name !== 'key' && name !== 'scope' && name !== 'payload') return [];
  if (form[name] === 'function') return ['text', 1, {}, true];
  return form[name] === 'value' && name !== 'payload' ? [() => 'text'] : [];
}

function refusal(name: string, { error, runs, claimed }: Seen): void {
  expect(error).toBeInstanceOf(UsageError);
  expect(error?.code).toMatch(name === 'key' ? /^INVALID_(KEY|OPTIONS)$/ : /^INVALID_OPTIONS$/);
  expect(error?.message.toLowerCase()).toContain(name.toLowerCase());
  expect({ runs, claimed }).toEqual({ runs: 0, claimed: undefined });
}
const thrower = (name: string) =>
  Object.defineProperty({}, name, {
    enumerable: true,
    get() {
      throw new Error('no session');
    },
  });
const UNKNOWN = { retention: '1h' };

describe.each(Object.entries(ADAPTERS))('%s', (_, adapter) => {
  const places = (['inner', 'outer'] as const).flatMap((where) => {
    const table = (where === 'inner' ? adapter.own : adapter.outer) ?? {};
    return Object.keys(table).map((name) => [where, name] as const);
  });

  test.each(places)('%s: a wrong %s is refused', async (where, name) => {
    // Tasks take what the plain recipe's `??` takes.
    const isRecipe = name === 'prefix' && 'onDuplicate' in adapter.own;
    // Where an adapter has its own name, that of the instance stands in no address.
    const known = where === 'outer' && name === 'name' ? NO_TEXT : valuesOf(name);
    const values = [...known, ...(where === 'inner' ? alsoWrong(adapter, name) : [])];
    for (const value of values.filter((each) => !(isRecipe && each === null))) {
      // Where several are given, one of them is too many.
      const isAlone =
        where === 'inner' &&
        (name === 'store' ||
          name === 'codec' ||
          name === 'logger' ||
          name === 'keysInLogs' ||
          name === 'admit');
      refusal(name, await observe(adapter, { [where]: { [name]: value }, isAlone }));
    }
  });

  test.each(places)('%s: a getter of %s that throws is refused', async (where, name) => {
    const seen = await observe(adapter, { [where]: thrower(name) });
    refusal(name, seen);
    expect(seen.error?.message).toContain('no session');
  });

  test('an unknown name is refused', async () => {
    refusal('retention', await observe(adapter, { inner: { ...UNKNOWN } }));
    if (adapter.outer) refusal('retention', await observe(adapter, { outer: { ...UNKNOWN } }));
  });
});

test('HTTP: a scope or a fingerprint that means nobody is refused before anything runs', async () => {
  for (const adapter of Object.values(ADAPTERS).filter(isHttp)) {
    for (const scope of [NaN, 1.5, 2 ** 53, Infinity, {}, 'user:undefined'])
      refusal('scope', await observe(adapter, { inner: { scope: () => scope } }));
  }
});

const pool = {
  query: async () => ({ rows: [], rowCount: 0 }),
  connect: async () => ({}),
  options: { max: 1 },
};
const client = { send: async () => ({}) };
const MAKERS: Readonly<Record<string, (options: object) => unknown>> = {
  InMemoryStore: (options) => new InMemoryStore(options),
  RedisStore: (options) => new RedisStore(options),
  PostgresStore: (options) => new PostgresStore(pool as never, options),
  DynamoDBStore: (options) =>
    new DynamoDBStore(
      client,
      ('table' in options ? options : Object.assign(options, { table: 't' })) as never,
    ),
  KeyValueStore: (options) => new KeyValueStore(new Map() as never, options),
  'describeStoreContract()': (options) => checkOptions(options),
};
const STORE_TABLES = Object.entries(optionTables).filter(([label]) => label in MAKERS);

test('every table is that of an adapter or of a maker', () => {
  const tables = new Set<object>(
    Object.values(ADAPTERS).flatMap(({ own, outer }) => (outer ? [own, outer] : [own])),
  );
  for (const [label, table] of Object.entries(optionTables))
    expect([label, tables.has(table) || label in MAKERS]).toEqual([label, true]);
});

describe.each(STORE_TABLES)('%s', (label, table) => {
  const make = MAKERS[label] as (options: object) => unknown;
  const messageFor = (options: object) => {
    try {
      make(options);
    } catch (error) {
      expect(error).toMatchObject({ name: 'UsageError', code: 'INVALID_OPTIONS' });
      return (error as Error).message;
    }
    return 'taken';
  };

  test.each(Object.keys(table))('a wrong %s is refused', (name) => {
    const values =
      label === 'describeStoreContract()' && name === 'skip' ? ['x', { all: 'slow' }] : valuesOf(name);
    for (const value of values) expect(messageFor({ [name]: value })).toMatch(named(name));
  });

  test.each(Object.keys(table))('a getter of %s that throws is refused', (name) => {
    expect(messageFor(thrower(name))).toMatch(named(name));
  });

  test('an unknown name is refused', () => expect(messageFor({ ...UNKNOWN })).toContain('retention'));
});
const named = (name: string) => new RegExp(`${name === 'client' ? 'client' : name}`, 'i');
