import { emitWarning } from '../../core/warn.js';
import { invalid, readOptions } from '../../core/check.js';
import { StoreError } from '../../core/errors.js';
import type { Lease, RecordedStep, StoreKey, StoredRecord } from '../../core/record.js';
import {
  isIdempotencyStore,
  type ClaimAnswer,
  type ClaimRequest,
  type IdempotencyStore,
  type LeaseStore,
  type Replacement,
  type Settlement,
} from '../../core/store.js';
import { KEY_VALUE_OPTIONS, type KeyValueStoreOptions } from './options.js';
import { fromRecord, toKeyValueError, toRecord, type KeyValueRecord } from './record.js';
import { isFirstOfClass, sharedState, type Shared, type Written } from './turns.js';
import type { Kept } from '../shared/kept.js';
import * as transitions from '../shared/transitions.js';
import {
  momentAt,
  present,
  storedRecord,
  unreadable,
  type Moment,
  type Move,
} from '../shared/transitions.js';

export type { IdempotencyStore, SimpleRecord } from '../../core/store.js';

export type { KeyValueStoreOptions } from './options.js';

interface Found {
  readonly raw: unknown;
  readonly kept: Kept | undefined;
}

/**
 * A {@link LeaseStore} over any object with `get`, `set`, `delete` and `clear`: a `Map`, a class of your own.
 *
 * **Atomic within this process, not across processes**: if two processes claim a key at the same moment, both get it. Within the
 * process the calls for a key run one after another (G1 to G3), also through several wrappers of the same object. A call of your
 * object that never ends blocks its key, so give your client a command timeout. Expiry is judged by the process's clock (G4);
 * fencing tokens are counted (G5).
 *
 * A record is written as plain data. A result or error that JSON preserves is stored as it is, any other as `{ $tagged }`. What
 * the lease needs is in one more member, `lease`. `expiresAt` is at least two seconds ahead, and a second later than necessary,
 * for objects that round down to seconds. If `get` returns only members that the object knows, the lease is known in this
 * process only, and `onAbandoned` other than `retry` is refused.
 */
export class KeyValueStore implements LeaseStore {
  readonly requiresScope: boolean;
  readonly #object: IdempotencyStore;
  readonly #shared: Shared;

  /** @throws UsageError INVALID_OPTIONS for an object without these four methods, or an unknown option */
  constructor(object: IdempotencyStore, options: KeyValueStoreOptions = {}) {
    if (!isIdempotencyStore(object)) {
      throw invalid('KeyValueStore wraps an object with get(), set(), delete() and clear()');
    }
    const { onWarning, requireScope = false } = readOptions<KeyValueStoreOptions>(
      'KeyValueStore',
      KEY_VALUE_OPTIONS,
      options,
    );
    this.requiresScope = requireScope;
    this.#object = object;
    this.#shared = sharedState(object);
    const isNew = isFirstOfClass(object);
    if (onWarning) onWarning(atomicityWarning(object));
    else if (isNew) emitWarning(atomicityWarning(object));
  }

  async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    this.#refuseStrict(request);
    return await this.#exclusively(key, async () => {
      const found = await this.#find(key);
      const at = momentAfter(found);
      const { answer, write } = transitions.claim(present(found.kept, key, at), key, request, at);
      if (write) {
        await this.#write(key, write, at);
        await this.#undoStrict(key, request, found);
      } else if (answer.kind === 'existing') {
        return { ...answer, record: await this.#hit(key, answer.record, found, at) };
      }
      return answer;
    });
  }

  renew(key: StoreKey, lease: Lease): Promise<number | false> {
    return this.#change(key, (found, at) => transitions.renew(found, key, lease, at));
  }

  step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    return this.#change(key, (found, at) => transitions.step(found, key, lease, step, at));
  }

  settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    return this.#change(key, (found, at) => transitions.settle(found, key, lease, settlement, at));
  }

  release(key: StoreKey, token: string): Promise<boolean> {
    return this.#change(key, (found, at) => transitions.release(found, key, token, at));
  }

  async read(key: StoreKey): Promise<StoredRecord | undefined> {
    const found = await this.#find(key);
    const at = momentAfter(found);
    const kept = present(found.kept, key, at);
    return kept && kept.status !== 'TOMBSTONE' ? storedRecord(kept, at) : undefined;
  }

  override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    return this.#change(key, (found, at) => transitions.override(found, key, replacement, at), unreadable);
  }

  /** Empties the wrapped object, running attempts included. */
  async clear(): Promise<void> {
    this.#shared.forgetAll();
    await this.#object.clear();
  }

  #exclusively<T>(key: StoreKey, task: () => Promise<T>): Promise<T> {
    return this.#shared.exclusively(key.address, task);
  }

  #change<Answer>(
    key: StoreKey,
    decide: (found: Kept | undefined, at: Moment) => Move<Answer>,
    repair?: (key: StoreKey, at: Moment) => Kept,
  ): Promise<Answer> {
    return this.#exclusively(key, async () => {
      const found = await this.#find(key, repair);
      const at = momentAfter(found);
      const { answer, write } = decide(present(found.kept, key, at), at);
      if (write) await this.#write(key, write, at);
      return answer;
    });
  }

  async #find(key: StoreKey, repair?: (key: StoreKey, at: Moment) => Kept): Promise<Found> {
    let raw: unknown;
    try {
      raw = await this.#call('get', key, () => this.#object.get(key.address));
      const written = this.#shared.keepsLease === true ? undefined : this.#writtenAs(key, raw);
      if (written || raw === undefined || raw === null) return { raw, kept: written };
      return { raw, kept: fromRecord(key, raw) };
    } catch (error) {
      const isUnreadable =
        error instanceof StoreError && (error.code === 'CORRUPT_RECORD' || error.code === 'RECORD_TOO_NEW');
      if (!repair || !isUnreadable) throw error;
      return { raw, kept: repair(key, momentAt(Date.now(), 0)) };
    }
  }

  /** The record that this process wrote, if it matches the value that came back without our members. */
  #writtenAs(key: StoreKey, raw: unknown): Kept | undefined {
    const [newest, ...others] = this.#shared.writtenAt(key.address);
    if (raw === undefined || raw === null)
      return newest?.kept.status === 'TOMBSTONE' ? newest.kept : undefined;
    const { status, createdAt, expiresAt, lease, hitCount } = raw as KeyValueRecord;
    if (lease !== undefined) return undefined;
    const isIt = ({ kept, expiresAt: endMs }: Written): boolean =>
      kept.status === status && kept.createdAtMs === createdAt && endMs === expiresAt;
    const found = [newest, ...others].find((one) => one && isIt(one))?.kept;
    return found && { ...found, hitCount: hitCount ?? found.hitCount };
  }

  async #write(key: StoreKey, kept: Kept, at: Moment): Promise<void> {
    const { keepsLease } = this.#shared;
    // Other processes can't see when the lease ends, so the record must expire then.
    const isShort = keepsLease === false && kept.status === 'IN_PROGRESS';
    const record = toRecord(key, kept, isShort ? kept.leaseEndsAtMs : kept.expiresAtMs, at.nowMs);
    if (keepsLease !== true)
      this.#shared.writing(key.address, { kept, expiresAt: record.expiresAt }, at.nowMs);
    // Without our members a tombstone would look like a failure.
    if (keepsLease === false && kept.status === 'TOMBSTONE') {
      await this.#call('delete', key, () => this.#object.delete(key.address));
    } else {
      await this.#call('set', key, () => this.#object.set(key.address, record));
      if (keepsLease === undefined) await this.#tryOut(key, kept, at);
    }
  }

  /** Reads the first write back, to find out whether the object returns our members. */
  async #tryOut(key: StoreKey, kept: Kept, at: Moment): Promise<void> {
    const back = (await this.#call('get', key, () => this.#object.get(key.address))) as
      KeyValueRecord | null | undefined;
    if (back === undefined || back === null) {
      const message =
        'get() of the store returned nothing right after set(): does the store keep records until expiresAt, which is in ' +
        'milliseconds, and use the same key in both?';
      throw new StoreError('STORE_UNAVAILABLE', message);
    }
    this.#shared.keepsLease = back.lease?.token === kept.token;
    if (this.#shared.keepsLease) this.#shared.forgetAll();
    else await this.#write(key, kept, at);
  }

  /** Counts a hit on a settled record, best effort: an error here must not fail the replay. */
  async #hit(key: StoreKey, record: StoredRecord, { raw, kept }: Found, at: Moment): Promise<StoredRecord> {
    // A record that is about to expire is not written, because that might extend its life.
    if (record.settledAtMs === undefined || !kept || kept.expiresAtMs <= at.nowMs + 1_000) return record;
    const hitCount = record.hitCount + 1;
    try {
      await this.#object.set(key.address, { ...(raw as KeyValueRecord), hitCount });
    } catch {
      return record;
    }
    return { ...record, hitCount };
  }

  #refuseStrict({ onAbandoned }: ClaimRequest): void {
    if (this.#shared.keepsLease !== false || onAbandoned === 'retry') return;
    throw invalid(
      `onAbandoned "${onAbandoned}" needs a store whose get() returns every member that was passed to set(), and this one ` +
        'returns only some: store the whole record, or use "retry"',
    );
  }

  /** Undoes the very first claim if it shows that the store does not support the claim's `onAbandoned`. */
  async #undoStrict(key: StoreKey, request: ClaimRequest, { raw }: Found): Promise<void> {
    try {
      this.#refuseStrict(request);
    } catch (refusal) {
      this.#shared.forget(key.address);
      if (raw === undefined || raw === null) await this.#object.delete(key.address);
      else await this.#object.set(key.address, raw as KeyValueRecord);
      throw refusal;
    }
  }

  async #call<T>(method: string, key: StoreKey, call: () => T): Promise<Awaited<T>> {
    try {
      return await call();
    } catch (error) {
      throw toKeyValueError(error, method, key);
    }
  }
}

function momentAfter({ kept }: Found): Moment {
  return momentAt(Date.now(), 0, kept?.fence);
}

function atomicityWarning(object: object): string {
  return (
    `KeyValueStore over ${object.constructor?.name ?? 'an object'} is atomic within this process, not across processes: two ` +
    'processes may run the same key at once. With several processes use RedisStore, PostgresStore or DynamoDBStore; ' +
    'with one, pass { onWarning: () => {} } to silence this warning'
  );
}
