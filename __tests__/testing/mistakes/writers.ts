import type { Lease, RecordedStep, StoredRecord, StoreKey } from '../../../src/core/record.js';
import type { ClaimAnswer, ClaimRequest, Replacement, Settlement } from '../../../src/core/store.js';
import { newToken } from '../../../src/core/token.js';
import type { Kept } from '../../../src/stores/shared/kept.js';
import { TableStore, type Mistake } from '../table-store.js';

/** The grant with some members changed. */
function regranted(answer: ClaimAnswer, changes: Partial<Lease>): ClaimAnswer {
  return answer.kind === 'acquired' ? { ...answer, grant: { ...answer.grant, ...changes } } : answer;
}

/** The record of an answer with some members changed. */
function reread(answer: ClaimAnswer, changes: Partial<StoredRecord>): ClaimAnswer {
  return answer.kind === 'existing' ? { ...answer, record: { ...answer.record, ...changes } } : answer;
}

class GetThenSet extends TableStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const isFree = (await this.read(key)) === undefined;
    await new Promise((resolve) => void setImmediate(resolve));
    if (isFree) await this.override(key, { kind: 'forget', force: true });
    return super.claim(key, request);
  }
}
export class AnyoneWrites extends TableStore {
  override async settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const found = await this.read(key);
    return super.settle(key, { ...lease, token: found?.token ?? lease.token }, settlement);
  }
}
class AnyoneRenews extends TableStore {
  override async renew(key: StoreKey, lease: Lease) {
    return (await super.renew(key, lease)) || lease.leaseEndsAtMs + 1;
  }
}
class AnyoneSteps extends TableStore {
  override async step(key: StoreKey, lease: Lease, step: RecordedStep) {
    await super.step(key, lease, step);
    return true;
  }
}
export class KnowsNoResend extends TableStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const answer = await super.claim(key, { ...request, token: newToken() });
    return regranted(answer, { token: request.token });
  }
}
class SettlesOnce extends TableStore {
  readonly #settled = new Set<string>();
  override async settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const isDone = await super.settle(key, lease, settlement);
    if (this.#settled.has(lease.token)) return false;
    if (settlement.status !== 'IN_PROGRESS') this.#settled.add(lease.token);
    return isDone;
  }
}
class OverwritesTheFinal extends TableStore {
  override async settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const found = this.find(key);
    if (found?.final && found.fence < lease.fence) this.table.records.delete(key.address);
    return super.settle(key, lease, settlement);
  }
}
class OverwritesTombstones extends TableStore {
  override async renew(key: StoreKey, lease: Lease) {
    const found = this.find(key);
    if (found?.status === 'TOMBSTONE' && found.fence < lease.fence) this.table.records.delete(key.address);
    return super.renew(key, lease);
  }
}
class OverwritesLowerAndHigher extends TableStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const isOwn = this.find(key)?.token === lease.token;
    return super.settle(key, isOwn ? lease : { ...lease, fence: lease.fence + 1_000_000 }, settlement);
  }
}
class WritesOverAbsenceForEver extends TableStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    return super.settle(key, { ...lease, leaseEndsAtMs: Infinity }, settlement);
  }
}
class NeverWritesOverAbsence extends TableStore {
  override async renew(key: StoreKey, lease: Lease) {
    return this.find(key) !== undefined && super.renew(key, lease);
  }
}
class KeepsFenceZero extends TableStore {
  protected override moment() {
    return {
      ...super.moment(),
      nextFence: (previous: number) => previous && super.moment().nextFence(previous),
    };
  }
}
class TakesFenceZero extends TableStore {
  override async settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const isSettled = await super.settle(key, lease, settlement);
    const found = this.find(key);
    if (found?.token === lease.token) this.table.records.set(key.address, { ...found, fence: lease.fence });
    return isSettled;
  }
}
export class FencesByAttempt extends TableStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const answer = await super.claim(key, request);
    return answer.kind === 'acquired' ? regranted(answer, { fence: answer.grant.attempt }) : answer;
  }
}
class ReplacesWhateverStands extends TableStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const replacing = request.replacing && this.find(key)?.token;
    return super.claim(key, { ...request, replacing });
  }
}
class TakesFailuresForFinal extends TableStore {
  protected override written(kept: Kept) {
    return kept.status === 'FAILED' ? { ...kept, final: true } : kept;
  }
}
export class CountsNoHits extends TableStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    return reread(await super.claim(key, request), { hitCount: 0 });
  }
}
class CountsReads extends TableStore {
  override async read(key: StoreKey) {
    const found = this.find(key);
    if (found?.settledAtMs !== undefined) found.hitCount++;
    return super.read(key);
  }
}

class ReleasesToNothing extends TableStore {
  override async release(key: StoreKey, token: string) {
    const isUndone = await super.release(key, token);
    if (isUndone) await this.override(key, { kind: 'forget', force: true });
    return isUndone;
  }
}
export class MarksNoWithdrawal extends TableStore {
  override async release(key: StoreKey, token: string) {
    return (await this.read(key))?.token === token ? super.release(key, token) : false;
  }
}
class ReleasesToAbsence extends TableStore {
  override async release(key: StoreKey, token: string) {
    const isUndone = await super.release(key, token);
    if (isUndone && this.find(key)?.status === 'TOMBSTONE') this.table.records.delete(key.address);
    return isUndone;
  }
}
class ReleasesTwice extends TableStore {
  override async release(key: StoreKey, token: string) {
    return (await super.release(key, token)) || this.find(key)?.token === token;
  }
}
class RestoresTheOldFence extends TableStore {
  override async release(key: StoreKey, token: string) {
    const fence = this.find(key)?.prior?.fence;
    const isUndone = await super.release(key, token);
    const found = this.find(key);
    if (found && fence) this.table.records.set(key.address, { ...found, fence });
    return isUndone;
  }
}
class RestoresForLonger extends TableStore {
  protected override written(kept: Kept, before: Kept | undefined) {
    return kept.previousEnd === 'withdrawn' && before ? { ...kept, expiresAtMs: before.expiresAtMs } : kept;
  }
}
class ForgetsFailures extends TableStore {
  protected override written(kept: Kept) {
    return kept.status === 'TOMBSTONE' ? { ...kept, failures: 0 } : kept;
  }
}
class ForgetsTheLive extends TableStore {
  override override(key: StoreKey, replacement: Replacement) {
    return super.override(key, replacement.kind === 'forget' ? { ...replacement, force: true } : replacement);
  }
}
class ResolvesTombstones extends TableStore {
  override async override(key: StoreKey, replacement: Replacement) {
    const done = await super.override(key, replacement);
    return done === 'absent' && this.find(key) ? 'done' : done;
  }
}

export const WRITERS: readonly Mistake[] = [
  [GetThenSet, /fifty claims at once one/],
  [ReplacesWhateverStands, /matches the token it names/],
  [TakesFailuresForFinal, /a retryable failure is replaced/],
  [FencesByAttempt, /fences grow over/],
  [AnyoneWrites, /neither renew, step nor settle/],
  [AnyoneRenews, /neither renew, step nor settle/],
  [AnyoneSteps, /neither renew, step nor settle/, /a stale step is refused/],
  [OverwritesTheFinal, /final record is never overwritten/],
  [OverwritesTombstones, /over a tombstone, with a fence that is higher/],
  [OverwritesLowerAndHigher, /a lower one does not/],
  [WritesOverAbsenceForEver, /until its last lease plus retention/],
  [NeverWritesOverAbsence, /until its last lease plus retention/],
  [KeepsFenceZero, /claim was never answered/],
  [TakesFenceZero, /claim was executed unheard/],
  [KnowsNoResend, /a resent claim is granted again/],
  [SettlesOnce, /a resent settling is recognised/],
  [ReleasesToNothing, /restores a failed record with/, /steps of the record that was failed/],
  [ReleasesToAbsence, /a released token is not granted/],
  [ReleasesTwice, /a second release does nothing/],
  [RestoresTheOldFence, /higher fence than the one that was undone/],
  [RestoresForLonger, /restores a failed record with/],
  [MarksNoWithdrawal, /a claim that was withdrawn before it arrived/],
  [ForgetsFailures, /forgetting keeps the count/, /a release of what is gone keeps the count/],
  [ForgetsTheLive, /refuses a live lease unless forced/],
  [ResolvesTombstones, /forgetting nothing answers absent/],
  [CountsNoHits, /counts a hit/],
  [CountsReads, /counts a hit/],
];
