import { ABANDONED_RULES } from '../../core/record.js';
import type { Column } from './schema.js';
import { CLOCK, NEXT_FENCE, type Changes } from './template.js';
import { FORMAT_VERSION } from '../shared/record-fields.js';

/** The statements for `override` (FORGET and RESOLVE) and for the cleanup. The placeholders are those of statements.sql.ts. */

/**
 * A write on a user's request. The attempt becomes the previous one, so that commands that it resends are still recognised.
 */
const override = (changes: Changes, isLive: string): string => `WITH ${CLOCK},
found AS (
  SELECT x.key, CASE
    WHEN x.version <> ${FORMAT_VERSION} THEN 'done'
    WHEN x.expires_us <= c.us THEN 'absent'
    WHEN x.digest <> $digest THEN 'foreign'
    WHEN x.status = 'TOMBSTONE' THEN 'absent'
    WHEN x.status = 'IN_PROGRESS' AND x.lease_ends_us > c.us AND ${isLive} THEN 'live'
    ELSE 'done'
  END AS verdict
  FROM RECORDS x, clock c WHERE x.key = $key FOR UPDATE OF x
),
changed AS (
  UPDATE RECORDS x SET ${Object.entries({
    ...{ version: String(FORMAT_VERSION), digest: '$digest', fence: NEXT_FENCE },
    ...{ lease_ends_us: '0', hit_count: '0', holder: 'NULL' },
    ...{ steps: `'[]'`, prior: 'NULL', previous_token: 'x.token' },
    previous_end: `CASE x.status WHEN 'IN_PROGRESS' THEN 'abandoned' ELSE 'settled' END`,
    ...changes,
  })
    .map(([column, value]) => `${column} = ${value}`)
    .join(', ')}
  FROM found f, clock c WHERE x.key = f.key AND f.verdict = 'done'
  RETURNING x.key
)
SELECT f.verdict WAKE FROM found f`;

const LARGEST = String(Number.MAX_SAFE_INTEGER);
/** Whether the columns that an override may keep can be read. */
const READABLE = [
  `x.version = ${FORMAT_VERSION}`,
  `x.on_abandoned IN (${ABANDONED_RULES.map((rule) => `'${rule}'`).join(', ')})`,
  ...['attempt', 'failures', 'created_us', 'started_us'].map(
    (column) => `x.${column} BETWEEN 0 AND ${LARGEST}`,
  ),
].join(' AND ');
/** The existing value of a column, or another one if the row can't be read. */
const readable = (column: Column, otherwise: string): string =>
  `CASE WHEN ${READABLE} THEN x.${column} ELSE ${otherwise} END`;

export const FORGET = override(
  {
    ...{ status: `'TOMBSTONE'`, final: 'false', token: `''`, attempt: '1' },
    ...{ failures: readable('failures', '0'), fingerprint: 'NULL' },
    ...{ on_abandoned: `'retry'`, created_us: 'c.us', started_us: 'c.us' },
    ...{ settled_us: 'NULL', payload: 'NULL', traceparent: 'NULL', facts: 'NULL' },
    expires_us: 'greatest(x.expires_us, c.us + $kept_us)',
  },
  'NOT $force',
);
export const RESOLVE = override(
  {
    ...{ status: '$status', final: '$final', token: '$token', payload: '$payload' },
    ...{ settled_us: 'c.us', expires_us: 'c.us + $kept_us' },
    ...{ attempt: readable('attempt', '1'), failures: readable('failures', '0') },
    ...{ created_us: readable('created_us', 'c.us'), started_us: readable('started_us', 'c.us') },
    ...{ fingerprint: readable('fingerprint', 'NULL'), on_abandoned: readable('on_abandoned', `'retry'`) },
    ...{ traceparent: readable('traceparent', 'NULL'), facts: readable('facts', 'NULL') },
  },
  'true',
);

/** Several instances may clean up at once: each skips the rows that another one has locked. */
export const CLEANUP = `WITH ${CLOCK},
expired AS (
  SELECT x.key FROM RECORDS x, clock c WHERE x.expires_us <= c.us AND x.version = ${FORMAT_VERSION}
  ORDER BY x.expires_us LIMIT $batch FOR UPDATE OF x SKIP LOCKED
),
deleted AS (
  DELETE FROM RECORDS x USING expired e, clock c WHERE x.key = e.key AND x.expires_us <= c.us RETURNING 1
)
SELECT count(*)::text AS count FROM deleted`;
