import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Lease, RecordedStep, StoreKey, StoredRecord } from '../../src/core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Settlement } from '../../src/core/store.js';
import { newToken } from '../../src/core/token.js';
import { InMemoryStore } from '../../src/stores/memory.js';
import { describeStoreContract, type ContractOptions } from '../../src/testing/index.js';
import { collect } from './collect.js';

const HISTORIES = /random histories/;
const ALL_BUT_HISTORIES = /^(?!.*random histories)/;

/** The grant with some members changed. */
function regranted(answer: ClaimAnswer, changes: Partial<Lease>): ClaimAnswer {
  return answer.kind === 'acquired' ? { ...answer, grant: { ...answer.grant, ...changes } } : answer;
}

/** The record of an answer with some members changed. */
function reread(answer: ClaimAnswer, changes: Partial<StoredRecord>): ClaimAnswer {
  return answer.kind === 'existing' ? { ...answer, record: { ...answer.record, ...changes } } : answer;
}

class GetThenSet extends InMemoryStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const isFree = (await this.read(key)) === undefined;
    await new Promise((resolve) => void setImmediate(resolve));
    if (isFree) await this.override(key, { kind: 'forget', force: true });
    return super.claim(key, request);
  }
}
class TakesOverEarly extends InMemoryStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const found = await this.read(key);
    if (found && found.token === request.replacing) await this.override(key, { kind: 'forget', force: true });
    return super.claim(key, request);
  }
}
class GoneTooSoon extends InMemoryStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    return super.settle(key, lease, { ...settlement, retentionMs: Math.min(settlement.retentionMs, 1) });
  }
}
class KeptForEver extends InMemoryStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    return super.settle(key, lease, { ...settlement, retentionMs: 3_600_000 });
  }
}
class AnyoneWrites extends InMemoryStore {
  override async settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const found = await this.read(key);
    return super.settle(key, { ...lease, token: found?.token ?? lease.token }, settlement);
  }
}
class AnyoneRenews extends InMemoryStore {
  override async renew(key: StoreKey, lease: Lease) {
    return (await super.renew(key, lease)) || lease.leaseEndsAtMs + 1;
  }
}
class AnyoneSteps extends InMemoryStore {
  override async step(key: StoreKey, lease: Lease, step: RecordedStep) {
    await super.step(key, lease, step);
    return true;
  }
}
class KnowsNoResend extends InMemoryStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const answer = await super.claim(key, { ...request, token: newToken() });
    return regranted(answer, { token: request.token });
  }
}
class SettlesOnce extends InMemoryStore {
  readonly #settled = new Set<string>();
  override async settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const isDone = await super.settle(key, lease, settlement);
    if (this.#settled.has(lease.token)) return false;
    if (settlement.status !== 'IN_PROGRESS') this.#settled.add(lease.token);
    return isDone;
  }
}
class FencesByAttempt extends InMemoryStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const answer = await super.claim(key, request);
    return answer.kind === 'acquired' ? regranted(answer, { fence: answer.grant.attempt }) : answer;
  }
}
class ReleasesToNothing extends InMemoryStore {
  override async release(key: StoreKey, token: string) {
    const isUndone = await super.release(key, token);
    if (isUndone) await this.override(key, { kind: 'forget', force: true });
    return isUndone;
  }
}
class MarksNoWithdrawal extends InMemoryStore {
  override async release(key: StoreKey, token: string) {
    return (await this.read(key))?.token === token ? super.release(key, token) : false;
  }
}
class ForgetsSteps extends InMemoryStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    return regranted(await super.claim(key, request), { steps: [] });
  }
}
class LastStepWins extends InMemoryStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const answer = await super.claim(key, request);
    return answer.kind === 'acquired' ? regranted(answer, { steps: answer.grant.steps.slice(-1) }) : answer;
  }
}
class CountsNoHits extends InMemoryStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    return reread(await super.claim(key, request), { hitCount: 0 });
  }
}
class StoresLatin1 extends InMemoryStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const payload = settlement.payload && Buffer.from(settlement.payload, 'latin1').toString('latin1');
    return super.settle(key, lease, { ...settlement, payload });
  }
}
class NoNullBytes extends InMemoryStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    return super.settle(key, lease, { ...settlement, payload: settlement.payload?.replaceAll('\0', '') });
  }
}
const folded = (key: StoreKey): StoreKey => ({ ...key, address: key.address.toLowerCase() });
class FoldsCase extends InMemoryStore {
  override claim(key: StoreKey, request: ClaimRequest) {
    return super.claim(folded(key), request);
  }
  override read(key: StoreKey) {
    return super.read(folded(key));
  }
}
class SharesDigests extends InMemoryStore {
  override claim(key: StoreKey, request: ClaimRequest) {
    return super.claim({ ...key, digest: 'shared' }, request);
  }
}
class WakesNobody extends InMemoryStore {
  override async subscribe() {
    return () => undefined;
  }
}

/** A copy of every answer, by the engine's own function: from another realm than the tests of jest. */
class Copies extends InMemoryStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    return structuredClone(await super.claim(key, request));
  }
  override async read(key: StoreKey) {
    return structuredClone(await super.read(key));
  }
}

const BROKEN: readonly (readonly [new () => LeaseStore, RegExp, found: readonly RegExp[]])[] = [
  [GetThenSet, /fifty claims/, [/winners: 50 instead of 1/]],
  [TakesOverEarly, /^G4/, [/a live lease is not taken over/, /when its lease has ended, not before/]],
  [TakesOverEarly, /a final record is never replaced/, [/never replaced/]],
  [GoneTooSoon, /retention/, [/gone after its retention, not before/]],
  [KeptForEver, /retention/, [/gone after its retention, not before/]],
  [AnyoneWrites, /^G3/, [/neither renew, step nor settle/]],
  [AnyoneRenews, /^G3/, [/neither renew, step nor settle/]],
  [AnyoneSteps, /^G3/, [/neither renew, step nor settle/, /a stale step is refused/]],
  [KnowsNoResend, /^G2/, [/a resent claim is granted again/]],
  [SettlesOnce, /^G2/, [/a resent settling is recognised/]],
  [FencesByAttempt, /^G5/, [/fences grow over/]],
  [ReleasesToNothing, /release/, [/restores a failed record/, /steps of the record that was failed/]],
  [MarksNoWithdrawal, /^G2/, [/withdrawn before it arrived is not granted/]],
  [
    ForgetsSteps,
    /steps/,
    [/come back in the grant of a takeover/, /an unknown outcome/, /a failure that is not final/],
  ],
  [LastStepWins, /steps/, [/steps of several attempts/, /of many steps at once/]],
  [CountsNoHits, /hit/, [/counts a hit/]],
  [StoresLatin1, /given back|megabyte/, [/a value is given back as it was/, /one megabyte/]],
  [NoNullBytes, /given back|megabyte/, [/a value is given back as it was/, /one megabyte/]],
  [FoldsCase, /keys/, [/byte for byte/]],
  [SharesDigests, /G10/, [/two identities/]],
  [WakesNobody, /woken/, [/by a settle/, /by a release/, /by a forget/]],
];

describe('the contract finds', () => {
  test.each(BROKEN.map(([Broken, run, found]) => ({ Broken, name: Broken.name, run, found })))(
    '$name by $run',
    async ({ Broken, run, found }) => {
      const failed = [...(await collect(() => new Broken()).run(run))].map(
        ([title, error]) => `${title}: ${error}`,
      );
      for (const expected of found)
        expect(failed).toEqual(expect.arrayContaining([expect.stringMatching(expected)]));
    },
  );

  const bySeed = [TakesOverEarly, AnyoneWrites, KnowsNoResend, FencesByAttempt, ForgetsSteps, CountsNoHits];
  test.each([...bySeed, MarksNoWithdrawal].map((Broken) => ({ Broken, name: Broken.name })))(
    '$name by random histories, and says by which seed',
    async ({ Broken }) => {
      const failed = await collect(() => new Broken(), { seed: 42 }).run(HISTORIES);
      expect([...failed.values()]).toEqual([expect.stringMatching(/seed: 42, [^]*Counterexample/)]);
    },
  );
});

describe('the contract finds nothing', () => {
  test('in a store that answers with copies, which in jest are of another realm', async () => {
    expect(Object.getPrototypeOf(structuredClone({}))).not.toBe(Object.prototype);
    expect(await collect(() => new Copies()).run(/./)).toEqual(new Map());
  });
});

describe('what a store cannot have', () => {
  const store = (): LeaseStore => new InMemoryStore();
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
    const mute = (): LeaseStore =>
      Object.defineProperty(new InMemoryStore(), 'subscribe', { value: undefined });
    const failed = await collect(mute).run(/woken/);
    expect([...failed.values()]).toEqual(Array(3).fill(expect.stringMatching(/skip: \{ "wake-ups"/)));
    const skip = { 'wake-ups': 'it polls' };
    expect(await collect(mute, { skip }).run(ALL_BUT_HISTORIES)).toEqual(new Map());
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
    const call = () => describeStoreContract('x', () => ({ store: store() }), options as ContractOptions);
    expect(call).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringMatching(message) }),
    );
  });
});
