import type { PostgresDatabase } from './database.js';

/** Few enough that a batch takes milliseconds, and holds its rows no longer. */
export const CLEANUP_BATCH = 1_000;

/** Deletes what has expired, batch by batch. */
export async function cleanUp(database: PostgresDatabase, batch: number): Promise<number> {
  for (let total = 0; ;) {
    const [row] = await database.run('CLEANUP', { batch });
    const count = Number(row?.['count'] ?? 0);
    total += count;
    // Fewer than asked for: the rest is not expired, or in another's hands.
    if (count < batch) return total;
  }
}

/** Runs it now and then, one at a time, never keeping a process alive. */
export class CleanupTimer {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> | undefined;

  /** @param run must not reject */
  constructor(private readonly run: () => Promise<void>) {}

  start(everyMs: number): void {
    void this.stop();
    const sleep = (): void => {
      // Not all instances at once.
      const timer = setTimeout(
        () => {
          this.#running = this.run().finally(() => {
            if (this.#timer === timer) sleep();
          });
        },
        everyMs * (0.9 + Math.random() / 5),
      );
      timer.unref();
      this.#timer = timer;
    };
    sleep();
  }

  /** Resolves when none runs any more. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running;
  }
}
