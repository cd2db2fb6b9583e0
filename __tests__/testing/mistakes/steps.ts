import type { Lease, RecordedStep, StoreKey } from '../../../src/core/record.js';
import type { ClaimAnswer, ClaimRequest, Settlement } from '../../../src/core/store.js';
import type { Kept } from '../../../src/stores/shared/kept.js';
import { TableStore, type Mistake } from '../table-store.js';

type Steps = readonly RecordedStep[];

/** Stores of which each grants other steps than there are. */
abstract class ChangesGrants extends TableStore {
  protected abstract change(steps: Steps): Steps;
  override async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    const answer = await super.claim(key, request);
    if (answer.kind === 'existing') return answer;
    return { ...answer, grant: { ...answer.grant, steps: this.change(answer.grant.steps) } };
  }
}
export class ForgetsSteps extends ChangesGrants {
  protected change() {
    return [];
  }
}
class LastStepWins extends ChangesGrants {
  protected change(steps: Steps) {
    return steps.slice(-1);
  }
}
class SortsSteps extends ChangesGrants {
  protected change(steps: Steps) {
    return [...steps].sort((a, b) => (a.name < b.name ? 1 : -1));
  }
}
class OverwritesSteps extends TableStore {
  override async step(key: StoreKey, lease: Lease, step: RecordedStep) {
    const found = this.find(key);
    const others = found?.steps.filter(({ name }) => name !== step.name) ?? [];
    if (found?.token === lease.token) this.table.records.set(key.address, { ...found, steps: others });
    return super.step(key, lease, step);
  }
}
class RefusesResentSteps extends TableStore {
  override async step(key: StoreKey, lease: Lease, step: RecordedStep) {
    return this.find(key)?.previousToken !== lease.token && super.step(key, lease, step);
  }
}
class DropsStepsOnRenewal extends TableStore {
  override async renew(key: StoreKey, lease: Lease) {
    const found = this.find(key);
    if (found) this.table.records.set(key.address, { ...found, steps: [] });
    return super.renew(key, lease);
  }
}
class DropsStepsOfFailures extends TableStore {
  protected override written(kept: Kept) {
    return kept.status === 'FAILED' ? { ...kept, steps: [] } : kept;
  }
}
class DropsStepsOverAbsence extends TableStore {
  override renew(key: StoreKey, lease: Lease) {
    return super.renew(key, this.find(key) ? lease : { ...lease, steps: [] });
  }
}
class KeepsStepsOfTheFinal extends TableStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const steps = this.find(key)?.steps ?? [];
    const answer = super.settle(key, lease, settlement);
    const found = this.find(key);
    if (found?.final) this.table.records.set(key.address, { ...found, steps });
    return answer;
  }
}
class RestoresNewSteps extends TableStore {
  override async release(key: StoreKey, token: string) {
    const steps = this.find(key)?.steps;
    const isUndone = await super.release(key, token);
    const found = this.find(key);
    if (isUndone && found && steps) this.table.records.set(key.address, { ...found, steps });
    return isUndone;
  }
}

class WakesNobody extends TableStore {
  override async subscribe() {
    return () => undefined;
  }
}
class WakesEverybody extends TableStore {
  protected override wake() {
    for (const wakes of this.table.wakes.values()) for (const wake of wakes) queueMicrotask(wake);
  }
}
class WakesThoseWhoLeft extends TableStore {
  override async subscribe(key: StoreKey, wake: () => void) {
    await super.subscribe(key, wake);
    return () => undefined;
  }
}
class WakesOnSettlingOnly extends TableStore {
  override async release(key: StoreKey, token: string) {
    const wakes = this.table.wakes.get(key.address) ?? new Set();
    this.table.wakes.delete(key.address);
    const answer = await super.release(key, token);
    this.table.wakes.set(key.address, wakes);
    return answer;
  }
}

export const STEPS: readonly Mistake[] = [
  [
    ForgetsSteps,
    /come back in the grant of a takeover/,
    /come back after an unknown outcome/,
    /come back after a failure/,
  ],
  [LastStepWins, /steps of several attempts/, /of many steps at once/],
  [SortsSteps, /in their order/],
  [OverwritesSteps, /the first of a name is kept/],
  [RefusesResentSteps, /a resent step is recognised after the takeover/],
  [DropsStepsOnRenewal, /steps stay through a renewal/],
  [DropsStepsOfFailures, /come back after a failure/],
  [DropsStepsOverAbsence, /a renewal or an outcome that is not final writes the steps/],
  [KeepsStepsOfTheFinal, /after an outcome that is final is told false/],
  [RestoresNewSteps, /steps of the record that was failed/],
  [WakesNobody, /by a settle/, /by a release/, /by a forget/],
  [WakesEverybody, /by a settle/],
  [WakesThoseWhoLeft, /by a settle/],
  [WakesOnSettlingOnly, /by a release/],
];
