import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createIdempotency, isIdempotencyError } from '../../src/index.js';
import type { LeaseStore } from '../../src/core/store.js';
import { DynamoDBStore } from '../../src/stores/dynamodb/store.js';
import { KeyValueStore } from '../../src/stores/keyvalue/store.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { startDynamo, type PrivateDynamo } from '../support/dynalite.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { forAll, TEST_MS } from './cases.js';

interface Identity {
  readonly prefix: string;
  readonly scope: string | undefined;
  readonly name: string;
  readonly key: string;
}

/** What two calls do: one after the other or at once, in one process or in two. */
interface Case {
  readonly identities: readonly [Identity, Identity];
  readonly atOnce: boolean;
  readonly processes: 1 | 2;
}

/** Words that read the same in any part: few, so that many draws do. */
const word = fc.constantFrom('a', 'b', 'ab', 'é', '%3A', 'x y');
const joined = (least: number, most: number) =>
  fc.array(word, { minLength: least, maxLength: most }).map((words) => words.join(':'));
const anyText = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
  .filter((text) => !/[\p{Cc}\p{Cs}]/u.test(text));

/** One text, cut into the parts of an identity in some way: prefix (with colons), scope or none, name, key (with colons). */
const cuts = joined(3, 6).chain((text) => {
  const words = text.split(':');
  const cut = fc
    .record({
      prefixes: fc.integer({ min: 1, max: words.length - 2 }),
      hasScope: fc.boolean(),
    })
    .map(({ prefixes, hasScope }): Identity => {
      const rest = words.slice(prefixes);
      const scope = hasScope && rest.length > 2 ? rest.shift() : undefined;
      const [name = 'n', ...key] = rest;
      return { prefix: words.slice(0, prefixes).join(':'), scope, name, key: key.join(':') };
    });
  return fc.tuple(cut, cut);
});
const apart = fc.record({
  prefix: anyText,
  scope: fc.option(anyText, { nil: undefined }),
  name: anyText.filter((name) => !name.includes(':')),
  key: anyText,
});

const cases: fc.Arbitrary<Case> = fc.record({
  identities: fc.oneof({ weight: 3, arbitrary: cuts }, { weight: 1, arbitrary: fc.tuple(apart, apart) }),
  atOnce: fc.boolean(),
  processes: fc.constantFrom<1 | 2>(1, 2),
});

let draws = 0;

/** @param open a store as another process would open it on the same records */
async function neverShares(open: () => LeaseStore, { identities, atOnce, processes }: Case): Promise<void> {
  const draw = `:${++draws}`;
  const [first, second] = identities.map((identity) => ({ ...identity, key: identity.key + draw }));
  const isSame = JSON.stringify(first) === JSON.stringify(second);
  const stores = Array.from({ length: processes }, open);
  const run = async (identity: Identity, store: LeaseStore): Promise<string> => {
    const { key, prefix, scope, name } = identity;
    const options = { prefix, name, ...(scope !== undefined && { scope }) };
    const idempotency = createIdempotency({ store, logger: {} });
    try {
      return await idempotency.run(key, async () => answerOf(identity), { ...options, waitTimeout: '5s' });
    } catch (error) {
      // The address is another identity's: refused, with nothing run and nothing shown.
      if (isIdempotencyError(error, 'INVALID_KEY')) return 'refused';
      throw error;
    }
  };
  const calls = [() => run(first!, stores[0]!), () => run(second!, stores.at(-1)!)];
  const answers: string[] = [];
  if (atOnce) answers.push(...(await Promise.all(calls.map((call) => call()))));
  else for (const call of calls) answers.push(await call());
  for (const store of stores) await store.close?.();
  expect([answerOf(first), 'refused']).toContain(answers[0]);
  expect([answerOf(second), 'refused']).toContain(answers[1]);
  if (isSame) expect(answers).toEqual([answerOf(first), answerOf(first)]);
}

const answerOf = (identity: Identity | undefined): string => `answer of ${JSON.stringify(identity)}`;

describe('G10: two different identities never see one another’s answer', () => {
  let redis: PrivateRedis;
  let postgres: PrivatePostgres;
  let dynamo: PrivateDynamo;
  beforeAll(async () => {
    [redis, postgres, dynamo] = await Promise.all([startRedis(), startPostgres(), startDynamo()]);
    await dynamo.createTable('identity');
    await new PostgresStore(postgres.pool()).createSchema();
  });
  afterAll(() => Promise.all([redis.stop(), postgres.stop(), dynamo.stop()]));

  const memory = new InMemoryStore();
  const map = new Map();
  const onWarning = (): void => undefined;
  /** 2,000 draws in all in a short run, 100,000 in a long one. */
  test.each<[string, { few: number; many: number }, () => () => LeaseStore]>([
    // Two processes do not share a memory: here they are two wrappers of one.
    ['InMemoryStore', { few: 900, many: 60_000 }, () => () => memory],
    ['KeyValueStore', { few: 500, many: 20_000 }, () => () => new KeyValueStore(map, { onWarning })],
    ['RedisStore', { few: 400, many: 14_000 }, () => () => new RedisStore(redis.url)],
    [
      'PostgresStore',
      { few: 120, many: 4_000 },
      () => {
        const pool = postgres.pool();
        return () => new PostgresStore(pool, { listen: false });
      },
    ],
    [
      'DynamoDBStore',
      { few: 80, many: 2_000 },
      () => {
        const client = dynamo.client();
        return () => new DynamoDBStore(client, { table: 'identity', clockMarginMs: 0, timeoutMs: 20_000 });
      },
    ],
  ])(
    'on %s',
    async (_, counts, opener) => {
      const open = opener();
      await forAll(counts, cases, (each) => neverShares(open, each));
    },
    TEST_MS,
  );
});
