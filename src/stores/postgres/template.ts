import { createHash } from 'node:crypto';
import { COLUMNS, type Column, type Names } from './schema.js';
import { FORMAT_VERSION } from '../shared/record-fields.js';

/** The values of the statements. */
const TYPES = {
  key: 'text',
  digest: 'text',
  token: 'text',
  replacing: 'text',
  status: 'text',
  final: 'boolean',
  fence: 'bigint',
  attempt: 'integer',
  failures: 'integer',
  previous_token: 'text',
  previous_end: 'text',
  fingerprint: 'text',
  on_abandoned: 'text',
  created_us: 'bigint',
  started_us: 'bigint',
  traceparent: 'text',
  holder: 'text',
  facts: 'text',
  payload: 'text',
  steps: 'jsonb',
  step: 'jsonb',
  step_named: 'jsonb',
  lease_us: 'bigint',
  kept_us: 'bigint',
  /** Until when the attempt may write over absence. */
  deadline_us: 'bigint',
  force: 'boolean',
  batch: 'integer',
  /** The longest that a row is waited for; NULL leaves it as it is. */
  lock_ms: 'text',
  wake: 'text',
} as const;
export type Value = keyof typeof TYPES;

/** What becomes of columns, as expressions. */
export type Changes = Partial<Record<Column, string>>;

/** The database's clock as it is, since now() stands still in a transaction; and how long a row is waited for. */
export const CLOCK = `clock AS MATERIALIZED (
  SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us, set_config('lock_timeout', coalesce($lock_ms, current_setting('lock_timeout')), true)
)`;
/** A row that this version can't read, such as one of a newer version, is left alone. */
export const FOREIGN = `x.version <> ${FORMAT_VERSION} OR jsonb_typeof(x.steps) <> 'array'`;
/** G5, over the row that stands there, and no further than a JavaScript number goes. */
export const NEXT_FENCE = 'greatest(least(x.fence, 9007199254740990) + 1, c.us)';

/** `(a, b) = (SELECT ...)`: what each way does to the row. A column that it does not name stays as it is. */
export function change(how: string, ways: Record<string, Changes>): string {
  const changed = COLUMNS.filter((column) => Object.values(ways).some((changes) => column in changes));
  const value = (column: Column): string => {
    const cases = Object.entries(ways).flatMap(([way, changes]) =>
      changes[column] === undefined ? [] : [`WHEN '${way}' THEN ${changes[column]}`],
    );
    return `CASE c.how ${cases.join(' ')} ELSE x.${column} END`;
  };
  return `(${changed.join(', ')}) = (
    SELECT ${changed.map(value).join(',\n      ')}
    FROM (SELECT c.us, ${how} AS how FROM clock c OFFSET 0) c
  )`;
}

/** A row to be inserted, up to its FROM. */
export const insert = (
  values: Record<Exclude<Column, 'key' | 'version' | 'digest' | 'undone'>, string>,
): string => {
  const all: Record<Column, string> = {
    ...{ key: '$key', version: String(FORMAT_VERSION), digest: '$digest', undone: 'false' },
    ...values,
  };
  return `INSERT INTO RECORDS AS x (${COLUMNS.join(', ')})
  SELECT ${COLUMNS.map((column) => all[column]).join(', ')} FROM clock c`;
};

export const allBut = (...columns: Column[]): Column[] =>
  COLUMNS.filter((column) => !columns.includes(column));

/** All of the row that was to be inserted. */
export const REPLACED: Changes = Object.fromEntries(
  allBut('key').map((column) => [column, `excluded.${column}`]),
);

/** A statement for one table, and the order of its values. */
export interface Statement {
  /** Another one for another text, since many stores may share a connection. */
  readonly name: string;
  readonly text: string;
  readonly values: readonly Value[];
}

/**
 * Puts the table in, and numbers the values.
 * @param names quoted: they may hold anything
 */
export function compile(title: string, template: string, { table, literal }: Names): Statement {
  const values: Value[] = [];
  const numbered = template.replaceAll(/\$([a-z_]+)/g, (_, name: Value) => {
    if (!values.includes(name)) values.push(name);
    return `$${values.indexOf(name) + 1}::${TYPES[name]}`;
  });
  // Last, at once, and by function: a name may hold anything.
  const text = numbered.replaceAll(/RECORDS|LITERAL/g, (place) => (place === 'RECORDS' ? table : literal));
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { name: `twiceshy_${title.toLowerCase()}_${digest}`, text, values };
}
