import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { DynamoDBClient, CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { DeleteCommand, DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import { createIdempotency } from '../../src/index.js';
import {
  DynamoDBStore,
  tableDefinition,
  timeToLive,
  type DocumentClient,
} from '../../src/stores/dynamodb/store.js';
import { Bench } from '../../src/testing/bench.js';
import { checkOptions } from '../../src/testing/options.js';
import { startDynamo, type PrivateDynamo } from '../support/dynalite.js';

const table = 'records';
let dynamo: PrivateDynamo;
let client: DynamoDBDocumentClient;
beforeAll(async () => {
  dynamo = await startDynamo();
  await dynamo.createTable(table);
  client = dynamo.client();
});
beforeEach(() => void dynamo.requests.splice(0));
afterEach(() => {
  dynamo.fault = undefined;
  jest.restoreAllMocks();
});
afterAll(() => dynamo.stop());

type Options = Partial<ConstructorParameters<typeof DynamoDBStore>[1]>;
type Input = Record<string, unknown> & { Item?: Record<string, unknown> };

function newBench(options: Options = {}, over: DocumentClient = client): Bench {
  return new Bench({ store: new DynamoDBStore(over, { table, ...options }) }, checkOptions({}));
}

/** The same record seen by another machine. */
function another(bench: Bench, options: Options = {}, over: DocumentClient = client): Bench {
  return new Bench({ store: new DynamoDBStore(over, { table, ...options }) }, bench.terms, bench.key);
}

/** A client that lets a test look at, or act before, every command. */
function watched(before: (name: string, input: Input) => unknown): DocumentClient {
  return {
    async send(command: { input: Input }, options?: object) {
      await before(command.constructor.name, command.input);
      return client.send(command as never, options);
    },
  };
}

async function itemAt({ key }: Bench): Promise<Record<string, unknown> | undefined> {
  const { Item } = await client.send(
    new GetCommand({ TableName: table, Key: { pk: key.address }, ConsistentRead: true }),
  );
  return Item;
}

function requestsOf(): string[] {
  return dynamo.requests.splice(0);
}

/** As those of decimal.js and big.js: exact, and a text when it is asked for one. */
class Decimal {
  constructor(private readonly text: string) {}
  toString(): string {
    return Number(this.text) >= 1e15 ? Number(this.text).toExponential() : this.text;
  }
}

describe('what it asks of DynamoDB', () => {
  test('G1: a claim that wins is one request, one that loses is followed by one read', async () => {
    const bench = newBench();
    const lease = await bench.claim();
    expect(requestsOf()).toEqual(['PutItem']);
    await bench.refused();
    expect(requestsOf()).toEqual(['PutItem', 'GetItem']);
    await bench.renew(lease);
    await bench.step(lease, 'charge');
    await bench.settle(lease);
    expect(requestsOf()).toEqual(['UpdateItem', 'UpdateItem', 'UpdateItem']);
    await bench.refused();
    expect(requestsOf()).toEqual(['PutItem', 'GetItem', 'UpdateItem']);
  });

  test('G3: every write has a condition, on the token where a record is expected; every read is consistent', async () => {
    const seen: [string, Input][] = [];
    const bench = newBench(
      { clockMarginMs: 0 },
      watched((name, input) => seen.push([name, input])),
    );
    const first = await bench.claim();
    await bench.renew(first);
    await bench.step(first, 'charge');
    await bench.settleFailed(first);
    const second = await bench.claim({ replacing: first.token });
    await bench.release(second.token);
    const third = await bench.claim({ replacing: first.token });
    await bench.settle(third);
    await bench.refused();
    await bench.forget();
    for (const [name, input] of seen) {
      if (name === 'GetCommand') expect(input.ConsistentRead).toBe(true);
      else expect(input.ConditionExpression).toMatch(/attribute_not_exists\(#pk\)|#token = :/);
    }
    expect(new Set(seen.map(([name]) => name))).toEqual(
      new Set(['PutCommand', 'GetCommand', 'UpdateCommand']),
    );
  });

  test('G3: a takeover that read before the owner renewed does not win', async () => {
    const bench = newBench({ clockMarginMs: 0 });
    const lease = await bench.abandoned();
    let renewed: unknown;
    const slow = watched(async (name) => {
      if (name === 'PutCommand') renewed ??= await bench.renew({ ...lease, leaseMs: 60_000 });
    });
    const found = await another(bench, { clockMarginMs: 0 }, slow).refused({ replacing: lease.token });
    expect(renewed).toEqual(expect.any(Number));
    expect(found).toMatchObject({ status: 'IN_PROGRESS', token: lease.token });
    expect(found.leaseRemainingMs).toBeGreaterThan(0);
  });

  test.each(['deleted', 'replaced'] as const)(
    'a late hit count makes no stub of a record that was %s',
    async (how) => {
      const bench = newBench();
      await bench.settle(await bench.claim());
      const Key = { pk: bench.key.address };
      const late = watched(async (_, input) => {
        if (!String(input.UpdateExpression).startsWith('ADD')) return;
        await client.send(new DeleteCommand({ TableName: table, Key }));
        if (how === 'replaced') await bench.settle(await bench.claim());
      });
      expect(await another(bench, {}, late).refused()).toMatchObject({ status: 'COMPLETED', hitCount: 0 });
      const left = await itemAt(bench);
      if (how === 'deleted') expect(left).toBeUndefined();
      else expect(left).toMatchObject({ status: 'COMPLETED', hitCount: 0 });
    },
  );

  test.each([{ status: 400, name: 'ThrottlingException' }, 'freeze', 'lose-request'] as const)(
    'a hit that can not be counted harms no replay: %j',
    async (fault) => {
      const bench = newBench();
      await bench.settle(await bench.claim());
      dynamo.fault = (operation) => (operation === 'UpdateItem' ? fault : undefined);
      expect(await bench.refused()).toMatchObject({ status: 'COMPLETED', payload: '"done"' });
    },
  );

  test('the waiter of another process polls, and gets the same answer', async () => {
    const [one, two] = [0, 1].map(() =>
      createIdempotency({ name: 'run', store: new DynamoDBStore(client, { table }) }),
    );
    let finish: (value: string) => void = () => undefined;
    const running = one!.run('waiting', () => new Promise<string>((resolve) => (finish = resolve)));
    const began = new Promise((resolve) => two!.on('wait', resolve));
    while (!(await one!.get('waiting'))) await new Promise(setImmediate);
    const waiting = two!.run('waiting', () => 'not this');
    await began;
    finish('once');
    expect(await Promise.all([running, waiting])).toEqual(['once', 'once']);
    await Promise.all([one!.close(), two!.close()]);
  });
});

describe('clocks', () => {
  function setClock(ms: number): void {
    jest.spyOn(Date, 'now').mockReturnValue(ms);
  }
  const START = Date.now();

  test('G4: a lease is taken over a margin after its end, not before', async () => {
    setClock(START);
    const bench = newBench();
    const lease = await bench.claim({ leaseMs: 5_000 });
    setClock(START + 5_999);
    expect((await bench.refused({ replacing: lease.token })).leaseRemainingMs).toBe(1);
    setClock(START + 6_000);
    expect(await bench.claim({ replacing: lease.token })).toMatchObject({
      attempt: 2,
      previousEnd: 'abandoned',
    });
  });

  test('G4: the margin is an option, and an owner within it renews', async () => {
    setClock(START);
    const owner = newBench({ clockMarginMs: 60_000 });
    const lease = await owner.claim({ leaseMs: 5_000 });
    setClock(START + 50_000);
    const ahead = another(owner, { clockMarginMs: 60_000 });
    expect((await ahead.refused({ replacing: lease.token })).leaseRemainingMs).toBe(15_000);
    expect(await owner.renew(lease)).toBe(START + 55_000);
  });

  test('an expired item that DynamoDB has yet to delete is absent to every step', async () => {
    setClock(START);
    const bench = newBench({ clockMarginMs: 0 });
    const lease = await bench.claim({ leaseMs: 10, unsettledRetentionMs: 90 });
    setClock(START + 101);
    expect(await bench.read()).toBeUndefined();
    expect(await bench.renew(lease)).toBe(false);
    expect(await bench.step(lease, 'late')).toBe(false);
    expect(await bench.forget()).toBe('absent');
    expect(await itemAt(bench)).toMatchObject({ status: 'IN_PROGRESS' });
    requestsOf();
    expect(await bench.claim()).toMatchObject({ attempt: 1, previousToken: undefined });
    expect(requestsOf()).toEqual(['PutItem']);
  });

  test('G5: a fence grows over an expired item, also by a clock that is behind', async () => {
    setClock(START + 60_000);
    const bench = newBench({ clockMarginMs: 0 });
    const lease = await bench.claim();
    await bench.settle(lease, { retentionMs: 1 });
    const item = await itemAt(bench);
    // By a machine far ahead: no clock here will come near.
    const fence = lease.fence + 3_600_000_000;
    await client.send(new PutCommand({ TableName: table, Item: { ...item, fence } }));
    setClock(START + 60_100);
    expect((await bench.claim()).fence).toBeGreaterThan(fence);
  });

  test('the ttl attribute is in seconds, and not before the record ends by a clock that is behind', async () => {
    setClock(START);
    const bench = newBench({ clockMarginMs: 2_000 });
    await bench.settle(await bench.claim(), { retentionMs: 60_000 });
    expect(await itemAt(bench)).toMatchObject({ ttl: Math.ceil((START + 62_000) / 1_000) });
  });
});

describe('setting up', () => {
  test('tableDefinition() makes the table that the store uses, and timeToLive() names its attribute', async () => {
    expect(timeToLive({ table: 'mine' })).toEqual({
      TableName: 'mine',
      TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true },
    });
    await client.send(new CreateTableCommand(tableDefinition({ table: 'defined' })));
    await newBench({ table: 'defined' }).claim();
  });

  test.each<[string, boolean | ((text: string) => unknown)]>([
    ['BigInt', BigInt],
    ['Number', Number],
    ['String', String],
    ['a decimal class', (text) => new Decimal(text)],
    ['a wrapper', true],
  ])(
    'a client whose wrapNumbers is %s does as well: duplicates are answered, failures run again',
    async (_, wrapNumbers) => {
      const bare = new DynamoDBClient({ ...(await plainConfig()) });
      const odd = DynamoDBDocumentClient.from(bare, {
        unmarshallOptions: { wrapNumbers: wrapNumbers as never },
      });
      const bench = newBench({}, odd);
      const lease = await bench.claim();
      await bench.settleFailed(lease);
      const second = await bench.claim({ replacing: lease.token });
      expect(second).toMatchObject({ attempt: 2, failures: 1 });
      expect(second.fence).toBeGreaterThan(lease.fence);
      await bench.settle(second, { payload: '"x"' });
      expect(await bench.refused()).toMatchObject({ payload: '"x"', hitCount: 1, fence: second.fence });
      bare.destroy();
    },
  );

  test('a client set up for other forms of numbers and empty values does as well, and one without documents', async () => {
    const bare = new DynamoDBClient({ ...(await plainConfig()) });
    const odd = DynamoDBDocumentClient.from(bare, {
      marshallOptions: { convertEmptyValues: true, removeUndefinedValues: true },
      unmarshallOptions: { wrapNumbers: true },
    });
    for (const over of [odd, bare]) {
      const bench = newBench({}, over);
      const lease = await bench.claim();
      await bench.step(lease, '', '');
      await bench.settleFailed(lease);
      const second = await bench.claim({ replacing: lease.token });
      expect(second).toMatchObject({ attempt: 2, failures: 1, steps: [{ name: '', payload: '' }] });
      await bench.settle(second, { payload: '' });
      expect(await bench.refused()).toMatchObject({ payload: '', hitCount: 1, fence: second.fence });
    }
    bare.destroy();
  });

  async function plainConfig() {
    const { region, credentials } = client.config;
    return { region: await region(), credentials, endpoint: `http://127.0.0.1:${dynamo.port}` };
  }

  test.each([
    [undefined, { table }, /no send\(\)/],
    [{ get: () => null }, { table }, /no send\(\)/],
    [{ send: () => null }, undefined, /takes an options object/],
    [{ send: () => null }, {}, /table/],
    [{ send: () => null }, { table: '' }, /table is ""/],
    [{ send: () => null }, { table, clockMargin: 1 }, /no option "clockMargin"/],
    [{ send: () => null }, { table, clockMarginMs: -1 }, /clockMarginMs is -1/],
    [{ send: () => null }, { table, timeoutMs: Number.NaN }, /timeoutMs is NaN/],
  ])('%j with %j is refused', (over, options, message) => {
    const make = () => new DynamoDBStore(over as never, options as never);
    expect(make).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringMatching(message) }),
    );
  });
});
