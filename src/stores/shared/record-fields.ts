/**
 * Format 2 of a record: every field once, with its position in each layout. The reader and the writer of Redis, the Lua scripts
 * and the columns of Postgres are made from this table. DynamoDB and KeyValueStore keep the fields of `Kept` by name.
 *
 * - `redis`: the number of ASCII characters of the field in the header of a Redis record. Fields of fixed width come first, in
 *   this order.
 * - `tag`: marks an optional field of Redis. Optional fields come after the fixed ones, and only if they have a value: the tag,
 *   then the characters. If a field has no width, three digits after its tag give its length.
 * - `column`, `sql`: the column in Postgres and its type.
 */
export const FORMAT_VERSION = 2;

/** Whether this version of the library can't read records of that format. */
export const isNewer = (version: number): boolean => version > FORMAT_VERSION;

const STATUS_CHECK = `CHECK (status IN ('IN_PROGRESS', 'COMPLETED', 'FAILED', 'TOMBSTONE'))`;
const END_CHECK = `CHECK (previous_end IN ('settled', 'abandoned', 'withdrawn'))`;

export interface RecordField {
  readonly redis?: number;
  readonly tag?: string;
  readonly column?: string;
  readonly sql?: string;
}

export const RECORD_FIELDS = {
  /** The digit of the format. */
  version: { redis: 1, column: 'version', sql: `smallint NOT NULL DEFAULT ${FORMAT_VERSION}` },
  /** `P` in progress, `C` completed, `F` failed and final, `R` failed and retryable, `T` tombstone. */
  status: { redis: 1, column: 'status', sql: `text NOT NULL ${STATUS_CHECK}` },
  /** Redis has this in the letter of the status. */
  final: { column: 'final', sql: 'boolean NOT NULL' },
  /** onAbandoned: `r` retry, `c` reconcile, `b` block. */
  rule: { redis: 1, column: 'on_abandoned', sql: 'text NOT NULL' },
  /** What follows the header: `v` a payload, `n` nothing, `p` the prior record. Upper case if steps come before it. */
  body: { redis: 1 },
  /** How the previous attempt ended: `-` there is none, `s` settled, `a` abandoned, `w` withdrawn. */
  ended: { redis: 1, column: 'previous_end', sql: `text ${END_CHECK}` },
  digest: { redis: 6, column: 'digest', sql: 'text NOT NULL' },
  /** Decimal. */
  fence: { redis: 16, column: 'fence', sql: 'bigint NOT NULL' },
  /** Decimal, at most 9999. */
  attempt: { redis: 4, column: 'attempt', sql: 'integer NOT NULL' },
  /** Base 36, at most the largest that fits. */
  failures: { redis: 3, column: 'failures', sql: 'integer NOT NULL' },
  token: { redis: 16, column: 'token', sql: 'text NOT NULL' },
  /** In Redis one field for two times: the end of the lease while in progress (`P`), else when the record was settled. */
  time: { redis: 13 },
  leaseEnds: { column: 'lease_ends_us', sql: 'bigint NOT NULL' },
  settled: { column: 'settled_us', sql: 'bigint' },
  /** Base 36: how long the record stays after `time`, in ms, so that its expiry is known without asking Redis. */
  retention: { redis: 7 },
  expires: { column: 'expires_us', sql: 'bigint NOT NULL' },
  /** Decimal, at most 999999. */
  hits: { redis: 6, column: 'hit_count', sql: 'integer NOT NULL DEFAULT 0' },
  /** The number of characters of all optional fields. */
  extra: { redis: 4 },
  /** The first optional field, without a tag: present if `ended` is not `-`. */
  previous: { redis: 16, tag: '', column: 'previous_token', sql: 'text' },
  fingerprint: { redis: 22, tag: 'F', column: 'fingerprint', sql: 'text' },
  /**
   * When this attempt was claimed, in ms. Absent if it equals the fence divided by 1000, which it does unless the clock stepped
   * back.
   */
  started: { redis: 13, tag: 'S', column: 'started_us', sql: 'bigint NOT NULL' },
  /** When the first attempt was claimed. Absent if it equals `started`. */
  created: { redis: 13, tag: 'C', column: 'created_us', sql: 'bigint NOT NULL' },
  traceparent: { tag: 'T', column: 'traceparent', sql: 'text' },
  holder: { tag: 'H', column: 'holder', sql: 'text' },
  facts: { tag: 'X', column: 'facts', sql: 'text' },
  payload: { column: 'payload', sql: 'text' },
  steps: { column: 'steps', sql: `jsonb NOT NULL DEFAULT '[]'` },
  prior: { column: 'prior', sql: 'jsonb' },
} as const satisfies Record<string, RecordField>;
