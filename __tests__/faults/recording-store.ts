import type { Lease, RecordedStep, StoreKey, StoredRecord } from '../../src/core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../../src/core/store.js';
import { sharedMs, type Recorder } from './history.js';

/** A store that writes down what it granted, for the checker: when it was asked, and when the answer was heard. */
export class RecordingStore implements LeaseStore {
  readonly subscribe?: NonNullable<LeaseStore['subscribe']>;
  /** Who holds which fence of a key, among the attempts of this process. */
  readonly #tokens = new Map<string, string>();

  constructor(
    private readonly inner: LeaseStore,
    private readonly recorder: Recorder,
    private readonly keyOf: (address: string) => string,
  ) {
    if (inner.subscribe) this.subscribe = inner.subscribe.bind(inner);
  }

  tokenOf(key: string, fence: number): string {
    return this.#tokens.get(`${key} ${fence}`) ?? `unknown owner of ${fence}`;
  }

  async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    const sentAt = sharedMs();
    const answer = await this.inner.claim(key, request);
    if (answer.kind === 'acquired') {
      const name = this.keyOf(key.address);
      const { token, fence } = answer.grant;
      this.#tokens.set(`${name} ${fence}`, token);
      this.recorder.note({ is: 'granted', key: name, token, fence, sentAt });
    }
    return answer;
  }

  async renew(key: StoreKey, lease: Lease): Promise<number | false> {
    const sentAt = sharedMs();
    const answer = await this.inner.renew(key, lease);
    const { token, fence } = lease;
    if (answer !== false)
      this.recorder.note({ is: 'renewed', key: this.keyOf(key.address), token, fence, sentAt });
    return answer;
  }

  async settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    const sentAt = sharedMs();
    const accepted = await this.inner.settle(key, lease, settlement);
    const { token, fence } = lease;
    const { status } = settlement;
    const name = this.keyOf(key.address);
    this.recorder.note({ is: 'settled', key: name, token, fence, sentAt, status, accepted });
    return accepted;
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
  async close(): Promise<void> {
    await this.inner.close?.();
  }
}
