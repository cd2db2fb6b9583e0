import { Redis } from 'ioredis';
import { StoreError } from '../../src/core/errors.js';
import type { Lease, RecordedStep, StoreKey, StoredRecord } from '../../src/core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../../src/core/store.js';
import type { RedisStore } from '../../src/stores/redis/store.js';
import type { Breakage } from './worker-config.js';

const trueNow = Date.now.bind(Date);

/** RedisStore with one guarantee broken, as somebody may write a store: the checker must name what it violates. */
export class BrokenStore implements LeaseStore {
  readonly #redis: Redis;

  constructor(
    private readonly inner: RedisStore,
    url: string,
    private readonly broken: Breakage,
  ) {
    this.#redis = new Redis(url, { lazyConnect: true });
    this.#redis.on('error', () => undefined);
  }

  async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    let answer = await this.inner.claim(key, request);
    if (this.broken === 'client clock') answer = await this.#byOwnClock(key, request, answer);
    if (this.broken !== 'fences that fall' || answer.kind === 'existing') return answer;
    return { ...answer, grant: { ...answer.grant, fence: 2 ** 52 - answer.grant.fence } };
  }

  renew(key: StoreKey, lease: Lease): Promise<number | false> {
    return this.#asOwner(key, lease, (owned) => this.inner.renew(key, owned));
  }

  async settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    try {
      return await this.#asOwner(key, lease, (owned) => this.inner.settle(key, owned, settlement));
    } catch (error) {
      if (this.broken !== 'release on settle failure') throw error;
      // "It failed, so let somebody else try": the effect has happened.
      await this.#redis.del(key.address);
      throw new StoreError('STORE_UNAVAILABLE', 'the outcome was not recorded', { cause: error });
    }
  }

  step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    return this.inner.step(key, lease, step);
  }
  release(key: StoreKey, token: string): Promise<boolean> {
    return this.inner.release(key, token);
  }
  read(key: StoreKey): Promise<StoredRecord | undefined> {
    return this.inner.read(key);
  }
  override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    return this.inner.override(key, replacement);
  }
  subscribe(key: StoreKey, wake: () => void): Promise<() => void> {
    return this.inner.subscribe(key, this.broken === 'no publish' ? () => undefined : wake);
  }
  async close(): Promise<void> {
    this.#redis.disconnect();
    await this.inner.close();
  }

  /** Writes whatever it has, whoever holds the record. */
  async #asOwner<T>(key: StoreKey, lease: Lease, write: (lease: Lease) => Promise<T>): Promise<T> {
    if (this.broken === 'fences that fall') return write({ ...lease, fence: 2 ** 52 - lease.fence });
    if (this.broken !== 'no owner check') return write(lease);
    const found = await this.inner.read(key);
    if (!found || found.token === lease.token) return write(lease);
    if (found.status !== 'IN_PROGRESS') await this.#redis.del(key.address);
    return write(found.status === 'IN_PROGRESS' ? { ...lease, token: found.token } : lease);
  }

  /** Judges by this machine's clock whether the lease that stands there is over, and takes it if so. */
  async #byOwnClock(key: StoreKey, request: ClaimRequest, answer: ClaimAnswer): Promise<ClaimAnswer> {
    if (answer.kind === 'acquired' || answer.record.status !== 'IN_PROGRESS') return answer;
    const leaseRemainingMs = answer.record.leaseRemainingMs - (Date.now() - trueNow());
    if (leaseRemainingMs > 0) return { kind: 'existing', record: { ...answer.record, leaseRemainingMs } };
    await this.#redis.del(key.address);
    return this.inner.claim(key, request);
  }
}
