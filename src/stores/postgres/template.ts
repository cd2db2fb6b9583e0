import { createHash } from 'node:crypto';
import { COLUMNS, type Column, type Names } from './schema.js';
import { FORMAT_VERSION } from '../shared/record-fields.js';

/** The values of the statements, with their types. */
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
  /** Until when the attempt may write where there is no record. */
  deadline_us: 'bigint',
  force: 'boolean',
  batch: 'integer',
  /** The longest wait for a row lock; NULL keeps the session's setting. */
  lock_ms: 'text',
  wake: 'text',
} as const;
export type Value = keyof typeof TYPES;

/** New values of columns, as expressions. */
export type Changes = Partial<Record<Column, string>>;

/** Reads the database's clock (now() does not advance in a transaction), and sets the longest wait for a row lock. */
export const CLOCK = `clock AS MATERIALIZED (
  SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us, set_config('lock_timeout', coalesce($lock_ms, current_setting('lock_timeout')), true)
)`;
/** Whether this version can't read the row, for example because it is of a newer format. Such rows are not changed. */
export const FOREIGN = `x.version <> ${FORMAT_VERSION} OR jsonb_typeof(x.steps) <> 'array'`;
/** The next fencing token (G5): above that of the existing row, and not larger than a JavaScript number can hold. */
export const NEXT_FENCE = 'greatest(least(x.fence, 9007199254740990) + 1, c.us)';

/**
 * `(a, b) = (SELECT ...)`: changes the row by one of several ways, which `how` selects. Columns that a way does not name are
 * kept.
 */
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

/** The INSERT of a row, up to and including its FROM. */
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

/** Replaces the whole row by the one that the statement wanted to insert. */
export const REPLACED: Changes = Object.fromEntries(
  allBut('key').map((column) => [column, `excluded.${column}`]),
);

/** A statement for one table, with the order of its values. */
export interface Statement {
  /** Contains a hash of the text, because several stores may share a connection. */
  readonly name: string;
  readonly text: string;
  readonly values: readonly Value[];
}

/**
 * Inserts the table's name, and numbers the values.
 * @param names quoted names, which may contain any characters
 */
export function compile(title: string, template: string, { table, literal }: Names): Statement {
  const values: Value[] = [];
  const numbered = template.replaceAll(/\$([a-z_]+)/g, (_, name: Value) => {
    if (!values.includes(name)) values.push(name);
    return `$${values.indexOf(name) + 1}::${TYPES[name]}`;
  });
  // In one last step and with a function, because a name may contain any characters, also `$` and RECORDS.
  const text = numbered.replaceAll(/RECORDS|LITERAL/g, (place) => (place === 'RECORDS' ? table : literal));
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { name: `twiceshy_${title.toLowerCase()}_${digest}`, text, values };
}
