import { sizeOf, type PostgresPool } from './client.js';
import { codeOf, LOCK_NOT_AVAILABLE } from './errors.js';

/** How long a row is waited for at first: longer than anybody but a transaction holds it. */
const PROBE_MS = 100;
/** How long it is then waited for by those who may, and how long the others wait to be one of those. */
const SLICE_MS = 500;
/** Longer than a waiter takes to come back. */
const BELIEVED_MS = 3_000;

export const LOCKED = Symbol('locked');

/**
 * How many may wait for a row at once: each of them holds a connection, and the owner of the row, or its work, may need one.
 * The rest wait without a connection.
 */
class WaitingRoom {
  #free: number;
  readonly #queue: (() => void)[] = [];
  /** Which keys were held when they were last looked at, and until when that is believed. */
  readonly #held = new Map<string, number>();

  constructor(seats: number) {
    this.#free = seats;
  }

  /** Whether there was a seat in time. Who got one must `leave()`. */
  async enter(timeoutMs: number): Promise<boolean> {
    if (this.#free > 0) {
      this.#free--;
      return true;
    }
    return new Promise((resolve) => {
      const seated = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      this.#queue.push(seated);
      const timer = setTimeout(() => {
        this.#queue.splice(this.#queue.indexOf(seated), 1);
        resolve(false);
      }, timeoutMs);
    });
  }

  leave(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#free++;
  }

  isHeld(address: string): boolean {
    return (this.#held.get(address) ?? 0) > performance.now();
  }

  remember(address: string, isHeld: boolean): void {
    this.#held.delete(address);
    if (isHeld) this.#held.set(address, performance.now() + BELIEVED_MS);
    // The oldest stands first.
    for (const [oldest, untilMs] of this.#held) {
      if (untilMs > performance.now()) break;
      this.#held.delete(oldest);
    }
  }
}

/** One for each pool, since what is shared is the pool. */
const rooms = new WeakMap<PostgresPool, WaitingRoom>();

function roomOf(pool: PostgresPool): WaitingRoom {
  let room = rooms.get(pool);
  // Half of the pool; of a pool of one, that one.
  if (!room) rooms.set(pool, (room = new WaitingRoom(Math.max(1, Math.floor(sizeOf(pool) / 2)))));
  return room;
}

/**
 * Tries, with a bound on the waiting for the row: for a moment, and then as one of the few who may wait longer. Where the
 * row was held a while ago, only as one of those.
 * @param attempt one statement; `lockMs` bounds its waiting
 * @returns LOCKED when a transaction that has not ended holds the row, as far as could be seen
 */
export async function patiently<T>(
  pool: PostgresPool,
  address: string,
  attempt: (lockMs: number) => Promise<T>,
): Promise<T | typeof LOCKED> {
  const room = roomOf(pool);
  if (!room.isHeld(address)) {
    const first = await unlessLocked(attempt, PROBE_MS);
    if (first !== LOCKED) return first;
    room.remember(address, true);
  }
  if (!(await room.enter(SLICE_MS))) return LOCKED;
  try {
    const second = await unlessLocked(attempt, SLICE_MS);
    room.remember(address, second === LOCKED);
    return second;
  } finally {
    room.leave();
  }
}

/** One try. */
export async function unlessLocked<T>(
  attempt: (lockMs: number) => Promise<T>,
  lockMs: number,
): Promise<T | typeof LOCKED> {
  try {
    return await attempt(lockMs);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if ([error, cause].some((each) => codeOf(each) === LOCK_NOT_AVAILABLE)) return LOCKED;
    throw error;
  }
}
