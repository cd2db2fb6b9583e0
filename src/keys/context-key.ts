import { UsageError } from '../core/errors.js';
import { canonicalText } from './canonical.js';
import { keyOfText } from './hash.js';

/** What a context key reads: anything with a context that answers `get(name)`. */
export interface ContextSource {
  readonly context: { get(name: string): unknown };
}

/** A name whose value must be there, or one that may be absent. */
export type ContextName = string | { readonly optional: string };

/**
 * A key function over named context values. Names count as well as values: two lists of names never share a
 * key. An absent optional value (undefined or null) differs from every present one.
 *
 * @example key: contextKey('customerId', 'amount', { optional: 'coupon' })
 * @throws UsageError `INVALID_OPTIONS` for a list that is empty, repeats a name or holds no name; the key
 * function throws `INVALID_KEY` when a value is missing, naming it.
 */
export function contextKey(...names: readonly ContextName[]): (task: ContextSource) => string {
  const fields = names.map(toField);
  const distinct = new Set(fields.map(({ name }) => name));
  if (distinct.size === 0 || distinct.size < names.length || [...distinct].some((name) => !isName(name))) {
    const form = "'name', or { optional: 'name' } for one that may be absent";
    throw new UsageError('INVALID_OPTIONS', `contextKey() takes names of context values, each once: ${form}`);
  }
  return (task) => keyOfText(`[${fields.map((field) => fieldText(field, task)).join()}]`);
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
  if (value !== undefined) return `[${label},${canonicalText(value, `context.${name}`)}]`;
  if (optional) return `[${label}]`;
  throw new UsageError(
    'INVALID_KEY',
    `context has no ${label}: set it, correct its name, or mark it { optional: ${label} }`,
  );
}
