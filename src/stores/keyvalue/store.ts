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
import { isFirstOfClass, sharedOf, type Shared, type Written } from './turns.js';
import type { Kept } from '../shared/kept.js';
import * as transitions from '../shared/transitions.js';
import { momentAt, present, recordOf, unreadable, type Moment, type Move } from '../shared/transitions.js';

export type { IdempotencyStore, SimpleRecord } from '../../core/store.js';

export type { KeyValueStoreOptions } from './options.js';

interface Found {
  readonly raw: unknown;
  readonly kept: Kept | undefined;
}

/**
 * A {@link LeaseStore} over any object with `get`, `set`, `delete` and `clear`: a `Map`, a class of your own.
 *
 * **Atomic within this process, not across processes**: two processes that claim a key at the same moment both win it. Within
 * the process the calls for a key take turns (G1 to G3), also through several wrappers of the same object; a call of
 * your object that never ends holds up its key, so give your client a command timeout. Expiry is judged by the process's
 * own clock (G4), fences are counted (G5).
 *
 * A record is written as plain data. What JSON gives back equal is stored as it is, any other result as
 * `{ $tagged }`, an error likewise; what a lease needs stands in one more member, `lease`. `expiresAt` is two seconds ahead at
 * least, and a second later than it must be, for those who round down to seconds. Where `get` gives back only the members it
 * knows, what a lease needs is known in this process alone, and `onAbandoned` other than `retry` is refused.
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
    this.#shared = sharedOf(object);
    const isNew = isFirstOfClass(object);
    if (onWarning) onWarning(warningOf(object));
    else if (isNew) emitWarning(warningOf(object));
  }

  async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    this.#refuseStrict(request);
    return await this.#exclusively(key, async () => {
      const found = await this.#find(key);
      const at = momentOf(found);
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
    const at = momentOf(found);
    const kept = present(found.kept, key, at);
    return kept && kept.status !== 'TOMBSTONE' ? recordOf(kept, at) : undefined;
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
      const at = momentOf(found);
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

  /** The record that was written here, if it is the one that came back without our members. */
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
    // Nobody but this process will know when the lease ends: the record must be gone by then.
    const isShort = keepsLease === false && kept.status === 'IN_PROGRESS';
    const record = toRecord(key, kept, isShort ? kept.leaseEndsAtMs : kept.expiresAtMs, at.nowMs);
    if (keepsLease !== true)
      this.#shared.writing(key.address, { kept, expiresAt: record.expiresAt }, at.nowMs);
    // A tombstone would be a failure to those who can't see that it is none.
    if (keepsLease === false && kept.status === 'TOMBSTONE') {
      await this.#call('delete', key, () => this.#object.delete(key.address));
    } else {
      await this.#call('set', key, () => this.#object.set(key.address, record));
      if (keepsLease === undefined) await this.#tryOut(key, kept, at);
    }
  }

  /** After the first write: what comes back of it? */
  async #tryOut(key: StoreKey, kept: Kept, at: Moment): Promise<void> {
    const back = (await this.#call('get', key, () => this.#object.get(key.address))) as
      KeyValueRecord | null | undefined;
    if (back === undefined || back === null) {
      const message =
        'get() of the store gives nothing right after set(): does it keep the record until expiresAt, which is in ' +
        'milliseconds, and read under the same key?';
      throw new StoreError('STORE_UNAVAILABLE', message);
    }
    this.#shared.keepsLease = back.lease?.token === kept.token;
    if (this.#shared.keepsLease) this.#shared.forgetAll();
    else await this.#write(key, kept, at);
  }

  /** Counts a hit on a settled record, best effort: nothing that goes wrong here harms the replay. */
  async #hit(key: StoreKey, record: StoredRecord, { raw, kept }: Found, at: Moment): Promise<StoredRecord> {
    // What is about to expire would live on by being written.
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
      `onAbandoned "${onAbandoned}" needs a store whose get() gives back every member that set() was given, and this one ` +
        'gives back only some: keep the whole record, or use "retry"',
    );
  }

  /** The first claim of all is what shows whether the store can do this. */
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

function momentOf({ kept }: Found): Moment {
  return momentAt(Date.now(), 0, kept?.fence);
}

function warningOf(object: object): string {
  return (
    `KeyValueStore over ${object.constructor?.name ?? 'an object'} is atomic within this process, not across processes: two ` +
    'processes may run the same key at once. Use RedisStore, PostgresStore or DynamoDBStore where there are several; ' +
    'pass { onWarning: () => {} } where there is one'
  );
}
