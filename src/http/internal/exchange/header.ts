import { checkKey } from '../../../keys/index.js';

export type ParsedKey = { readonly key: string } | { readonly fault: string };

const CHARACTERS = String.raw`(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*`;
const NUMBER = String.raw`-?(?:\d{1,12}\.\d{1,3}|\d{1,15})`;
const TOKEN = String.raw`[A-Za-z*][!#$%&'*+\-.^_\x60|~:/A-Za-z0-9]*`;
const VALUE = String.raw`(?:${NUMBER}|"${CHARACTERS}"|${TOKEN}|:[A-Za-z0-9+/=]*:|\?[01])`;
const PARAMETER = String.raw`; *[a-z*][a-z0-9_\-.*]*(?:=${VALUE})?`;
/** An RFC 8941 Item that is a String. Its parameters are ignored, but must be well-formed. */
const STRING_ITEM = new RegExp(`^ *"(${CHARACTERS})"(?:${PARAMETER})* *$`);
/** A key without quotes. A comma is not allowed: it means that two headers were sent, which Node joins. */
const BARE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+$/;

/**
 * Reads the key from an `Idempotency-Key` header: a Structured Field string (RFC 8941), or the same text without quotes. Both
 * forms are the same key.
 */
export function parseKeyHeader(value: string, allowBare: boolean, maxLength = Infinity): ParsedKey {
  const quoted = STRING_ITEM.exec(value)?.[1];
  if (quoted !== undefined) return checkedKey(quoted.replaceAll(/\\(["\\])/g, '$1'), maxLength);
  if (allowBare && BARE.test(value)) return checkedKey(value, maxLength);
  const form = allowBare
    ? 'a string in double quotes (RFC 8941), or one without spaces'
    : 'a string in double quotes (RFC 8941)';
  return { fault: `it is not ${form}` };
}

/** The key, or the fault to report to the client. */
export function checkedKey(text: string, maxLength = Infinity): ParsedKey {
  if (text.length > maxLength) return { fault: `it is longer than ${maxLength} characters` };
  try {
    return { key: checkKey(text) };
  } catch (error) {
    // Without the advice for programmers, which follows the semicolon: this text is for the client.
    return { fault: (error as Error).message.split(';')[0] ?? '' };
  }
}
