/** 96 random bits: two attempts never share a token. */
const TOKEN_LENGTH = 16;
const POOL_TOKENS = 256;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

const codes = Uint8Array.from(ALPHABET, (character) => character.charCodeAt(0));
const bytes = new Uint8Array(TOKEN_LENGTH * POOL_TOKENS);
const decoder = new TextDecoder();
let pool = '';
let used = 0;

/** A new owner token: 16 characters of `A-Z a-z 0-9 - _`, random, one per attempt. */
export function newToken(): string {
  // One system call and one text for many tokens: this is on the path of every run.
  if (used === pool.length) {
    globalThis.crypto.getRandomValues(bytes);
    for (let i = 0; i < bytes.length; i++) bytes[i] = codes[bytes[i]! & 63]!;
    pool = decoder.decode(bytes);
    used = 0;
  }
  return pool.slice(used, (used += TOKEN_LENGTH));
}
