import { Buffer } from 'node:buffer';
import { emitWarning } from '../../core/warn.js';
import {
  BOOLEAN,
  FUNCTION,
  invalid,
  parseMs,
  readOptions,
  TEXT,
  type OptionTable,
} from '../../core/check.js';
import { StoreError } from '../../core/errors.js';
import type { Lease, RecordedStep, StoreKey, StoredRecord } from '../../core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../../core/store.js';
import { isInvalid } from './errors.js';
import {
  fromItem,
  newRevision,
  toNumber,
  partitionKey,
  stamp,
  stepAttribute,
  stepName,
  toItem,
  unchangedSince,
} from './record.js';
import { DynamoTable, type Attributes, type Condition, type DocumentClient } from './table.js';
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

export { tableDefinition, timeToLive, type DocumentClient } from './table.js';

export interface DynamoDBStoreOptions {
  /** The name of the table, which must have the key of {@link tableDefinition}. */
  table: string;
  /**
   * How much the clocks of the machines may differ. Conditions in DynamoDB can't use a clock, so each process judges leases by
   * its own. A lease can be taken over, and a record counts as expired, only this long after its end. If two clocks differ by
   * more, an attempt may be taken over while it runs.
   * @default 1000
   */
  clockMarginMs?: number;
  /**
   * A request without an answer is aborted after this time, and its call rejects.
   * @default 2000
   */
  timeoutMs?: number;
  /**
   * Called once if a result was too large for an item and was recorded without its value.
   * @default process.emitWarning
   */
  onWarning?: (message: string) => void;
  /** Whether every run on this store needs a `scope`: one without is refused with INVALID_OPTIONS. @default false */
  requireScope?: boolean;
}

/** The largest timeout and clock margin: more than a minute is probably a mistake. */
const LONGEST_MS = 60_000;
export const DYNAMODB_OPTIONS = {
  table: { ...TEXT, isRequired: true },
  clockMarginMs: { check: (value, option) => parseMs(option, value, 0, LONGEST_MS) },
  timeoutMs: { check: (value, option) => parseMs(option, value, 1, LONGEST_MS) },
  onWarning: FUNCTION,
  requireScope: BOOLEAN,
} satisfies OptionTable<DynamoDBStoreOptions>;
/** An item may have 400 KB: the payload, the steps, the key of up to 2 KB, and the fields, twice if there is a prior record. */
const MAX_TEXT_BYTES = 380_000;
/** The longest that a replay waits for the counting of its hit. */
const HIT_TIMEOUT_MS = 250;
const MAX_ROUNDS = 20;

/**
 * The {@link LeaseStore} on DynamoDB: one item for each record, every write with a condition on the expected item, every read
 * strongly consistent. A claim that wins, a renewal, a step and a recorded outcome take one request each. A claim that loses is
 * followed by one read, and on a settled record by the counting of its hit. All other cases read the item, decide, and write it
 * if it did not change in between.
 *
 * DynamoDB has no notifications: waiters poll, first after 25 ms, later once a second. A result of more than 380,000 bytes is
 * recorded as completed without its value (G7), and a step likewise.
 */
export class DynamoDBStore implements LeaseStore {
  readonly requiresScope: boolean;
  readonly #table: DynamoTable;
  readonly #marginMs: number;
  readonly #warn: (message: string) => void;
  #warned = false;

  /**
   * @param documentClient a `DynamoDBDocumentClient` of the AWS SDK v3; the store does not close it
   * @throws UsageError INVALID_OPTIONS for an unknown or wrong option, or something that is not a client
   */
  constructor(documentClient: DocumentClient, given: DynamoDBStoreOptions) {
    checkClient(documentClient);
    const options = readOptions<DynamoDBStoreOptions>('DynamoDBStore', DYNAMODB_OPTIONS, given);
    this.requiresScope = options.requireScope === true;
    this.#table = new DynamoTable(documentClient, options.table, options.timeoutMs ?? 2_000);
    this.#marginMs = options.clockMarginMs ?? 1_000;
    this.#warn = options.onWarning ?? emitWarning;
  }

  async claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    // A caller that names a record to replace has seen one, so creating one would fail.
    const first = request.replacing === undefined ? await this.#create(key, request) : undefined;
    if (first) return first;
    const answer = await this.#change(key, (found, at) => transitions.claim(found, key, request, at));
    return answer.kind === 'acquired' ? answer : { ...answer, record: await this.#hit(key, answer.record) };
  }

  async renew(key: StoreKey, lease: Lease): Promise<number | false> {
    const at = this.#now();
    const leaseEndsAtMs = at.nowMs + lease.leaseMs;
    const expiresAtMs = leaseEndsAtMs + lease.unsettledRetentionMs;
    const changes = { leaseEndsAtMs, expiresAtMs, ...stamp(expiresAtMs, this.#marginMs) };
    if (await this.#table.update(partitionKey(key), changes, ownRunning(key, lease, at)))
      return leaseEndsAtMs;
    return await this.#change(key, (found, later) => transitions.renew(found, key, lease, later));
  }

  async step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    return await this.#withRoom(step, lease.steps, async (kept) => {
      if (await this.#append(key, lease, kept)) return true;
      return await this.#change(key, (found, at) => transitions.step(found, key, lease, kept, at));
    });
  }

  async settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    return await this.#withRoom(settlement, settlement.final ? [] : lease.steps, async (kept) => {
      const at = this.#now();
      const settled = transitions.settled(lease, kept, at);
      const changes = {
        ...settled,
        ...stamp(settled.expiresAtMs, this.#marginMs),
        ...(kept.final && { steps: undefined, stepNames: undefined }),
      };
      if (await this.#table.update(partitionKey(key), changes, ownRunning(key, lease, at))) return true;
      return await this.#change(key, (found, later) => transitions.settle(found, key, lease, kept, later));
    });
  }

  async release(key: StoreKey, token: string): Promise<boolean> {
    return await this.#change(key, (found, at) => transitions.release(found, key, token, at));
  }

  async read(key: StoreKey): Promise<StoredRecord | undefined> {
    const item = await this.#table.get(partitionKey(key));
    const at = this.#now();
    const found = present(item && fromItem(key, item), key, at);
    return found && found.status !== 'TOMBSTONE' ? storedRecord(found, at) : undefined;
  }

  async override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    const write = (kept: Replacement) =>
      this.#change(key, (found, at) => transitions.override(found, key, kept, at), unreadable);
    return replacement.kind === 'forget'
      ? await write(replacement)
      : await this.#withRoom(replacement, [], write);
  }

  /** Claims a key without a record, in one request. An expired item that DynamoDB has not deleted yet counts as absent. */
  async #create(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer | undefined> {
    const at = this.#now();
    const { answer, write } = transitions.claim(undefined, key, request, at);
    const condition = {
      expression: 'attribute_not_exists(#pk) OR (#expiresAtMs <= :judged AND #fence < :next)',
      values: { ':judged': at.judgedMs, ':next': write?.fence },
    };
    return write && (await this.#put(key, write, condition)) ? answer : undefined;
  }

  async #append(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    const own = ownRunning(key, lease, this.#now());
    const appending = {
      expression:
        'SET #steps = list_append(if_not_exists(#steps, :none), :steps), ' +
        '#stepNames = list_append(if_not_exists(#stepNames, :none), :names), #rev = :rev',
      values: {
        ':none': [],
        ':steps': [stepAttribute(step)],
        ':names': [stepName(step)],
        ':rev': newRevision(),
      },
    };
    const condition = {
      expression: `${own.expression} AND NOT contains(#stepNames, :name)`,
      values: { ...own.values, ':name': stepName(step) },
    };
    return await this.#table.evaluate(partitionKey(key), appending, condition);
  }

  /** Read, decide, and write if nothing was written in between. */
  async #change<Answer>(
    key: StoreKey,
    decide: (found: Kept | undefined, at: Moment) => Move<Answer>,
    repair?: (key: StoreKey, at: Moment) => Kept,
  ): Promise<Answer> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const item = await this.#table.get(partitionKey(key));
      const at = momentAt(Date.now(), this.#marginMs, toNumber(item?.fence));
      const { answer, write } = decide(present(item && readOr(key, item, at, repair), key, at), at);
      if (!write || (await this.#put(key, write, unchangedSince(item)))) return answer;
    }
    const message = `${JSON.stringify(key.address)} was written by others ${MAX_ROUNDS} times in a row`;
    throw new StoreError('STORE_UNAVAILABLE', message, { transient: true });
  }

  async #put(key: StoreKey, kept: Kept, condition: Condition): Promise<boolean> {
    const pk = partitionKey(key);
    try {
      return await this.#table.put(toItem(pk, kept, this.#marginMs), condition);
    } catch (error) {
      // The prior record may be too large to be kept in the item too. Then the value of that failure is dropped.
      if (!isInvalid(error) || kept.prior?.payload === undefined) throw error;
      const prior = { ...kept.prior, payload: undefined };
      return await this.#table.put(toItem(pk, { ...kept, prior }, this.#marginMs), condition);
    }
  }

  /** Counts a hit on a settled record, best effort: an error here must not fail the replay. */
  async #hit(key: StoreKey, record: StoredRecord): Promise<StoredRecord> {
    if (record.settledAtMs === undefined) return record;
    const condition = {
      expression: '#token = :token AND #status = :status',
      values: { ':token': record.token, ':status': record.status },
    };
    try {
      const counted = await this.#table.count(partitionKey(key), 'hitCount', condition, HIT_TIMEOUT_MS);
      return { ...record, hitCount: toNumber(counted) ?? record.hitCount };
    } catch {
      return record;
    }
  }

  /**
   * Writes something that has a payload. If that does not fit into an item, writes it without the payload, because a finished
   * effect must be recorded (G7).
   */
  async #withRoom<Kind extends { readonly payload: string | undefined }, Answer>(
    kind: Kind,
    beside: readonly RecordedStep[],
    write: (kept: Kind) => Promise<Answer>,
  ): Promise<Answer> {
    const bytes = payloadBytes([kind, ...beside]);
    if (kind.payload === undefined || bytes <= MAX_TEXT_BYTES) {
      try {
        return await write(kind);
      } catch (error) {
        if (!isInvalid(error) || kind.payload === undefined) throw error;
      }
    }
    const answer = await write({ ...kind, payload: undefined });
    this.#warnOfSize(bytes);
    return answer;
  }

  #warnOfSize(bytes: number): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#warn(
      `a result of ${bytes} bytes is too large for a DynamoDB item and was recorded without its value: duplicates get ` +
        `RESULT_UNAVAILABLE. Return less, or set maxResultBytes: ${MAX_TEXT_BYTES} to be told of each by an event`,
    );
  }

  #now(): Moment {
    return momentAt(Date.now(), this.#marginMs);
  }
}

/** The condition that the record is the attempt's own, in progress and not expired. */
function ownRunning(key: StoreKey, lease: Lease, at: Moment): Required<Condition> {
  return {
    expression: '#token = :token AND #status = :running AND #digest = :digest AND #expiresAtMs > :judged',
    values: {
      ':token': lease.token,
      ':running': 'IN_PROGRESS',
      ':digest': key.digest,
      ':judged': at.judgedMs,
    },
  };
}

function readOr(
  key: StoreKey,
  item: Attributes,
  at: Moment,
  repair: ((key: StoreKey, at: Moment) => Kept) | undefined,
): Kept {
  try {
    return fromItem(key, item);
  } catch (error) {
    if (!repair) throw error;
    return repair(key, at);
  }
}

function payloadBytes(texts: readonly { readonly payload: string | undefined }[]): number {
  return texts.reduce(
    (bytes, { payload }) => bytes + (payload === undefined ? 0 : Buffer.byteLength(payload)),
    0,
  );
}

function checkClient(client: unknown): void {
  if (typeof (client as Partial<DocumentClient> | null | undefined)?.send === 'function') return;
  throw invalid(
    'the first argument of DynamoDBStore has no send(): give DynamoDBDocumentClient.from(new DynamoDBClient())',
  );
}
