import { grantedLease, type Lease, type StoreKey } from '../../../src/core/record.js';
import type { ClaimRequest, Replacement, Settlement } from '../../../src/core/store.js';
import type { Kept } from '../../../src/stores/shared/kept.js';
import { TableStore, type Mistake } from '../table-store.js';

class TakesOverEarly extends TableStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const found = await this.read(key);
    if (found && found.token === request.replacing) await this.override(key, { kind: 'forget', force: true });
    return super.claim(key, request);
  }
}
class GoneTooSoon extends TableStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    return super.settle(key, lease, { ...settlement, retentionMs: Math.min(settlement.retentionMs, 1) });
  }
}
class KeptForEver extends TableStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    return super.settle(key, lease, { ...settlement, retentionMs: 3_600_000 });
  }
}
class RetainsFromTheClaim extends TableStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const retentionMs = settlement.retentionMs - (this.now() - lease.startedAtMs);
    return super.settle(key, lease, { ...settlement, retentionMs });
  }
}
class RetainsFailuresFromTheClaim extends RetainsFromTheClaim {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    if (settlement.status === 'FAILED') return super.settle(key, lease, settlement);
    return TableStore.prototype.settle.call(this, key, lease, settlement);
  }
}
class RetainsCorrectionsFromTheClaim extends TableStore {
  override async override(key: StoreKey, replacement: Replacement) {
    if (replacement.kind === 'forget') return super.override(key, replacement);
    const ranMs = this.now() - ((await this.read(key))?.startedAtMs ?? this.now());
    return super.override(key, { ...replacement, retentionMs: replacement.retentionMs - ranMs });
  }
}
class ExpiresWithItsFirstLease extends TableStore {
  protected override written(kept: Kept, before: Kept | undefined) {
    const isRenewed = kept.token === before?.token && kept.status === 'IN_PROGRESS';
    return isRenewed ? { ...kept, expiresAtMs: before.expiresAtMs } : kept;
  }
}
class AddsToTheLease extends TableStore {
  override renew(key: StoreKey, lease: Lease) {
    const leftMs = (this.find(key)?.leaseEndsAtMs ?? 0) - this.now();
    return super.renew(key, { ...lease, leaseMs: lease.leaseMs + leftMs });
  }
}
class NeverShortensALease extends TableStore {
  override renew(key: StoreKey, lease: Lease) {
    const leftMs = (this.find(key)?.leaseEndsAtMs ?? 0) - this.now();
    return super.renew(key, { ...lease, leaseMs: Math.max(lease.leaseMs, leftMs) });
  }
}
class RenewsInWordsOnly extends TableStore {
  override async renew(_: StoreKey, lease: Lease) {
    return this.now() + lease.leaseMs;
  }
}
class KeepsUnknownsForTheirRetention extends TableStore {
  override settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    return super.settle(key, { ...lease, unsettledRetentionMs: settlement.retentionMs }, settlement);
  }
}
class BeginsAnewAtATakeover extends TableStore {
  protected override written(kept: Kept) {
    return { ...kept, createdAtMs: kept.startedAtMs };
  }
}
class RemembersTheForgottenBeginning extends TableStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const found = this.find(key);
    const answer = await super.claim(key, request);
    if (answer.kind === 'existing' || found?.status !== 'TOMBSTONE') return answer;
    return { ...answer, grant: { ...answer.grant, createdAtMs: found.createdAtMs } };
  }
  protected override written(kept: Kept, before: Kept | undefined) {
    return kept.status === 'TOMBSTONE' && before ? { ...kept, createdAtMs: before.createdAtMs } : kept;
  }
}
class RemembersTokensForASecond extends TableStore {
  protected override written(kept: Kept) {
    return kept.status === 'TOMBSTONE' ? { ...kept, expiresAtMs: this.now() + 1_000 } : kept;
  }
}
class ForgetsForAMinuteOnly extends TableStore {
  protected override written(kept: Kept) {
    return kept.status === 'TOMBSTONE' ? { ...kept, expiresAtMs: this.now() + 60_000 } : kept;
  }
}
class RefusesAnOwnLapsedClaim extends TableStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const record = await this.read(key);
    const isLapsed = record?.token === request.token && record.leaseRemainingMs <= 0;
    return isLapsed ? { kind: 'existing' as const, record } : super.claim(key, request);
  }
}
class RefusesALateOwner extends TableStore {
  override async settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const found = this.find(key);
    if (found?.status === 'IN_PROGRESS' && found.leaseEndsAtMs <= this.now()) return false;
    return super.settle(key, lease, settlement);
  }
}
class GrantsForNoTime extends TableStore {
  override async claim(key: StoreKey, request: ClaimRequest) {
    const answer = await super.claim(key, request);
    if (answer.kind === 'acquired')
      await this.renew(key, grantedLease({ ...request, leaseMs: 1 }, answer.grant));
    return answer;
  }
}

export const TIME: readonly Mistake[] = [
  [TakesOverEarly, /a live lease is not taken over, nor/, /lease has ended, not before/, /is never replaced/],
  [GoneTooSoon, /gone after its retention, not before/],
  [KeptForEver, /gone after its retention, not before/],
  [RetainsFromTheClaim, /counted from the settling/, /ran for longer than its retention/],
  [RetainsFailuresFromTheClaim, /counted from the settling/],
  [RetainsCorrectionsFromTheClaim, /counted from the settling/],
  [ExpiresWithItsFirstLease, /for its retention after the last renewal/],
  [AddsToTheLease, /a renewal by a shorter time/],
  [NeverShortensALease, /a renewal by a shorter time/],
  [RenewsInWordsOnly, /a renewal moves the end/],
  [KeepsUnknownsForTheirRetention, /kept for the unsettled retention/],
  [BeginsAnewAtATakeover, /when its own attempt began, and when the first one did/],
  [RemembersTheForgottenBeginning, /was forgotten begins anew/],
  [RemembersTokensForASecond, /withdrawn early is told/, /was released is told/, /was forgotten is told/],
  [ForgetsForAMinuteOnly, /was forgotten is told/],
  [RefusesAnOwnLapsedClaim, /own claim whose lease has ended/],
  [RefusesALateOwner, /an owner past its lease/],
  [GrantsForNoTime, /a grant and the running record say the same/],
];
