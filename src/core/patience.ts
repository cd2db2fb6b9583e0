import { monotonicMs, timerMs } from './timers.js';

/** Why a caller stopped waiting. */
export const TIMED_OUT = Symbol('timed out');
export const LEFT = Symbol('left');

/**
 * How long one caller waits, in all, from its first wait on, and its signal. It bounds the waiting of this caller
 * only: never the work, nor anybody else.
 */
export class Patience {
  #deadlineMs: number | undefined;

  constructor(
    private readonly waitTimeoutMs: number,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** The promise's value, or why this caller did not wait for it. The promise must not reject. */
  within<T>(promise: Promise<T>): Promise<T | typeof TIMED_OUT | typeof LEFT> {
    this.#deadlineMs ??= monotonicMs() + this.waitTimeoutMs;
    const remainingMs = this.#deadlineMs - monotonicMs();
    if (remainingMs <= 0) return Promise.resolve(TIMED_OUT);
    return this.#race(promise, remainingMs);
  }

  /** The same without the time limit: for one's own work. */
  unhurried<T>(promise: Promise<T>): Promise<T | typeof LEFT> {
    if (!this.signal) return promise;
    return this.#race(promise, undefined) as Promise<T | typeof LEFT>;
  }

  #race<T>(promise: Promise<T>, timeoutMs: number | undefined): Promise<T | typeof TIMED_OUT | typeof LEFT> {
    const { signal } = this;
    if (signal?.aborted) return Promise.resolve(LEFT);
    return new Promise((resolve, reject) => {
      const finish = (value: T | typeof TIMED_OUT | typeof LEFT) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', leave);
        resolve(value);
      };
      const leave = () => finish(LEFT);
      // Keeps the process alive: somebody waits.
      const timer =
        timeoutMs === undefined ? undefined : setTimeout(() => finish(TIMED_OUT), timerMs(timeoutMs));
      signal?.addEventListener('abort', leave, { once: true });
      promise.then(finish, reject);
    });
  }
}
