const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** 96 random bits: two attempts never share a token. */
const TOKEN_LENGTH = 16;
const POOL_TOKENS = 256;

const pool = new Uint8Array(TOKEN_LENGTH * POOL_TOKENS);
let used = pool.length;

/** A new owner token: 16 characters of `A-Z a-z 0-9 - _`, random, one per attempt. */
export function newToken(): string {
  if (used === pool.length) {
    // One system call for many tokens: this is on the path of every first run.
    globalThis.crypto.getRandomValues(pool);
    used = 0;
  }
  let token = '';
  for (const end = used + TOKEN_LENGTH; used < end; used++) token += ALPHABET.charAt((pool[used] ?? 0) & 63);
  return token;
}
