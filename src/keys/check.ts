import { UsageError } from '../core/errors.js';

const MAX_KEY_LENGTH = 512;

// A template literal turns a missing value into one of these words, and then all callers share one key. The words count only
// where they stand alone, between any separators: not within a longer word, such as "annulled".
const MISSING_PART = /(?<![\p{L}\p{N}])(?:undefined|null|NaN|Invalid Date)(?![\p{L}\p{N}])|\[object \w+\]/u;

// Control characters and lone surrogates. In a `u` pattern a complete surrogate pair does not match.
const FAULTY = /[\p{Cc}\p{Cs}]/u;

/**
 * Checks a key that work is to run under, and returns it.
 *
 * @throws UsageError `INVALID_KEY` for what {@link checkStoredKey} refuses, and for a key that was made with a missing value:
 * `user:undefined`, `payment-null`, `order_NaN`
 */
export function checkKey(key: unknown): string {
  const checked = checkStoredKey(key);
  const missing = missingPart(checked);
  if (missing === undefined) return checked;
  throw invalid(missing);
}

/**
 * Checks a key whose record is to be read or changed, and returns it. Keys with missing parts are allowed here, because the
 * record may be older than that rule.
 *
 * @throws UsageError `INVALID_KEY` for a value that is not a string, is empty, is longer than 512 characters, or contains
 * control characters or half a surrogate pair
 */
export function checkStoredKey(key: unknown): string {
  const fault = findFault(key, MAX_KEY_LENGTH);
  if (fault === undefined) return key as string;
  throw invalid(fault);
}

const invalid = (fault: string) =>
  new UsageError('INVALID_KEY', `the idempotency key ${fault}; hashKey(...) makes a key of any values`);

/** Why a value can't be a key or a part of an address; undefined if it can. */
export function findFault(value: unknown, max: number): string | undefined {
  if (typeof value !== 'string' || value === '')
    return `must be a non-empty string and is ${describe(value)}`;
  if (value.length > max) return `has ${value.length} characters, more than ${max}`;
  const found = FAULTY.exec(value);
  if (!found) return undefined;
  const unit = found[0].charCodeAt(0);
  const code = `U+${unit.toString(16).toUpperCase().padStart(4, '0')}`;
  return `holds ${unit < 256 ? `the control character ${code}` : `half a surrogate pair (${code})`} at ${found.index}`;
}

function missingPart(key: string): string | undefined {
  const found = MISSING_PART.exec(key);
  return found ? `contains "${found[0]}", a missing value turned into text` : undefined;
}

function describe(value: unknown): string {
  if (typeof value === 'object' && value) return Array.isArray(value) ? 'an array' : 'of type object';
  return typeof value === 'function' ? 'a function' : String(value) || 'empty';
}
