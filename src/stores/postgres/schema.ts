import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { invalid } from '../../core/check.js';
import { RECORD_FIELDS, type RecordField } from '../shared/record-fields.js';

/** The table of the records. */
export interface PostgresTable {
  /** The name without quotes. `"` and upper case are allowed. @default 'idempotency_records' */
  table?: string;
  /** The schema's name without quotes. @default none: the connection's search_path is used */
  schema?: string;
}

/** The quoted names for a table. */
export interface Names {
  readonly table: string;
  readonly schema: string | undefined;
  readonly index: string;
  /** The name as an SQL literal, for `::regclass`. */
  readonly literal: string;
}

type Fields = typeof RECORD_FIELDS;
type FieldColumn = {
  [Name in keyof Fields]: Fields[Name] extends { column: infer Of extends string } ? Of : never;
}[keyof Fields];
/**
 * The fields of a record that have a column, and two columns that only Postgres has: the key, and whether a release undid a
 * claim.
 */
export type Column = 'key' | FieldColumn | 'undone';

const columnEntry = ({ column, sql }: RecordField): [string, string][] =>
  column === undefined || sql === undefined ? [] : [[column, sql]];

/** The type of each column, in the order of the table. */
const COLUMN_TYPES = Object.fromEntries([
  ['key', 'text COLLATE "C" PRIMARY KEY'],
  ...Object.values(RECORD_FIELDS).flatMap(columnEntry),
  ['undone', 'boolean NOT NULL DEFAULT false'],
]) as Readonly<Record<Column, string>>;
export const COLUMNS = Object.keys(COLUMN_TYPES) as Column[];

const DEFAULT_TABLE = 'idempotency_records';
/** PostgreSQL truncates names to this length. */
const NAME_BYTES = 63;
/** The id of the lock for creating tables: concurrent DDL with IF NOT EXISTS is not safe. */
const LOCK = '7308327753';

/** @throws UsageError INVALID_OPTIONS */
export function quotedNames({ table = DEFAULT_TABLE, schema }: PostgresTable): Names {
  checkName('table', table);
  if (schema !== undefined) checkName('schema', schema);
  const qualified = schema === undefined ? quote(table) : `${quote(schema)}.${quote(table)}`;
  const index = `${table}_expires`;
  return {
    table: qualified,
    schema: schema === undefined ? undefined : quote(schema),
    index: quote(Buffer.byteLength(index) <= NAME_BYTES ? index : `expires_${digest(table)}`),
    literal: `'${qualified.replaceAll("'", "''")}'`,
  };
}

/**
 * The SQL that creates the table, for your own migration tool. `createSchema()` runs the same. It may be run repeatedly.
 *
 * Times are whole microseconds since 1970 by the database's clock, so that leases and fencing tokens use one clock with one
 * precision, independent of time zones. `to_timestamp(expires_us / 1e6)` shows a time.
 *
 * @throws UsageError INVALID_OPTIONS
 */
export function sqlFor(where: PostgresTable = {}): string {
  const { table, schema, index } = quotedNames(where);
  return `${schema === undefined ? '' : `CREATE SCHEMA IF NOT EXISTS ${schema};\n`}CREATE TABLE IF NOT EXISTS ${table} (
  ${COLUMNS.map((column) => `${column} ${COLUMN_TYPES[column]}`).join(',\n  ')}
);
CREATE INDEX IF NOT EXISTS ${index} ON ${table} (expires_us);
`;
}

/** The migration with a lock, so that only one runs at a time. Sent as one text, it is one transaction. */
export const lockedMigration = (where: PostgresTable): string =>
  `SELECT pg_advisory_xact_lock(${LOCK});\n${sqlFor(where)}`;

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

function checkName(what: 'table' | 'schema', name: unknown): void {
  const fault = nameFault(name);
  if (fault === undefined) return;
  throw invalid(`${what} ${fault}`);
}

function nameFault(name: unknown): string | undefined {
  if (typeof name !== 'string' || name === '') return 'must be a non-empty string';
  if (Buffer.byteLength(name) > NAME_BYTES)
    return `${JSON.stringify(name)} is longer than ${NAME_BYTES} bytes: PostgreSQL would truncate it`;
  if (name.includes('\0')) return 'contains a NUL character';
  if (name.includes('.'))
    return `${JSON.stringify(name)} contains a dot: give { schema, table }, both without quotes`;
  return undefined;
}
