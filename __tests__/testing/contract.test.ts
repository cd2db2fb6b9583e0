import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { StoreKey } from '../../src/core/record.js';
import type { ClaimRequest, LeaseStore } from '../../src/core/store.js';
import {
  describeStoreContract,
  type ContractOptions,
  type ContractSubject,
} from '../../src/testing/index.js';
import { collect } from './collect.js';
import { INSTANCES } from './mistakes/instances.js';
import { ForgetsSteps, STEPS } from './mistakes/steps.js';
import { TIME } from './mistakes/time.js';
import { VALUES } from './mistakes/values.js';
import {
  AnyoneWrites,
  CountsNoHits,
  FencesByAttempt,
  KnowsNoResend,
  MarksNoWithdrawal,
  WRITERS,
} from './mistakes/writers.js';
import { Table, TableStore } from './table-store.js';

const HISTORIES = /random histories/;
/** How many tests need a second instance. */
const INSTANCE_TESTS = 14;
const ALL_BUT_HISTORIES = /^(?!.*random histories)/;

/** A copy of every answer, by the engine's own function: from another realm than the tests of jest. */
class Copies extends TableStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    return structuredClone(await super.claim(key, request));
  }
  override async read(key: StoreKey) {
    return structuredClone(await super.read(key));
  }
}

/**
 * The contract sees what a store does while nothing fails. One mistake no test of this kind can find: **a store that answers before
 * the write is safe**, and loses it when its server restarts, or when a replica that lags takes over. Until then every answer
 * is right. docs/stores/own.md says so; for our own stores it is RELIABILITY.md and `npm run faults` that look.
 */
const MISTAKES = [...WRITERS, ...STEPS, ...VALUES, ...TIME, ...INSTANCES];

const subjectOf = (Store: new (table: Table) => LeaseStore) => (): ContractSubject => {
  const table = new Table();
  return { store: new Store(table), another: () => new Store(table) };
};

describe('the contract finds', () => {
  test.each(MISTAKES.map(([Mistaken, ...found]) => ({ Mistaken, name: Mistaken.name, found })))(
    '$name',
    async ({ Mistaken, found }) => {
      const contract = collect(subjectOf(Mistaken));
      for (const named of found) expect([named, ...(await contract.run(named)).keys()]).not.toEqual([named]);
    },
  );

  test('each of seventy mistakes, by a test that has a name', () => {
    expect(new Set(MISTAKES.map(([Mistaken]) => Mistaken)).size).toBe(MISTAKES.length);
    expect(MISTAKES.length).toBeGreaterThan(70);
  });

  const bySeed = [
    AnyoneWrites,
    KnowsNoResend,
    FencesByAttempt,
    ForgetsSteps,
    CountsNoHits,
    MarksNoWithdrawal,
  ];
  test.each(bySeed.map((Mistaken) => ({ Mistaken, name: Mistaken.name })))(
    '$name by random histories, and says by which seed',
    async ({ Mistaken }) => {
      const failed = await collect(subjectOf(Mistaken), { seed: 42 }).run(HISTORIES);
      expect([...failed.values()]).toEqual([expect.stringMatching(/seed: 42, [^]*Counterexample/)]);
    },
  );
});

describe('the contract finds nothing', () => {
  test('in the store that the mistakes are put into', async () => {
    expect(await collect(subjectOf(TableStore)).run(/./)).toEqual(new Map());
  });

  test('in a store that answers with copies, which in jest are of another realm', async () => {
    expect(Object.getPrototypeOf(structuredClone({}))).not.toBe(Object.prototype);
    expect(await collect(subjectOf(Copies)).run(/./)).toEqual(new Map());
  });
});

describe('what a store cannot have', () => {
  const store = subjectOf(TableStore);
  let printed: string[];
  beforeEach(() => {
    printed = [];
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  });
  afterEach(() => void jest.restoreAllMocks());

  test('is skipped with its reason, in the title and in print; all else is run', () => {
    const reason = 'items end at 400 KB';
    const { titles, skipped } = collect(store, { skip: { 'large values': reason } });
    expect(skipped).toEqual([expect.stringMatching(/megabyte.*items end at 400 KB/)]);
    expect(printed).toEqual([
      expect.stringMatching(/a store: skipped ".*megabyte.*": items end at 400 KB\n/),
    ]);
    expect(titles).toHaveLength(collect(store).titles.length - 1);
  });

  test('is no part that is not named: a store without subscribe() fails, and is told what to do', async () => {
    const mute = (): ContractSubject => {
      const table = new Table();
      const whole = new TableStore(table);
      const another = () => new TableStore(table);
      return { store: Object.defineProperty(whole, 'subscribe', { value: undefined }), another };
    };
    const failed = await collect(mute).run(/woken/);
    expect([...failed.values()]).toEqual(Array(4).fill(expect.stringMatching(/skip: \{ "wake-ups"/)));
    const skip = { 'wake-ups': 'it polls' };
    expect(await collect(mute, { skip }).run(ALL_BUT_HISTORIES)).toEqual(new Map());
  });

  test('is no second instance that is not named: without another() tests fail, and say what to do', async () => {
    const alone = () => ({ store: new TableStore() });
    const failed = await collect(alone).run(ALL_BUT_HISTORIES);
    expect(failed.size).toBe(INSTANCE_TESTS);
    for (const message of failed.values())
      expect(message).toMatch(/no another\(\).*"several instances": "<why>"/);
    const skip = { 'several instances': 'it lives in one process' };
    const { skipped, ...contract } = collect(alone, { skip });
    expect(skipped).toHaveLength(INSTANCE_TESTS);
    expect(await contract.run(ALL_BUT_HISTORIES)).toEqual(new Map());
  });

  test('is no second instance that is the first one', async () => {
    const same = () => {
      const one = new TableStore();
      return { store: one, another: () => one };
    };
    const failed = await collect(same).run(/what one instance writes/);
    expect([...failed.values()]).toEqual([expect.stringMatching(/another\(\) returned the store itself/)]);
  });

  test('every instance is closed when its test has ended', async () => {
    const closed: string[] = [];
    const named = (name: string, table: Table): LeaseStore =>
      Object.assign(new TableStore(table), { close: async () => void closed.push(name) });
    const subject = () => {
      const table = new Table();
      const close = async () => void closed.push('subject');
      return { store: named('store', table), another: async () => named('another', table), close };
    };
    await collect(subject).run(/what one instance writes/);
    expect(closed).toEqual(['another', 'store', 'subject']);
  });

  test.each([
    [{ skip: { steps: 'too hard' } }, /skip has no option "steps"; it has wake-ups/],
    [{ skip: { 'wake-ups': ' ' } }, /give the reason/],
    [{ leases: 5 }, /no option "leases"/],
    [{ leaseMs: -1 }, /leaseMs is -1/],
    [{ histories: 0.5 }, /histories is 0.5/],
    [{ seed: '42' }, /seed is "42"/],
    [{ runner: { test } }, /finds no describe\(\), beforeEach\(\), afterEach\(\)/],
  ])('options are checked: %j', (options, message) => {
    const call = () => describeStoreContract('x', store, options as ContractOptions);
    expect(call).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringMatching(message) }),
    );
  });
});
