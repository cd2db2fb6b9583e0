import { CLEANUP, FORGET, RESOLVE } from './overrides.sql.js';
import type { Column, Names } from './schema.js';
import {
  allBut,
  change,
  CLOCK,
  compile,
  FOREIGN,
  insert,
  NEXT_FENCE,
  REPLACED,
  type Changes,
  type Statement,
} from './template.js';
import { FORMAT_VERSION } from '../shared/record-fields.js';

/**
 * The statements of the store. Each is one round trip and one atomic step. A write is `INSERT ... ON CONFLICT (key) DO UPDATE`: it
 * waits for the row, and then sees its newest version, independent of the statement's snapshot. A CASE over that row, `how`,
 * decides what is done to it. The clock is read once, before any waiting, so that no lease is judged to have ended too early.
 *
 * `$name` is a value, `RECORDS` the table, `x` the existing row, `c.us` the clock in microseconds.
 */
/** The selected columns. As text, so that the user's type parsers do not change them. */
const SELECTED = [
  ...allBut('key', 'prior', 'undone').map((column) => `r.${column}::text`),
  'c.us::text AS now_us',
].join(', ');

const IS_OWN = `x.token = $token AND x.status = 'IN_PROGRESS'`;
/** The replaced row as the value of `prior`, without its own `prior`. */
const AS_PRIOR = `to_jsonb(x) - 'prior'`;

const CLAIM_HOW = `CASE
    WHEN ${FOREIGN} THEN 'keep'
    WHEN x.expires_us <= c.us THEN 'fresh'
    WHEN x.digest <> $digest THEN 'keep'
    WHEN ${IS_OWN} THEN 'extend'
    WHEN x.token = $token OR x.previous_token = $token THEN CASE WHEN x.settled_us IS NULL THEN 'keep' ELSE 'hit' END
    WHEN x.status = 'TOMBSTONE' THEN 'revive'
    WHEN x.token = $replacing AND (x.status = 'FAILED' AND NOT x.final
      OR x.status = 'IN_PROGRESS' AND x.lease_ends_us <= c.us) THEN 'replace'
    WHEN x.settled_us IS NOT NULL THEN 'hit'
    ELSE 'keep'
  END`;

/** A claim that is refused and writes nothing is answered from the snapshot, without waiting for the row. */
const CLAIM = `WITH ${CLOCK},
seen AS MATERIALIZED (SELECT x.* FROM RECORDS x, clock c WHERE x.key = $key AND ${CLAIM_HOW} = 'keep'),
claimed AS (
  ${insert({
    ...{
      status: `'IN_PROGRESS'`,
      final: 'false',
      token: '$token',
      previous_token: 'NULL',
      previous_end: 'NULL',
    },
    ...{
      fence: 'c.us',
      attempt: '1',
      failures: '0',
      fingerprint: '$fingerprint',
      on_abandoned: '$on_abandoned',
    },
    ...{ traceparent: '$traceparent', holder: '$holder', facts: '$facts' },
    ...{ created_us: 'c.us', started_us: 'c.us', settled_us: 'NULL', lease_ends_us: 'c.us + $lease_us' },
    ...{
      expires_us: 'c.us + $lease_us + $kept_us',
      hit_count: '0',
      payload: 'NULL',
      steps: `'[]'`,
      prior: 'NULL',
    },
  })}
  WHERE NOT EXISTS (SELECT FROM seen)
  ON CONFLICT (key) DO UPDATE SET ${change(CLAIM_HOW, {
    fresh: { ...REPLACED, fence: NEXT_FENCE },
    extend: { lease_ends_us: 'excluded.lease_ends_us', expires_us: 'excluded.expires_us' },
    hit: { hit_count: 'least(x.hit_count, 2147483646) + 1' },
    revive: {
      ...{ ...REPLACED, fence: NEXT_FENCE, failures: 'x.failures', prior: AS_PRIOR },
      previous_token: 'x.previous_token',
      // A claim that was withdrawn earlier has nothing to do with this attempt.
      previous_end: `nullif(x.previous_end, 'withdrawn')`,
    },
    replace: {
      ...{
        ...REPLACED,
        fence: NEXT_FENCE,
        attempt: 'x.attempt + 1',
        failures: 'x.failures',
        prior: AS_PRIOR,
      },
      ...{ previous_token: 'x.token', created_us: 'x.created_us', steps: 'x.steps' },
      previous_end: `CASE x.status WHEN 'FAILED' THEN 'settled' ELSE 'abandoned' END`,
    },
  })}
  RETURNING x.*
)
SELECT ${SELECTED} FROM (SELECT * FROM seen UNION ALL SELECT * FROM claimed) r, clock c`;

/**
 * What an attempt's write does to the row (G3): change its `own` record, `rewrite` the record, nothing (`done` before), or
 * `refuse`.
 */
const writeHow = (
  own: string,
  settled: 'done' | 'refuse',
  passed = `x.previous_end = 'settled'`,
): string => `CASE
    WHEN ${FOREIGN} THEN 'refuse'
    WHEN x.expires_us <= c.us THEN CASE WHEN c.us <= $deadline_us THEN 'rewrite' ELSE 'refuse' END
    WHEN x.digest <> $digest THEN 'refuse'
    WHEN ${IS_OWN} THEN ${own}
    WHEN x.token = $token THEN CASE x.status WHEN 'TOMBSTONE' THEN 'refuse' ELSE '${settled}' END
    WHEN x.previous_token = $token THEN CASE WHEN ${passed} THEN 'done' ELSE 'refuse' END
    WHEN x.status <> 'TOMBSTONE' AND NOT x.final AND x.fence < $fence THEN 'rewrite'
    ELSE 'refuse'
  END`;

/** Writes the attempt's record. If there is none, inserts it from the lease, unless that is too late. */
function write(values: Parameters<typeof insert>[0], how: string, own: Changes): string {
  return `${insert(values)}
  WHERE c.us <= $deadline_us OR EXISTS (SELECT FROM RECORDS x WHERE x.key = $key)
  ON CONFLICT (key) DO UPDATE SET ${change(how, { own, rewrite: REPLACED })}
  WHERE (SELECT ${how} FROM clock c) <> 'refuse'
  RETURNING x.*`;
}

/**
 * The expiry of an inserted row. If it is too late to write, the row is inserted as expired: the existing one was just deleted.
 */
const inTime = (expiry: string): string => `CASE WHEN c.us <= $deadline_us THEN ${expiry} ELSE 0 END`;
const WRITTEN = 'written r, clock c WHERE r.expires_us > c.us';

const LEASE = {
  ...{ status: `'IN_PROGRESS'`, final: 'false', token: '$token', previous_token: '$previous_token' },
  ...{
    previous_end: '$previous_end',
    fence: 'CASE $fence WHEN 0 THEN c.us ELSE $fence END',
    attempt: '$attempt',
  },
  ...{ failures: '$failures', fingerprint: '$fingerprint', on_abandoned: '$on_abandoned' },
  ...{ traceparent: '$traceparent', holder: '$holder', facts: '$facts' },
  ...{ created_us: '$created_us', started_us: '$started_us', settled_us: 'NULL' },
  ...{ lease_ends_us: 'c.us + $lease_us', hit_count: '0' },
  ...{ expires_us: inTime('c.us + $lease_us + $kept_us'), payload: 'NULL', steps: '$steps', prior: 'NULL' },
};

const RENEW = `WITH ${CLOCK},
written AS (
  ${write(LEASE, writeHow(`'own'`, 'refuse', 'false'), {
    lease_ends_us: 'excluded.lease_ends_us',
    expires_us: 'c.us + $lease_us + $kept_us',
  })}
)
SELECT r.lease_ends_us::text AS lease_ends_us FROM ${WRITTEN}`;

const STEP = `WITH ${CLOCK},
written AS (
  ${write(
    LEASE,
    writeHow(
      `CASE WHEN x.steps @> $step_named THEN 'done' ELSE 'own' END`,
      'refuse',
      'x.steps @> $step_named',
    ),
    { steps: 'x.steps || $step' },
  )}
)
SELECT 1 AS done FROM ${WRITTEN}`;

const SETTLE = `WITH ${CLOCK},
written AS (
  ${write(
    {
      ...{ ...LEASE, status: '$status', final: '$final', payload: '$payload' },
      // An attempt that has ended has no holder.
      holder: 'NULL',
      settled_us: `CASE $status WHEN 'IN_PROGRESS' THEN NULL ELSE c.us END`,
      lease_ends_us: `CASE $status WHEN 'IN_PROGRESS' THEN c.us ELSE 0 END`,
      expires_us: inTime('c.us + $kept_us'),
      steps: `CASE WHEN $final THEN '[]' ELSE $steps END`,
    },
    writeHow(`'own'`, 'done'),
    {
      ...{ status: 'excluded.status', final: 'excluded.final', failures: 'excluded.failures' },
      ...{ settled_us: 'excluded.settled_us', lease_ends_us: 'excluded.lease_ends_us', prior: 'NULL' },
      ...{ expires_us: 'c.us + $kept_us', payload: 'excluded.payload' },
      ...{ traceparent: 'excluded.traceparent', holder: 'NULL', facts: 'excluded.facts' },
      steps: `CASE WHEN $final THEN '[]' ELSE x.steps END`,
    },
  )}
)
SELECT 1 AS done WAKE FROM ${WRITTEN}`;

const RELEASE_HOW = `CASE
    WHEN ${FOREIGN} THEN 'keep'
    WHEN x.expires_us <= c.us THEN 'mark'
    WHEN x.digest <> $digest THEN 'keep'
    WHEN ${IS_OWN} THEN CASE WHEN (x.prior->>'expires_us')::bigint > c.us THEN 'restore' ELSE 'bury' END
    WHEN x.token <> $token AND NOT x.final AND x.lease_ends_us <= c.us THEN 'note'
    ELSE 'keep'
  END`;
/**
 * Without the fence: that of the attempt that is undone stays, so that the next fence is higher even if the clock stepped back
 * (G5).
 */
const RESTORED = allBut('key', 'fence', 'prior', 'previous_token', 'previous_end', 'undone');
const fromPrior = (column: Column): string => `(jsonb_populate_record(NULL::RECORDS, x.prior)).${column}`;

/**
 * The column `undone` says whether this release undid a claim, because before PostgreSQL 18 a statement can't return the old row.
 * Only this statement reads it.
 */
const RELEASE = `WITH ${CLOCK},
released AS (
  ${insert({
    ...{
      status: `'TOMBSTONE'`,
      final: 'false',
      token: '$token',
      previous_token: 'NULL',
      previous_end: 'NULL',
    },
    ...{ fence: 'c.us', attempt: '1', failures: '0', fingerprint: 'NULL', on_abandoned: `'retry'` },
    ...{ traceparent: 'NULL', holder: 'NULL', facts: 'NULL' },
    ...{ created_us: 'c.us', started_us: 'c.us', settled_us: 'NULL' },
    ...{ lease_ends_us: '0', expires_us: 'c.us + $kept_us' },
    ...{ hit_count: '0', payload: 'NULL', steps: `'[]'`, prior: 'NULL' },
  })}
  WHERE true
  ON CONFLICT (key) DO UPDATE SET ${change(RELEASE_HOW, {
    mark: { ...REPLACED, fence: NEXT_FENCE },
    bury: { ...REPLACED, fence: NEXT_FENCE, failures: 'x.failures', undone: 'true' },
    restore: {
      ...Object.fromEntries(RESTORED.map((column) => [column, fromPrior(column)])),
      ...{ previous_token: '$token', previous_end: `'withdrawn'`, prior: 'NULL', undone: 'true' },
    },
    note: { previous_token: '$token', previous_end: `'withdrawn'`, undone: 'false' },
  })}
  WHERE (SELECT ${RELEASE_HOW} FROM clock c) <> 'keep'
  RETURNING x.undone
)
SELECT r.undone::text AS undone WAKE FROM released r`;

const READ = `WITH ${CLOCK}
SELECT ${SELECTED} FROM RECORDS r, clock c WHERE r.key = $key AND (r.expires_us > c.us OR r.version <> ${FORMAT_VERSION})`;

const TEXTS = { CLAIM, RENEW, STEP, SETTLE, RELEASE, READ, FORGET, RESOLVE, CLEANUP } as const;
export type StatementName = keyof typeof TEXTS;

/** The statements in two forms: `waking` ones send notifications, `silent` ones do not. */
export interface Statements {
  readonly waking: Readonly<Record<StatementName, Statement>>;
  readonly silent: Readonly<Record<StatementName, Statement>>;
}

export function statementsFor(names: Names): Statements {
  const notify = `, pg_notify('twiceshy_' || LITERAL::regclass::oid::text, $wake)`;
  const all = (wake: string): Record<StatementName, Statement> => {
    const entries = Object.entries(TEXTS).map(([name, text]) => [
      name,
      compile(name, text.replace(' WAKE', wake), names),
    ]);
    return Object.fromEntries(entries) as Record<StatementName, Statement>;
  };
  return { waking: all(notify), silent: all('') };
}
