import { poolSize, type PostgresPool } from './client.js';
import { errorCode, LOCK_NOT_AVAILABLE } from './errors.js';

/** The first wait for a row lock. Only an open transaction holds a row for longer. */
const PROBE_MS = 100;
/** The second wait for a row lock, and the longest wait for a slot to do that. */
const SLICE_MS = 500;
/** How long a row is assumed to be locked after it was found locked: longer than a waiter takes until its next try. */
const BELIEVED_MS = 3_000;

export const LOCKED = Symbol('locked');

/**
 * Limits how many callers wait for row locks at once. Each of them uses a connection, and the owner of a row may need one for its
 * work. The others wait here, without a connection.
 */
class RowWaiters {
  #free: number;
  readonly #queue: (() => void)[] = [];
  /** Addresses whose row was locked at the last try, and until when that is assumed to be true. */
  readonly #locked = new Map<string, number>();

  constructor(slots: number) {
    this.#free = slots;
  }

  /** Whether a slot was free in time. A caller that got one must call `leave()`. */
  async enter(timeoutMs: number): Promise<boolean> {
    if (this.#free > 0) {
      this.#free--;
      return true;
    }
    return new Promise((resolve) => {
      const admit = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      this.#queue.push(admit);
      const timer = setTimeout(() => {
        this.#queue.splice(this.#queue.indexOf(admit), 1);
        resolve(false);
      }, timeoutMs);
    });
  }

  leave(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#free++;
  }

  isLocked(address: string): boolean {
    return (this.#locked.get(address) ?? 0) > performance.now();
  }

  note(address: string, isLocked: boolean): void {
    this.#locked.delete(address);
    if (isLocked) this.#locked.set(address, performance.now() + BELIEVED_MS);
    // The oldest entry comes first.
    for (const [oldest, untilMs] of this.#locked) {
      if (untilMs > performance.now()) break;
      this.#locked.delete(oldest);
    }
  }
}

/** One for each pool, because the pool's connections are shared. */
const waitersByPool = new WeakMap<PostgresPool, RowWaiters>();

function rowWaiters(pool: PostgresPool): RowWaiters {
  let waiters = waitersByPool.get(pool);
  // Half of the pool's connections, and at least one.
  if (!waiters)
    waitersByPool.set(pool, (waiters = new RowWaiters(Math.max(1, Math.floor(poolSize(pool) / 2)))));
  return waiters;
}

/**
 * Runs a statement that may have to wait for a row lock. It tries with a short wait first, and then with a longer one, for which
 * it needs a slot. If the row was locked a short time ago, the first try is left out.
 * @param run sends the statement; `lockMs` is the longest wait for the lock
 * @returns LOCKED if the row is probably locked by a transaction that has not ended
 */
export async function waitForRow<T>(
  pool: PostgresPool,
  address: string,
  run: (lockMs: number) => Promise<T>,
): Promise<T | typeof LOCKED> {
  const waiters = rowWaiters(pool);
  if (!waiters.isLocked(address)) {
    const first = await unlessLocked(run, PROBE_MS);
    if (first !== LOCKED) return first;
    waiters.note(address, true);
  }
  if (!(await waiters.enter(SLICE_MS))) return LOCKED;
  try {
    const second = await unlessLocked(run, SLICE_MS);
    waiters.note(address, second === LOCKED);
    return second;
  } finally {
    waiters.leave();
  }
}

/** Runs the statement once. @returns LOCKED if the row lock was not free in time */
export async function unlessLocked<T>(
  run: (lockMs: number) => Promise<T>,
  lockMs: number,
): Promise<T | typeof LOCKED> {
  try {
    return await run(lockMs);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if ([error, cause].some((each) => errorCode(each) === LOCK_NOT_AVAILABLE)) return LOCKED;
    throw error;
  }
}
