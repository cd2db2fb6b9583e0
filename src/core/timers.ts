import { LONGEST_TIMER_MS } from './check.js';

export const timerMs = (delayMs: number): number => Math.min(delayMs, LONGEST_TIMER_MS);

/** A timer that never keeps an idle process alive. */
export function unrefTimeout(run: () => void, delayMs: number): ReturnType<typeof setTimeout> {
  const timer = setTimeout(run, timerMs(delayMs));
  // Structural: under fake timers, and off Node, a timer may be a number.
  (timer as { unref?: () => void }).unref?.();
  return timer;
}

/** Milliseconds that only go forward, whatever is done to the machine's clock. */
export const monotonicMs = (): number => performance.now();
