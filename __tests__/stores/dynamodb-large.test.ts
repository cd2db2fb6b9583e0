import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetCommand, UpdateCommand, type DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { createIdempotency } from '../../src/index.js';
import { DynamoDBStore } from '../../src/stores/dynamodb/store.js';
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
afterAll(() => dynamo.stop());

function newBench(onWarning: (message: string) => void = () => undefined): Bench {
  const store = new DynamoDBStore(client, { table, clockMarginMs: 0, onWarning });
  return new Bench({ store }, checkOptions({}));
}

async function itemAt({ key }: Bench): Promise<Record<string, unknown> | undefined> {
  const { Item } = await client.send(new GetCommand({ TableName: table, Key: { pk: key.address } }));
  return Item;
}

/** Gives the record the largest value that its item can hold, behind the store's back. */
async function fill({ key }: Bench): Promise<void> {
  for (let size = 409_600; size > 0; size -= 10) {
    const update = new UpdateCommand({
      TableName: table,
      Key: { pk: key.address },
      UpdateExpression: 'SET payload = :payload',
      ExpressionAttributeValues: { ':payload': 'x'.repeat(size) },
    });
    const isAccepted = await client.send(update).then(
      () => true,
      () => false,
    );
    if (isAccepted) return;
  }
}

describe('what is too large for an item', () => {
  const LARGE = 'x'.repeat(500_000);

  test.each(['COMPLETED', 'FAILED'] as const)(
    'G7: a result is recorded as %s without its value, told once',
    async (status) => {
      const warnings: string[] = [];
      const bench = newBench((message) => void warnings.push(message));
      const lease = await bench.claim();
      expect(await bench.settle(lease, { status, payload: LARGE })).toBe(true);
      expect(await bench.refused()).toMatchObject({ status, final: true, payload: undefined });
      const another = await bench.elsewhere().claim();
      await bench.elsewhere().settle(another, { payload: LARGE });
      expect(warnings).toEqual([expect.stringContaining('500000 bytes')]);
    },
  );

  test('G7: a duplicate of a run whose result is too large is told that the value is gone', async () => {
    const store = new DynamoDBStore(client, { table, onWarning: () => undefined });
    const idempotency = createIdempotency({ name: 'run', store });
    expect(await idempotency.run('large', () => LARGE)).toBe(LARGE);
    await expect(idempotency.run('large', () => 'again')).rejects.toMatchObject({
      code: 'RESULT_UNAVAILABLE',
    });
    await idempotency.close();
  });

  test('a value just below the limit is kept', async () => {
    const bench = newBench();
    const payload = 'x'.repeat(380_000);
    await bench.settle(await bench.claim(), { payload });
    expect((await bench.refused()).payload === payload).toBe(true);
  });

  test('steps that fill the item are recorded without their values, and a takeover has room beside them', async () => {
    const bench = newBench();
    let lease = await bench.claim();
    const payload = 'x'.repeat(150_000);
    for (const name of ['first', 'second', 'third']) {
      expect(await bench.step(lease, name, payload)).toBe(true);
      lease = { ...lease, steps: [...lease.steps, { name, payload }] };
    }
    await bench.settleUnknown(lease);
    const taken = await bench.claim({ replacing: lease.token });
    expect(taken.steps.map((step) => [step.name, step.payload?.length])).toEqual([
      ['first', 150_000],
      ['second', 150_000],
      ['third', undefined],
    ]);
    expect(await bench.release(taken.token)).toBe(true);
    expect((await bench.claim({ replacing: lease.token })).steps).toHaveLength(3);
  });

  test('steps that DynamoDB would just take leave room for the attempt after them', async () => {
    const bench = newBench();
    const lease = await bench.claim();
    const first = { name: 'first', payload: 'x'.repeat(200_000) };
    await bench.step(lease, first.name, first.payload);
    await bench.step({ ...lease, steps: [first] }, 'second', 'x'.repeat(208_600));
    await bench.settleUnknown(lease);
    const { steps } = await bench.claim({ replacing: lease.token });
    expect(steps.map((step) => [step.name, step.payload?.length])).toEqual([
      ['first', 200_000],
      ['second', undefined],
    ]);
  });

  test('a step that has no room beside the failure that the attempt replaced is recorded without its value', async () => {
    const bench = newBench();
    const failed = await bench.claim();
    await bench.settle(failed, { status: 'FAILED', final: false, failures: 1, payload: 'x'.repeat(300_000) });
    const lease = await bench.claim({ replacing: failed.token });
    expect(await bench.step(lease, 'charge', 'y'.repeat(200_000))).toBe(true);
    expect(await itemAt(bench)).toMatchObject({
      steps: [{ name: 'charge' }],
      prior: { payload: expect.anything() },
    });
    expect(await bench.settle(lease)).toBe(true);
  });

  test('a failure that leaves no room for the attempt that replaces it gives up its value', async () => {
    const bench = newBench();
    const failed = await bench.failed();
    await fill(bench);
    const lease = await bench.claim({ replacing: failed.token });
    expect(lease.attempt).toBe(2);
    await bench.release(lease.token);
    expect(await bench.read()).toMatchObject({ status: 'FAILED', payload: undefined, token: failed.token });
  });
});
