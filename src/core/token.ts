const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** 96 random bits: two attempts never share a token. */
const TOKEN_LENGTH = 16;
const POOL_TOKENS = 256;

const bytes = new Uint8Array(TOKEN_LENGTH * POOL_TOKENS);
let pool = '';
let used = 0;

/** A new owner token: 16 characters of `A-Z a-z 0-9 - _`, random, one per attempt. */
export function newToken(): string {
  // One system call and one text for many tokens: this is on the path of every run.
  if (used === pool.length) {
    pool = Array.from(globalThis.crypto.getRandomValues(bytes), (byte) => ALPHABET.charAt(byte & 63)).join(
      '',
    );
    used = 0;
  }
  return pool.slice(used, (used += TOKEN_LENGTH));
}
