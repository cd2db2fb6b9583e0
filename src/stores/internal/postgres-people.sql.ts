import { CLOCK, NEXT_FENCE, type Changes } from './postgres-template.js';

/** What people ask for, and the broom. The words are those of postgres.sql.ts. */

/** The attempt that is replaced becomes the previous one, so that its resent commands are still recognised. */
const override = (changes: Changes, isLive: string): string => `WITH ${CLOCK},
found AS (
  SELECT x.key, CASE
    WHEN x.version <> 1 THEN 'done'
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
    ...{ version: '1', digest: '$digest', fence: NEXT_FENCE, lease_ends_us: '0', hit_count: '0' },
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

export const FORGET = override(
  {
    ...{ status: `'TOMBSTONE'`, final: 'false', token: `''`, attempt: '1', fingerprint: 'NULL' },
    ...{ on_abandoned: `'retry'`, created_us: 'c.us', settled_us: 'NULL', payload: 'NULL' },
    expires_us: 'greatest(x.expires_us, c.us + $kept_us)',
  },
  'NOT $force',
);
export const RESOLVE = override(
  {
    ...{ status: '$status', final: '$final', token: '$token', payload: '$payload' },
    ...{ settled_us: 'c.us', expires_us: 'c.us + $kept_us' },
  },
  'true',
);

/** Many may do it at once: each takes rows that no other has. */
export const CLEANUP = `WITH ${CLOCK},
expired AS (
  SELECT x.key FROM RECORDS x, clock c WHERE x.expires_us <= c.us AND x.version = 1
  ORDER BY x.expires_us LIMIT $batch FOR UPDATE OF x SKIP LOCKED
),
deleted AS (
  DELETE FROM RECORDS x USING expired e, clock c WHERE x.key = e.key AND x.expires_us <= c.us RETURNING 1
)
SELECT count(*)::text AS count FROM deleted`;
