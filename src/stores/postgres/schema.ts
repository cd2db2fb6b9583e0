import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { invalid } from '../../core/check.js';
import { RECORD_FIELDS, type RecordField } from '../shared/record-fields.js';

/** Where the records are. */
export interface PostgresTable {
  /** The name as it is, not quoted; `"` and upper case are allowed. @default 'idempotency_records' */
  table?: string;
  /** The schema's name as it is. @default none: the connection's search_path finds the table */
  schema?: string;
}

/** The names of a table, quoted. */
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
/** The fields of a record that have a column, and two columns that only Postgres has: the key, and what a release undid. */
export type Column = 'key' | FieldColumn | 'undone';

const ofField = ({ column, sql }: RecordField): [string, string][] =>
  column === undefined || sql === undefined ? [] : [[column, sql]];

/** The type of each column, in the order of the table. */
const COLUMN_TYPES = Object.fromEntries([
  ['key', 'text COLLATE "C" PRIMARY KEY'],
  ...Object.values(RECORD_FIELDS).flatMap(ofField),
  ['undone', 'boolean NOT NULL DEFAULT false'],
]) as Readonly<Record<Column, string>>;
export const COLUMNS = Object.keys(COLUMN_TYPES) as Column[];

const DEFAULT_TABLE = 'idempotency_records';
/** What PostgreSQL cuts longer names to. */
const NAME_BYTES = 63;
/** One lock for all who create a table of ours: DDL with IF NOT EXISTS is not safe at the same time. */
const LOCK = '7308327753';

/** @throws UsageError INVALID_OPTIONS */
export function namesOf({ table = DEFAULT_TABLE, schema }: PostgresTable): Names {
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
 * The migration, for your own tool to run; `createSchema()` runs the same. It may be run again.
 *
 * Times are whole microseconds since 1970 on the database's clock, so that a lease and a fence are read from one clock at one
 * precision, whatever the session's time zone: `to_timestamp(expires_us / 1e6)` shows one.
 *
 * @throws UsageError INVALID_OPTIONS
 */
export function sqlFor(where: PostgresTable = {}): string {
  const { table, schema, index } = namesOf(where);
  return `${schema === undefined ? '' : `CREATE SCHEMA IF NOT EXISTS ${schema};\n`}CREATE TABLE IF NOT EXISTS ${table} (
  ${COLUMNS.map((column) => `${column} ${COLUMN_TYPES[column]}`).join(',\n  ')}
);
CREATE INDEX IF NOT EXISTS ${index} ON ${table} (expires_us);
`;
}

/** The migration as one transaction of its own, one at a time. */
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
    return `${JSON.stringify(name)} is longer than ${NAME_BYTES} bytes: PostgreSQL would cut it`;
  if (name.includes('\0')) return 'holds a NUL character';
  if (name.includes('.'))
    return `${JSON.stringify(name)} holds a dot: give { schema, table }, both as they are, not quoted`;
  return undefined;
}
