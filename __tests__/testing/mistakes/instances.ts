import type { Lease, RecordedStep, StoreKey, StoredRecord } from '../../../src/core/record.js';
import type { ClaimAnswer, ClaimRequest, Settlement } from '../../../src/core/store.js';
import { Table, TableStore, type Mistake } from '../table-store.js';

const tick = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

class SharesNothing extends TableStore {
  constructor() {
    super(new Table());
  }
}
class ClockAnHourAhead extends TableStore {
  protected override now() {
    return super.now() + this.instance * 3_600_000;
  }
}
class ClockAnHourBehind extends TableStore {
  protected override now() {
    return super.now() - this.instance * 3_600_000;
  }
}
class ClockABitAhead extends TableStore {
  protected override now() {
    return super.now() + this.instance * 400;
  }
}
class ClockABitBehind extends TableStore {
  protected override now() {
    return super.now() - this.instance * 400;
  }
}
/** What was final for this instance stays so. */
class CachesOutcomes extends TableStore {
  readonly #cache = new Map<string, StoredRecord>();
  override async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    const cached = this.#cache.get(key.address);
    if (cached) return { kind: 'existing', record: cached };
    const answer = await super.claim(key, request);
    if (answer.kind === 'existing' && answer.record.final) this.#cache.set(key.address, answer.record);
    return answer;
  }
}
class CachesReads extends TableStore {
  readonly #cache = new Map<string, StoredRecord>();
  override async read(key: StoreKey) {
    const record = this.#cache.get(key.address) ?? (await super.read(key));
    if (record?.final) this.#cache.set(key.address, record);
    return record;
  }
}
/** Remembers withdrawn tokens by itself. */
class MarksInMemory extends TableStore {
  readonly #withdrawn = new Set<string>();
  override async claim(key: StoreKey, request: ClaimRequest) {
    if (this.#withdrawn.has(request.token)) await super.release(key, request.token);
    return super.claim(key, request);
  }
  override async release(key: StoreKey, token: string) {
    if (this.find(key)?.token === token) return super.release(key, token);
    this.#withdrawn.add(token);
    return false;
  }
}
/** Knows the attempts that it granted itself. */
class LeasesInMemory extends TableStore {
  readonly #granted = new Set<string>();
  override async claim(key: StoreKey, request: ClaimRequest) {
    const answer = await super.claim(key, request);
    if (answer.kind === 'acquired') this.#granted.add(request.token);
    return answer;
  }
  override async step(key: StoreKey, lease: Lease, step: RecordedStep) {
    return this.#granted.has(lease.token) && super.step(key, lease, step);
  }
  override async renew(key: StoreKey, lease: Lease) {
    return this.#granted.has(lease.token) && super.renew(key, lease);
  }
}
class SettlesFromMemory extends TableStore {
  readonly #settled = new Set<string>();
  override async settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const wasOver = this.find(key)?.settledAtMs !== undefined;
    const isSettled = await super.settle(key, lease, settlement);
    if (isSettled && wasOver) return this.#settled.has(lease.token);
    this.#settled.add(lease.token);
    return isSettled;
  }
}
class CountsFencesAlone extends TableStore {
  #fence = 0;
  protected override moment() {
    return { ...super.moment(), nextFence: () => ++this.#fence };
  }
}
class CountsHitsAlone extends TableStore {
  #hits = 0;
  override async claim(key: StoreKey, request: ClaimRequest) {
    const answer = await super.claim(key, request);
    if (answer.kind === 'acquired' || !answer.record.final) return answer;
    return { ...answer, record: { ...answer.record, hitCount: ++this.#hits } };
  }
}
class WakesItsOwn extends TableStore {
  readonly #own = new Table();
  override async subscribe(key: StoreKey, wake: () => void) {
    const wakes = this.#own.wakes.get(key.address) ?? new Set();
    this.#own.wakes.set(key.address, wakes.add(wake));
    return () => void wakes.delete(wake);
  }
  protected override wake({ address }: StoreKey) {
    for (const wake of this.#own.wakes.get(address) ?? []) queueMicrotask(wake);
  }
}
/** Its calls take turns, those of two instances do not. */
class TakesTurnsAlone extends TableStore {
  #turn: Promise<unknown> = Promise.resolve();
  override claim(key: StoreKey, request: ClaimRequest) {
    const answer = this.#turn.then(() => this.#claim(key, request));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }
  async #claim(key: StoreKey, request: ClaimRequest) {
    const before = this.table.records.get(key.address);
    await tick();
    const isNew = before?.token === request.replacing || !before;
    if (isNew && before) this.table.records.set(key.address, before);
    else if (isNew) this.table.records.delete(key.address);
    return super.claim(key, request);
  }
}

export const INSTANCES: readonly Mistake[] = [
  [SharesNothing, /what one instance writes/, /a record is there for another instance/],
  [ClockAnHourAhead, /not taken over through another/, /judge a lease alike/, /there for another instance/],
  [ClockAnHourBehind, /is taken over through another/, /judge a lease alike/, /there for another instance/],
  [ClockABitAhead, /judge a lease alike/],
  [ClockABitBehind, /judge a lease alike/],
  [CachesOutcomes, /what a person writes through one/],
  [CachesReads, /what a person writes through one/],
  [MarksInMemory, /withdrawn through another instance/],
  [LeasesInMemory, /resent through another instance/],
  [SettlesFromMemory, /resent through another instance/],
  [CountsFencesAlone, /fences grow from one instance/],
  [CountsHitsAlone, /hits are counted through all/],
  [WakesItsOwn, /woken by what another instance writes/],
  [TakesTurnsAlone, /fifty claims at once through two/, /many takeovers at once through two/],
];
