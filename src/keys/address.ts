import { UsageError } from '../core/errors.js';
import type { StoreKey } from '../core/record.js';
import { memoize } from '../values/memoize.js';
import { findFault } from './check.js';
import { shortDigest, sha256Hex } from './hash.js';

/** What separates keys from one another: the operation, its scope (tenant) and the prefix. */
export interface NamespaceParts {
  readonly prefix: string;
  readonly scope?: string | undefined;
  readonly name: string;
}

/** A checked namespace. `head` starts its addresses; `digest` distinguishes it from another namespace with the same `head`. */
export interface Namespace extends NamespaceParts {
  readonly head: string;
  readonly digest: string;
}

const cache = new Map<string, Namespace>();
/** Most calls use the namespace of the call before: comparing is cheaper than checking and hashing. */
let latest: Namespace | undefined;

/**
 * `prefix:name:` without a scope, `prefix:scope:name:` with one. Two namespaces can have the same text, because a prefix may
 * contain `:`. So the digest is made of the parts.
 *
 * @throws UsageError `INVALID_OPTIONS` for a part that is empty, too long or holds control characters.
 */
export function composeNamespace({ prefix, scope, name }: NamespaceParts): Namespace {
  if (latest && latest.name === name && latest.scope === scope && latest.prefix === prefix) return latest;
  checkPart('prefix', prefix, 128);
  checkPart('name', name, 128);
  if (scope !== undefined) checkPart('scope', scope, 256);
  // Unambiguous: no part contains NUL, and no scope is empty.
  const id = `${prefix}\0${scope ?? ''}\0${name}`;
  const namespace = memoize(cache, id, () => {
    const middle = scope === undefined ? '' : `${encodeURIComponent(scope)}:`;
    const digest = shortDigest(prefix, scope, name);
    return { prefix, scope, name, head: `${prefix}:${middle}${name}:`, digest };
  });
  latest = namespace;
  return namespace;
}

/** The record that a checked key refers to. In the address the key comes last and unescaped, as in the plain recipe. */
export function storeKey({ prefix, scope, name, head, digest }: Namespace, key: string): StoreKey {
  return { prefix, scope, operation: name, key, address: head + key, digest };
}

/**
 * A key for a downstream API: the first 32 hex digits of the SHA-256 of the identity's parts, the number of definite failures
 * and a name. It does not depend on the layout of records.
 */
export function derivedKey(
  { prefix, scope, operation, key }: StoreKey,
  failures: number,
  name: string,
): string {
  const parts = [prefix, scope ?? null, operation, key, failures, name];
  return sha256Hex(JSON.stringify(parts)).slice(0, 32);
}

function checkPart(what: string, part: string, max: number): void {
  const colon =
    what === 'name' && typeof part === 'string' && part.includes(':') ? 'contains ":"' : undefined;
  const fault = findFault(part, max) ?? colon;
  if (fault !== undefined) throw new UsageError('INVALID_OPTIONS', `${what} ${fault}`);
}
