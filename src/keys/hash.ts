import crypto, { createHmac } from 'node:crypto';
import { UsageError } from '../core/errors.js';
import { canonicalize } from './canonical.js';

/**
 * Makes a key from any values: the first 32 hex digits of the SHA-256 of their canonical form. Values of different types never
 * give the same key; objects with the same members in another order do.
 *
 * @example hashKey('charge', order.id, order.total)
 * @throws UsageError `INVALID_KEY` without values, or for a value that has no canonical form
 */
export function hashKey(...values: unknown[]): string {
  if (values.length === 0)
    throw new UsageError('INVALID_KEY', 'hashKey() needs values that identify the operation');
  return keyFromText(canonicalize(values, 'values'));
}

export function keyFromText(text: string): string {
  return sha256Hex(text).slice(0, 32);
}

/**
 * The fingerprint of a payload: 22 characters (132 bits), to recognise a key that is used again with another payload. With
 * fewer than 128 bits, somebody who chooses both payloads could find two with the same fingerprint.
 *
 * @throws UsageError `INVALID_OPTIONS`, with the path, if a part has no canonical form; `PAYLOAD_TOO_LARGE` over a limit. That
 * code is separate because a client can cause it alone
 */
export function fingerprintPayload(payload: unknown): string {
  const text = canonicalize(payload, 'payload', 'INVALID_OPTIONS', 'PAYLOAD_TOO_LARGE');
  return sha256(text, 'base64url').slice(0, 22);
}

/** Six characters of a hash over a list of strings. A missing string counts as a part of its own. */
export function shortDigest(...parts: (string | undefined)[]): string {
  return sha256(canonicalize(parts, 'parts'), 'base64url').slice(0, 6);
}

/** The SHA-256 of a text in UTF-8, as 64 hex digits. */
export function sha256Hex(text: string): string {
  return sha256(text, 'hex');
}

/**
 * A scope as it is stored: unchanged, or with a pepper 32 hex digits of its HMAC, so that nobody can test guesses without the
 * pepper. A value that is not a scope is returned as it is; the check of scopes refuses it later.
 */
export function storedScope(pepper: string | undefined, scope: string | undefined): string | undefined {
  if (pepper === undefined || typeof scope !== 'string' || scope === '') return scope;
  return createHmac('sha256', pepper).update(scope).digest('hex').slice(0, 32);
}

// `crypto.hash` exists in Node 20.12 and later, and takes half the time of a Hash object.
const { hash } = crypto as { hash?: typeof crypto.hash };

function sha256(text: string, encoding: 'hex' | 'base64url'): string {
  if (hash) return hash('sha256', text, encoding);
  return crypto.createHash('sha256').update(text).digest(encoding);
}
