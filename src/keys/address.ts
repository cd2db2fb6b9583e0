import { UsageError } from '../core/errors.js';
import type { StoreKey } from '../core/record.js';
import { remember } from '../values/remember.js';
import { faultOf } from './check.js';
import { digestOf, sha256Hex } from './hash.js';

/** Whose keys these are: one operation, of one tenant, under one prefix. */
export interface NamespaceParts {
  readonly prefix: string;
  readonly scope?: string | undefined;
  readonly name: string;
}

/** A namespace ready for use: what its addresses start with, and what tells it from one that reads the same. */
export interface Namespace extends NamespaceParts {
  readonly head: string;
  readonly digest: string;
}

const cache = new Map<string, Namespace>();
/** Most calls are for the same namespace as the one before: a few comparisons instead of three checks and a hash. */
let latest: Namespace | undefined;

/**
 * `prefix:name:` without a scope, `prefix:scope:name:` with one. The digest covers the parts themselves, since
 * two namespaces can read the same: a prefix may contain `:`.
 *
 * @throws UsageError `INVALID_OPTIONS` for a part that is empty, too long or holds control characters.
 */
export function composeNamespace({ prefix, scope, name }: NamespaceParts): Namespace {
  if (latest && latest.name === name && latest.scope === scope && latest.prefix === prefix) return latest;
  checkPart('prefix', prefix, 128);
  checkPart('name', name, 128);
  if (scope !== undefined) checkPart('scope', scope, 256);
  // No part holds a NUL, and no scope is empty.
  const id = `${prefix}\0${scope ?? ''}\0${name}`;
  const namespace = remember(cache, id, () => {
    const middle = scope === undefined ? '' : `${encodeURIComponent(scope)}:`;
    const digest = digestOf(prefix, scope, name);
    return { prefix, scope, name, head: `${prefix}:${middle}${name}:`, digest };
  });
  latest = namespace;
  return namespace;
}

/** Which record a (checked) key means. In the address the key comes last and unescaped, as in the plain recipe. */
export function storeKey({ prefix, scope, name, head, digest }: Namespace, key: string): StoreKey {
  return { prefix, scope, operation: name, key, address: head + key, digest };
}

/**
 * A key for a downstream API: the first 32 hex digits of the SHA-256 of the identity's parts, the number of definite failures,
 * and a name. It does not depend on how a record is laid out.
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
  const fault = faultOf(part, max) ?? colon;
  if (fault !== undefined) throw new UsageError('INVALID_OPTIONS', `${what} ${fault}`);
}
