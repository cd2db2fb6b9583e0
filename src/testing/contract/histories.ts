import { grantedLease, type Lease, type RecordedStep, type StoredRecord } from '../../core/record.js';
import type { ClaimRequest, Replacement, Settlement } from '../../core/store.js';
import { newToken } from '../../core/token.js';
import { freshKey, settlement, type Bench, type ContractTest } from '../bench.js';
import { equal, greater, matches } from '../expect.js';
import { ReferenceModel, type ModelRecord } from '../model.js';
import { makeHistories, type Act, type Outcome, type Who } from './acts.js';

const LONGEST_MS = 110_000;
const NOTES = {
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  holder: 'höst:1',
  facts: '{"a":"é\n"}',
};

export function describeHistories(test: ContractTest): void {
  test(
    'G1-G5: the answers to random histories equal those of a reference model',
    async (bench) => {
      const { histories: numRuns, seed } = bench.terms;
      const { fc, history } = await makeHistories();
      const property = fc.asyncProperty(history, (acts) => play(bench.elsewhere(freshKey()), acts));
      // Its error names the seed, the path and the shortest history that fails.
      const bounds = { numRuns, interruptAfterTimeLimit: LONGEST_MS, markInterruptAsFailure: true };
      await fc.assert(property, seed === undefined ? bounds : { ...bounds, seed });
    },
    'random histories',
  );
}

async function play(bench: Bench, acts: readonly Act[]): Promise<void> {
  const history = new History(bench);
  for (const act of acts) await history.play(act);
  await history.revealSteps();
}

/** A process that claims and writes. It gets a new token when the store need not know the old one any more. */
interface Actor {
  request: ClaimRequest;
  lease: Lease | undefined;
  isKnown: boolean;
  end: 'settled' | 'unknown' | 'withdrawn' | 'forgotten' | undefined;
}

/**
 * Plays acts on one key of the store and on the model, and compares the answers. Acts for which the contract promises nothing are
 * left out: those of a token that has ended and that no record names any more.
 */
class History {
  readonly #model = new ReferenceModel();
  readonly #actors: Actor[];

  constructor(private readonly bench: Bench) {
    this.#actors = [0, 1, 2, 3].map(() => this.#newActor());
  }

  async play(act: Act): Promise<void> {
    if (act.act === 'forget') await this.#override({ kind: 'forget', force: act.force });
    else if (act.act === 'resolve') {
      await this.#override({ kind: 'resolve', token: newToken(), ...toSettlement(act) });
    } else await this.#playBy(this.#find(act.who), act);
    await this.#compare(JSON.stringify(act));
  }

  async #playBy(actor: Actor, act: Extract<Act, { who: Who }>): Promise<void> {
    if (act.act === 'claim') await this.#claim(actor, act);
    else if (act.act === 'release') await this.#release(actor);
    else if (act.act === 'stray') await this.#stray(actor);
    else await this.#write(actor, act);
  }

  /** Claims at the end, because only a grant shows the steps. */
  async revealSteps(): Promise<void> {
    const found = this.#model.record;
    if (!found || found.final || found.status === 'TOMBSTONE') return;
    const owner = this.#owner();
    if (owner) await this.#write(owner, { act: 'settle', who: 0, outcome: 'unknown', payload: undefined });
    else if (found.isLive) return;
    await this.#claim(this.#newActor(), { act: 'claim', who: 0, replacing: 'standing', brief: false });
  }

  #owner(): Actor | undefined {
    return this.#actors.find(({ request }) => request.token === this.#model.record?.token);
  }

  #find(who: Who): Actor {
    return (who === 'owner' ? this.#owner() : this.#actors[who]) ?? this.#newActor();
  }

  async #claim(actor: Actor, act: Extract<Act, { act: 'claim' }>): Promise<void> {
    this.#renewToken(actor);
    const standing = this.#model.record?.token;
    const replacing = { standing, another: newToken(), nobody: undefined }[act.replacing];
    const request = { ...actor.request, replacing, ...(act.brief ? { leaseMs: 1 } : {}) };
    const expected = this.#model.claim(request);
    const answer = await this.bench.store.claim(this.bench.key, request);
    actor.isKnown = true;
    equal(answer.kind, expected === 'refused' ? 'existing' : 'acquired', 'the claim');
    if (answer.kind === 'existing') return this.#compareRecord(answer.record);
    if (expected === 'granted') {
      greater(answer.grant.fence, this.#model.fenceSeen, 'the fence');
      this.#model.fenceSeen = answer.grant.fence;
      this.#model.granted(request, answer.grant);
    }
    matches(answer.grant, visibleGrant(this.#model.record), 'the grant');
    actor.lease = grantedLease(actor.request, answer.grant);
    this.#model.renew(actor.lease);
    if (act.brief) await this.#untilAbandoned();
  }

  async #write(actor: Actor, act: Extract<Act, { act: 'renew' | 'step' | 'settle' }>): Promise<void> {
    const { lease } = actor;
    const isPast = actor.end !== undefined && actor.end !== 'unknown';
    if (!lease || (isPast && !this.#model.recognises(lease.token))) return;
    if (act.act === 'renew') await this.#renew(lease, act.brief);
    else if (act.act === 'step') await this.#step(actor, lease, act.step);
    else {
      const failures = lease.failures + (act.outcome === 'completed' ? 0 : 1);
      const how = settlement({ ...toSettlement(act), failures });
      const isSettled = this.#model.settle(lease, how);
      equal(await this.bench.store.settle(this.bench.key, lease, how), isSettled, 'the settling');
      const isFirst = actor.end === undefined || actor.end === 'unknown';
      if (isSettled && isFirst) actor.end = act.outcome === 'unknown' ? 'unknown' : 'settled';
    }
    this.#model.fenceSeen = Math.max(this.#model.fenceSeen, this.#model.record?.fence ?? 0);
  }

  async #renew(lease: Lease, isBrief: boolean): Promise<void> {
    const isRenewed = this.#model.renew(lease);
    const endsAtMs = await this.bench.renew(isBrief ? { ...lease, leaseMs: 1 } : lease);
    equal(endsAtMs !== false, isRenewed, 'the renewal');
    if (isRenewed && isBrief) await this.#untilAbandoned();
  }

  async #step(actor: Actor, lease: Lease, step: RecordedStep): Promise<void> {
    const isRecorded = this.#model.step(lease, step);
    equal(await this.bench.store.step(this.bench.key, lease, step), isRecorded, 'the step');
    const isNew = isRecorded && !lease.steps.some(({ name }) => name === step.name);
    if (isNew) actor.lease = { ...lease, steps: [...lease.steps, step] };
  }

  async #release(actor: Actor): Promise<void> {
    const { token } = actor.request;
    // The engine does not release what it has settled, whatever the outcome was.
    if (actor.end === 'settled' || actor.end === 'unknown') return;
    const isReleased = this.#model.release(token);
    equal(await this.bench.release(token), isReleased, 'the release');
    actor.end = 'withdrawn';
    actor.isKnown = true;
  }

  /** Gets a lease for another key. For this key it looks like an attempt whose record was lost. */
  async #stray(actor: Actor): Promise<void> {
    Object.assign(actor, this.#newActor());
    actor.lease = await this.bench.elsewhere().claim(actor.request);
    actor.isKnown = true;
  }

  async #override(replacement: Replacement): Promise<void> {
    const owner = this.#owner();
    const expected = this.#model.override(replacement);
    equal(await this.bench.override(replacement), expected, 'the write of a person');
    if (expected === 'done' && owner && replacement.kind === 'forget') owner.end = 'forgotten';
    if (expected !== 'done' || replacement.kind === 'forget' || !this.#model.record) return;
    const fence = (await this.bench.read())?.fence ?? 0;
    greater(fence, this.#model.fenceSeen, 'the fence of an outcome by hand');
    this.#model.fenceSeen = fence;
    this.#model.record = { ...this.#model.record, fence };
  }

  async #untilAbandoned(): Promise<void> {
    await this.bench.untilAbandoned();
    this.#model.runOut();
  }

  async #compare(what: string): Promise<void> {
    const found = this.#model.record;
    const read = await this.bench.read();
    if (!found || found.status === 'TOMBSTONE') equal(read, undefined, `what is read after ${what}`);
    else this.#compareRecord(read, `what is read after ${what}`);
  }

  #compareRecord(actual: StoredRecord | undefined, what = 'the record'): void {
    const found = this.#model.record;
    if (!found) return equal(actual, undefined, what);
    const seen = actual && { ...actual, isLive: actual.leaseRemainingMs > 0 };
    matches(seen, this.#visible(found), what);
  }

  #visible(found: ModelRecord): object {
    const { status, final, isLive, payload, hitCount } = found;
    // A tombstone is answered only to a withdrawn token. It looks like a failure without an owner.
    if (status === 'TOMBSTONE') return { status: 'FAILED', final, isLive, payload };
    const { token, fence, attempt, failures, fingerprint, onAbandoned, notes } = found;
    const { createdAtMs, startedAtMs, previous } = found;
    return {
      ...{ status, final, isLive, payload, token, fence, attempt, failures, fingerprint, onAbandoned, notes },
      ...{ createdAtMs, startedAtMs },
      restored: previous?.end === 'withdrawn',
      ...(final && this.bench.terms.skip['hit counts'] === undefined ? { hitCount } : {}),
    };
  }

  /** Replaces a token that has ended and that no record names any more: the store may have forgotten it. */
  #renewToken(actor: Actor): void {
    const found = this.#model.record;
    const isRefusedAnyway = found?.final === true || found?.isLive === true;
    if (!actor.isKnown || this.#model.recognises(actor.request.token) || isRefusedAnyway) return;
    Object.assign(actor, this.#newActor());
  }

  #newActor(): Actor {
    const token = newToken();
    const isOdd = token < 'V';
    const terms = {
      fingerprint: isOdd ? 'fingerprint-0123456789' : undefined,
      onAbandoned: isOdd ? 'block' : 'retry',
      notes: isOdd ? undefined : NOTES,
    } as const;
    const request = this.bench.request({ token, ...terms });
    return { request, lease: undefined, isKnown: false, end: undefined };
  }
}

/** What a grant must say about the record that was claimed. A link to a forgotten record is allowed, and is not compared. */
function visibleGrant(record: ModelRecord | undefined): object {
  if (!record) return {};
  const { token, fence, attempt, failures, createdAtMs, startedAtMs, steps, previous } = record;
  const isLinked = previous && previous.end !== 'withdrawn';
  const links = isLinked ? { previousToken: previous.token, previousEnd: previous.end } : {};
  return { token, fence, attempt, failures, createdAtMs, startedAtMs, steps, ...links };
}

function toSettlement({
  outcome,
  payload,
}: {
  outcome: Outcome;
  payload: string | undefined;
}): Omit<Settlement, 'failures'> {
  const how = {
    completed: { status: 'COMPLETED', final: true },
    final: { status: 'FAILED', final: true },
    failed: { status: 'FAILED', final: false },
    unknown: { status: 'IN_PROGRESS', final: false },
  } as const;
  return { ...how[outcome], payload: outcome === 'unknown' ? undefined : payload, retentionMs: 60_000 };
}
