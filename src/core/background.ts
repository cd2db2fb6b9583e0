import { callStore } from './calls.js';
import { isIdempotencyError } from './errors.js';
import { monotonicMs, unrefTimeout } from './timers.js';

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;

export interface Chore {
  readonly operation: string;
  readonly command: () => Promise<unknown>;
  /** Not before this long has passed. @default 0 */
  readonly afterMs?: number;
  /** The deadline of each try. */
  readonly timeoutMs: number;
  /** Given up after this long: by then nobody could be misled any more. */
  readonly giveUpAfterMs: number;
  /** An otherwise idle process stays alive for it this long. */
  readonly keepAliveMs: number;
  /** Whether something would be forgotten without it: `close()` waits longer for such a chore. @default false */
  readonly saves?: boolean;
  readonly onDone?: (answer: unknown) => void;
  readonly onGivenUp?: (error: unknown) => void;
}

/** What must still reach the store after its caller has gone: results to record, claims to withdraw. */
export class Background {
  readonly #pending = new Map<Promise<void>, Chore>();

  get size(): number {
    return this.#pending.size;
  }

  /** Sends the command again and again, ever more rarely, until the store has answered it. */
  start(chore: Chore): void {
    const task: Promise<void> = this.#insist(chore).finally(() => this.#pending.delete(task));
    this.#pending.set(task, chore);
  }

  /** Resolves when nothing is left to save, and all else is done, or was tried for as long as it keeps the process alive. */
  async drained(): Promise<void> {
    const others = [...this.#pending.values()].filter(({ saves }) => !saves);
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise<void>((resolve) => {
      const patienceMs = Math.max(0, ...others.map(({ afterMs = 0, keepAliveMs }) => afterMs + keepAliveMs));
      timer = unrefTimeout(() => {
        isOver = true;
        resolve();
      }, patienceMs);
    });
    const left = () => [...this.#pending].filter(([, { saves }]) => saves || !isOver).map(([task]) => task);
    for (let tasks = left(); tasks.length > 0; tasks = left()) {
      await (isOver ? Promise.all(tasks) : Promise.race([Promise.all(tasks), over]));
    }
    clearTimeout(timer);
  }

  async #insist(chore: Chore): Promise<void> {
    if (chore.afterMs !== undefined) await pause(chore.afterMs, false);
    const startedMs = monotonicMs();
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS)) {
      try {
        const answer = await callStore(chore.operation, chore.command, chore.timeoutMs);
        chore.onDone?.(answer);
        return;
      } catch (error) {
        const elapsedMs = monotonicMs() - startedMs;
        if (elapsedMs >= chore.giveUpAfterMs || isUnreadable(error)) {
          chore.onGivenUp?.(error);
          return;
        }
        await pause(retryMs * (0.75 + Math.random() / 2), elapsedMs < chore.keepAliveMs);
      }
    }
  }
}

/** Whether the record that stands there can't be read: no further try would change that. */
const isUnreadable = (error: unknown): boolean =>
  isIdempotencyError(error, 'CORRUPT_RECORD') || isIdempotencyError(error, 'RECORD_TOO_NEW');

function pause(ms: number, keepAlive: boolean): Promise<void> {
  return new Promise((resolve) => void (keepAlive ? setTimeout(resolve, ms) : unrefTimeout(resolve, ms)));
}
