import type { PostgresDatabase } from './database.js';

/** Small, so that a batch takes milliseconds and locks its rows only that long. */
export const CLEANUP_BATCH = 1_000;

/** Deletes expired records in batches. */
export async function cleanUp(database: PostgresDatabase, batch: number): Promise<number> {
  for (let total = 0; ;) {
    const [row] = await database.run('CLEANUP', { batch });
    const count = Number(row?.['count'] ?? 0);
    total += count;
    // Fewer than requested: the rest has not expired, or another cleanup has locked it.
    if (count < batch) return total;
  }
}

/** Runs a cleanup repeatedly, one at a time, without keeping the process alive. */
export class CleanupTimer {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> | undefined;

  /** @param run must not reject */
  constructor(private readonly run: () => Promise<void>) {}

  start(everyMs: number): void {
    void this.stop();
    const sleep = (): void => {
      // A random delay, so that not all instances clean up at the same time.
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

  /** Resolves when no cleanup is running any more. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running;
  }
}
