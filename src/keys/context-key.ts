import { UsageError } from '../core/errors.js';
import { canonicalize } from './canonical.js';
import { keyFromText } from './hash.js';

/** What a context key reads from: anything whose `context` has `get(name)`. */
export interface ContextSource {
  readonly context: { get(name: string): unknown };
}

/** The name of a required value, or of one that may be absent. */
export type ContextName = string | { readonly optional: string };

/**
 * Makes a key function from named values of a task's context. The names are part of the key, so two lists of names never share
 * a key. An absent optional value (undefined or null) gives another key than any value that is present.
 *
 * @example key: contextKey('customerId', 'amount', { optional: 'coupon' })
 * @throws UsageError `INVALID_OPTIONS` for an empty list, a repeated name, or something that is not a name. The key function
 * throws `INVALID_KEY` when a required value is missing, and names it
 */
export function contextKey(...names: readonly ContextName[]): (task: ContextSource) => string {
  const fields = names.map(toField);
  const distinct = new Set(fields.map(({ name }) => name));
  if (distinct.size === 0 || distinct.size < names.length || [...distinct].some((name) => !isName(name))) {
    const form = "'name', or { optional: 'name' } for one that may be absent";
    throw new UsageError('INVALID_OPTIONS', `contextKey() takes names of context values, each once: ${form}`);
  }
  return (task) => keyFromText(`[${fields.map((field) => fieldText(field, task)).join()}]`);
}

interface Field {
  readonly name: string;
  readonly optional: boolean;
}

function toField(given: ContextName): Field {
  return typeof given === 'string'
    ? { name: given, optional: false }
    : { name: given?.optional, optional: true };
}

function isName(name: unknown): boolean {
  return typeof name === 'string' && name !== '';
}

function fieldText({ name, optional }: Field, task: ContextSource): string {
  const label = JSON.stringify(name);
  const value = task.context.get(name) ?? undefined;
  if (value !== undefined) return `[${label},${canonicalize(value, `context.${name}`)}]`;
  if (optional) return `[${label}]`;
  throw new UsageError(
    'INVALID_KEY',
    `context has no ${label}: set it, correct its name, or mark it { optional: ${label} }`,
  );
}
