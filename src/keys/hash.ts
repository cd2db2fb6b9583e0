import crypto, { createHmac } from 'node:crypto';
import { UsageError } from '../core/errors.js';
import { canonicalText } from './canonical.js';

/**
 * A key from any values: the first 32 hex digits of the SHA-256 of their canonical form. Values of distinct
 * types never give the same key; objects with the same members in another order do.
 *
 * @example hashKey('charge', order.id, order.total)
 * @throws UsageError `INVALID_KEY` when called without values, or with one that has no canonical form.
 */
export function hashKey(...values: unknown[]): string {
  if (values.length === 0)
    throw new UsageError('INVALID_KEY', 'hashKey() needs values that identify the operation');
  return keyOfText(canonicalText(values, 'values'));
}

/** The key that stands for a canonical text. */
export function keyOfText(text: string): string {
  return sha256Hex(text).slice(0, 32);
}

/**
 * 22 characters (132 bits) that tell one payload from another, for recognising a key that is used again for another one. Less
 * than 128 bits would let somebody who chooses both payloads find two with one fingerprint.
 *
 * @throws UsageError `INVALID_OPTIONS`, naming the path, when a part of it has no canonical form; `PAYLOAD_TOO_LARGE`
 * when it is over a budget, which a client can bring about alone.
 */
export function fingerprintOf(payload: unknown): string {
  const text = canonicalText(payload, 'payload', 'INVALID_OPTIONS', 'PAYLOAD_TOO_LARGE');
  return sha256(text, 'base64url').slice(0, 22);
}

/** Six characters over a list of strings; the place of a missing one counts. */
export function digestOf(...parts: (string | undefined)[]): string {
  return sha256(canonicalText(parts, 'parts'), 'base64url').slice(0, 6);
}

/** SHA-256 of the UTF-8 form of a text, as 64 hex digits. */
export function sha256Hex(text: string): string {
  return sha256(text, 'hex');
}

/**
 * A scope as it is stored: itself, or under a pepper 32 hex digits by which nobody can test a guess without it. What is no
 * scope stays as it is, to be refused where scopes are checked.
 */
export function storedScope(pepper: string | undefined, scope: string | undefined): string | undefined {
  if (pepper === undefined || typeof scope !== 'string' || scope === '') return scope;
  return createHmac('sha256', pepper).update(scope).digest('hex').slice(0, 32);
}

// In one call where Node has it (20.12 and later): half the price of a Hash object.
const { hash } = crypto as { hash?: typeof crypto.hash };

function sha256(text: string, encoding: 'hex' | 'base64url'): string {
  if (hash) return hash('sha256', text, encoding);
  return crypto.createHash('sha256').update(text).digest(encoding);
}
