/**
 * Owner tokens. Two attempts must never hold the same one, since a store takes equal tokens for one attempt.
 *
 * A token is 48 random bits of this copy of the library, and a count that began at 48 random bits. Nothing is kept in
 * advance and nothing is shared: each worker thread, process and copy of the library (ESM and CommonJS) draws its own. What
 * clones memory would clone the state below as well, so it is drawn anew
 * - in a process that was started from a V8 snapshot, which is seen by its time of origin;
 * - at every new connection to a store (`redrawTokens`), since the connections of a machine that was cloned break.
 */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const TRIPLE = 64 ** 3;
const HALF = 64 ** 4;

let instance = '';
/** The upper and the lower 24 bits of the count: each fits a small integer. */
let upper = 0;
let lower = 0;
let upperText = '';
let drawnAt: number | undefined;

/** A new owner token: 16 characters of `A-Z a-z 0-9 - _`, one per attempt. */
export function newToken(): string {
  if (drawnAt !== performance.timeOrigin) draw();
  if (++lower >= HALF) {
    lower = 0;
    upper = (upper + 1) % HALF;
    upperText = characters(upper);
  }
  return instance + upperText + characters(lower);
}

/** The next token is drawn anew. Called by stores whenever they have opened a connection. */
export function redrawTokens(): void {
  drawnAt = undefined;
}

function draw(): void {
  const [a = 0, b = 0, c = 0, d = 0] = globalThis.crypto.getRandomValues(new Uint32Array(4));
  // A cloned machine may have cloned the random generator too. Its clocks go on, so that the moment tells the clones apart.
  const moment = Math.floor((Date.now() % 1_000_000) * 1_000 + (performance.now() % 1) * 1_000);
  instance = characters(a % HALF) + characters(b % HALF);
  upper = (c ^ moment) >>> 8;
  lower = (d ^ (moment << 8)) >>> 8;
  upperText = characters(upper);
  drawnAt = performance.timeOrigin;
}

/** A number below 64 to the power of 4, as four characters. */
function characters(value: number): string {
  return (
    ALPHABET[Math.floor(value / TRIPLE)]! +
    ALPHABET[(value >> 12) & 63]! +
    ALPHABET[(value >> 6) & 63]! +
    ALPHABET[value & 63]!
  );
}
