import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { GetCommand, PutCommand, type DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { createIdempotency } from '../../src/index.js';
import type { Lease } from '../../src/core/record.js';
import { DynamoDBStore } from '../../src/stores/dynamodb/store.js';
import { Bench } from '../../src/testing/bench.js';
import { checkOptions } from '../../src/testing/options.js';
import { startDynamo, type PrivateDynamo, type WireFault } from '../support/dynalite.js';
import { keyAt } from '../support/keys.js';

const table = 'records';
let dynamo: PrivateDynamo;
let client: DynamoDBDocumentClient;
beforeAll(async () => {
  dynamo = await startDynamo();
  await dynamo.createTable(table);
  client = dynamo.client();
});
afterEach(() => void (dynamo.fault = undefined));
afterAll(() => dynamo.stop());

type Options = Partial<ConstructorParameters<typeof DynamoDBStore>[1]>;

function newBench(options: Options = {}): Bench {
  const store = new DynamoDBStore(client, {
    table,
    clockMarginMs: 0,
    onWarning: () => undefined,
    ...options,
  });
  return new Bench({ store }, checkOptions({}));
}

/** The next request meets the fault, those after it don't. */
function once(fault: WireFault): void {
  dynamo.fault = () => {
    dynamo.fault = undefined;
    return fault;
  };
}

async function itemAt({ key }: Bench): Promise<Record<string, unknown> | undefined> {
  const { Item } = await client.send(new GetCommand({ TableName: table, Key: { pk: key.address } }));
  return Item;
}

async function write(bench: Bench, item: Record<string, unknown>): Promise<void> {
  await client.send(new PutCommand({ TableName: table, Item: { pk: bench.key.address, ...item } }));
}

describe('a connection that breaks', () => {
  const OPERATIONS: Record<string, (bench: Bench, lease: Lease) => Promise<unknown>> = {
    claim: (bench, lease) => bench.claim({ token: lease.token }),
    takeover: (bench, lease) => bench.claim({ replacing: lease.token, token: 'token-of-takeover' }),
    renew: (bench, lease) => bench.renew(lease),
    step: (bench, lease) => bench.step(lease, 'charge', '"ch_1"'),
    settle: (bench, lease) => bench.settle(lease),
    release: (bench, lease) => bench.release(lease.token),
    read: (bench) => bench.read(),
    forget: (bench) => bench.forget(true),
  };
  const AFTER: Record<string, object | undefined> = {
    claim: { status: 'IN_PROGRESS', attempt: 1 },
    takeover: { status: 'IN_PROGRESS', attempt: 2, token: 'token-of-takeover' },
    renew: { status: 'IN_PROGRESS', attempt: 1 },
    step: { status: 'IN_PROGRESS', attempt: 1 },
    settle: { status: 'COMPLETED', payload: '"done"' },
    release: undefined,
    read: { status: 'IN_PROGRESS', attempt: 1 },
    forget: undefined,
  };
  /** How many requests each takes. */
  const REQUESTS: Record<string, number> = {
    ...{ claim: 3, takeover: 2, renew: 1, step: 1, settle: 1, release: 2, read: 1, forget: 2 },
  };
  const cases = Object.entries(REQUESTS).flatMap(([operation, count]) =>
    (['lose-request', 'lose-answer'] as const).flatMap((fault) =>
      Array.from({ length: count }, (_, at) => ({ operation, fault, at })),
    ),
  );

  test.each(cases)(
    'G2: $operation, $fault at request $at: a typed error, and a resend ends right',
    async (broken) => {
      const { operation, fault, at } = broken;
      const bench = newBench();
      const lease = operation === 'takeover' ? await bench.failed() : await bench.claim();
      const before = dynamo.requests.length;
      dynamo.fault = (_, index) => (index === before + at ? fault : undefined);
      const act = OPERATIONS[operation]!;
      await expect(act(bench, lease)).rejects.toMatchObject({
        ...{ code: 'STORE_UNAVAILABLE', transient: true },
        cause: { message: expect.stringMatching(/socket hang up|ECONNRESET/) },
      });
      await act(bench, lease);
      const found = await bench.read();
      if (AFTER[operation]) expect(found).toMatchObject(AFTER[operation]);
      else expect(found).toBeUndefined();
      if (operation === 'step') {
        expect(await itemAt(bench)).toMatchObject({ steps: [{ name: 'charge', payload: '"ch_1"' }] });
      }
    },
  );

  test('G6, G7: with one request in four broken, work runs once and all callers agree', async () => {
    const instances = Array.from({ length: 4 }, () =>
      createIdempotency({
        name: 'run',
        store: new DynamoDBStore(dynamo.client(), { table }),
        storeTimeout: '20s',
        logger: {},
      }),
    );
    // In no rhythm, which resent claims of three requests could fall into.
    let random = 1;
    dynamo.fault = () => {
      random = (random * 16_807) % 2_147_483_647;
      if (random % 4 > 0) return undefined;
      return random % 8 === 0 ? 'lose-answer' : 'lose-request';
    };
    for (const key of ['a', 'b', 'c']) {
      let runs = 0;
      const work = (): string => `run ${++runs}`;
      const answers = await Promise.all(instances.map((each) => each.run(`broken-${key}`, work)));
      expect(answers).toEqual(Array(4).fill('run 1'));
      expect(runs).toBe(1);
    }
    dynamo.fault = undefined;
    await Promise.all(instances.map((each) => each.close()));
  });

  test('G8: a request that is never answered ends after timeoutMs', async () => {
    const bench = newBench({ timeoutMs: 50 });
    once('freeze');
    await expect(bench.claim()).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      transient: true,
      message: expect.stringContaining('timeoutMs'),
    });
  });
});

describe('what DynamoDB refuses', () => {
  test('a table that does not exist: a typed error that says how to create it', async () => {
    const error: unknown = await newBench({ table: 'missing' })
      .claim()
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', transient: false });
    expect(error).toMatchObject({ cause: expect.objectContaining({ name: 'ResourceNotFoundException' }) });
    const { message } = error as Error;
    const definition = /create-table --cli-input-json '(.*)'/.exec(message)?.[1];
    await client.send(new CreateTableCommand(JSON.parse(definition ?? '') as never));
    await newBench({ table: 'missing' }).claim();
  });

  test('a table with another key: a typed error that says which one', async () => {
    const KeySchema = [{ AttributeName: 'id', KeyType: 'HASH' as const }];
    const AttributeDefinitions = [{ AttributeName: 'id', AttributeType: 'S' as const }];
    const BillingMode = 'PAY_PER_REQUEST' as const;
    await client.send(
      new CreateTableCommand({ TableName: 'another-key', KeySchema, AttributeDefinitions, BillingMode }),
    );
    const message = expect.stringContaining('"pk", a string');
    await expect(newBench({ table: 'another-key' }).claim()).rejects.toMatchObject({
      transient: false,
      message,
    });
  });

  test.each([
    [400, 'ProvisionedThroughputExceededException', true, 'on-demand'],
    [400, 'ThrottlingException', true, 'on-demand'],
    [500, 'InternalServerError', true, 'internal error'],
    [503, 'SomethingNew', true, 'SomethingNew'],
    [400, 'AccessDeniedException', false, 'dynamodb:GetItem, PutItem and UpdateItem'],
    [400, 'ExpiredTokenException', false, 'credentials'],
    [400, 'SomethingElse', false, 'SomethingElse'],
  ])('%d %s: transient is %j', async (status, name, transient, advice) => {
    const bench = newBench();
    once({ status, name });
    const error = await bench.claim().catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      transient,
      message: expect.stringContaining(advice),
    });
    expect(error).toMatchObject({ cause: expect.objectContaining({ name }) });
  });

  test('an address longer than a partition key may be is refused before anything is sent', async () => {
    const bench = newBench().elsewhere(keyAt(`p:T:${'漢'.repeat(700)}`, 'abc-_1'));
    const before = dynamo.requests.length;
    await expect(bench.claim()).rejects.toMatchObject({
      code: 'INVALID_KEY',
      message: expect.stringContaining('hashKey'),
    });
    expect(dynamo.requests).toHaveLength(before);
  });
});

describe('an item that is no record', () => {
  test.each<[string, Record<string, unknown>, string, string?]>([
    ['of something else', { name: 'Ada' }, 'not a record'],
    ['of a newer version', { v: 3, status: 'COMPLETED', token: 'x', rev: 'y' }, 'upgrade', 'RECORD_TOO_NEW'],
    ['that lacks its token', { v: 2, status: 'COMPLETED', rev: 'y' }, 'not a record'],
    [
      'whose fence is a text',
      { v: 2, status: 'COMPLETED', token: 'x', digest: 'abc-_1', fence: 'high' },
      'not a record',
    ],
    [
      'whose steps are no list',
      { v: 2, status: 'IN_PROGRESS', token: 'x', digest: 'abc-_1', steps: 'a' },
      'not a record',
    ],
  ])(
    'one %s is refused, and it is left alone until a person forgets it',
    async (_, item, why, code = 'CORRUPT_RECORD') => {
      const bench = newBench();
      await write(bench, item);
      const lease = { ...(await bench.elsewhere().claim()), token: 'x' };
      const refusal = { code, transient: false, message: expect.stringContaining(why) };
      for (const act of [
        () => bench.claim(),
        () => bench.read(),
        () => bench.renew(lease),
        () => bench.step(lease, 'charge'),
        () => bench.settle(lease),
        () => bench.release(lease.token),
      ]) {
        await expect(act()).rejects.toMatchObject(refusal);
      }
      expect(await itemAt(bench)).toEqual({ pk: bench.key.address, ...item });
      expect(await bench.forget()).toBe('done');
      await bench.claim();
    },
  );
});
