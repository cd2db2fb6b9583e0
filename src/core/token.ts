/** 96 random bits: two attempts never share a token. */
const TOKEN_LENGTH = 16;
const TOKEN_BYTES = 12;
const POOL_TOKENS = 256;

const bytes = new Uint8Array(TOKEN_BYTES * POOL_TOKENS);
let pool = '';
let used = 0;

/** A new owner token: 16 characters of `A-Z a-z 0-9 - _`, random, one per attempt. */
export function newToken(): string {
  // One system call and one text for many tokens: this is on the path of every run.
  if (used === pool.length) {
    const text = btoa(String.fromCharCode(...globalThis.crypto.getRandomValues(bytes)));
    pool = text.replaceAll('+', '-').replaceAll('/', '_');
    used = 0;
  }
  return pool.slice(used, (used += TOKEN_LENGTH));
}
