/**
 * Format 2 of a record: every field once, with its place in each layout. The reader and the writer of Redis, the Lua scripts and the
 * columns of Postgres come from this table. DynamoDB and KeyValueStore keep the fields of `Kept` by name.
 *
 * - `redis`: how many ASCII characters the field takes in the header of a Redis record. Fields of fixed width come first, in this
 *   order.
 * - `tag`: an optional field of Redis. It stands behind the fixed ones, only where it says something: the tag, then its
 *   characters. One without a width is as long as three digits behind its tag say.
 * - `column`, `sql`: the column of Postgres and its type.
 */
export const FORMAT_VERSION = 2;

/** Which format `get()` and errors call newer than ours. */
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
  /** Postgres keeps apart what Redis says with the letter of the status. */
  final: { column: 'final', sql: 'boolean NOT NULL' },
  /** onAbandoned: `r` retry, `c` reconcile, `b` block. */
  rule: { redis: 1, column: 'on_abandoned', sql: 'text NOT NULL' },
  /** What follows the header: `v` a payload, `n` nothing, `p` the prior record; upper case where steps stand before it. */
  body: { redis: 1 },
  /** How the previous attempt ended: `-` there is none, `s` settled, `a` abandoned, `w` withdrawn. */
  ended: { redis: 1, column: 'previous_end', sql: `text ${END_CHECK}` },
  digest: { redis: 6, column: 'digest', sql: 'text NOT NULL' },
  /** Decimal. */
  fence: { redis: 16, column: 'fence', sql: 'bigint NOT NULL' },
  /** Decimal; stays at 9999. */
  attempt: { redis: 4, column: 'attempt', sql: 'integer NOT NULL' },
  /** Base 36; stays at the largest. */
  failures: { redis: 3, column: 'failures', sql: 'integer NOT NULL' },
  token: { redis: 16, column: 'token', sql: 'text NOT NULL' },
  /** In Redis one moment: the end of the lease while `P`, else when it was settled. */
  time: { redis: 13 },
  leaseEnds: { column: 'lease_ends_us', sql: 'bigint NOT NULL' },
  settled: { column: 'settled_us', sql: 'bigint' },
  /** Base 36: how long the record stays after `time`, in ms, so that its expiry is known without asking. */
  retention: { redis: 7 },
  expires: { column: 'expires_us', sql: 'bigint NOT NULL' },
  /** Decimal; stays at 999999. */
  hits: { redis: 6, column: 'hit_count', sql: 'integer NOT NULL DEFAULT 0' },
  /** How many characters the optional fields take. */
  extra: { redis: 4 },
  /** First among the optional ones, without a tag: it is there where `ended` is no dash. */
  previous: { redis: 16, tag: '', column: 'previous_token', sql: 'text' },
  fingerprint: { redis: 22, tag: 'F', column: 'fingerprint', sql: 'text' },
  /** When this attempt was claimed, in ms; absent where it is the fence divided by 1000, as it is unless the clock stepped back. */
  started: { redis: 13, tag: 'S', column: 'started_us', sql: 'bigint NOT NULL' },
  /** When the first attempt was claimed; absent where it is when this one was. */
  created: { redis: 13, tag: 'C', column: 'created_us', sql: 'bigint NOT NULL' },
  traceparent: { tag: 'T', column: 'traceparent', sql: 'text' },
  holder: { tag: 'H', column: 'holder', sql: 'text' },
  facts: { tag: 'X', column: 'facts', sql: 'text' },
  payload: { column: 'payload', sql: 'text' },
  steps: { column: 'steps', sql: `jsonb NOT NULL DEFAULT '[]'` },
  prior: { column: 'prior', sql: 'jsonb' },
} as const satisfies Record<string, RecordField>;
