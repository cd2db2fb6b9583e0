import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const TSX = import.meta.resolve('tsx');

/** Where consumer processes write down each effect, as a provider would: one line each, only ever appended. */
export class EffectsFile {
  readonly #folder = mkdtempSync(join(tmpdir(), 'twiceshy-effects-'));
  readonly path = join(this.#folder, 'effects');

  /** The lines so far. */
  get lines(): string[] {
    return existsSync(this.path) ? readFileSync(this.path, 'utf8').split('\n').slice(0, -1) : [];
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

export interface ConsumerProcess {
  /** Waits for it to say this line. */
  said(line: string): Promise<void>;
  /** SIGTERM, and waits until it has gone by itself. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

const running = new Set<ConsumerProcess>();

/** Starts a consumer in a process of its own, with its settings in the environment. */
export function startConsumer(file: URL, env: Record<string, string>): ConsumerProcess {
  const script = fileURLToPath(file);
  const child = spawn(process.execPath, ['--import', TSX, script], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const consumer: ConsumerProcess = {
    async said(wanted) {
      for (;;) {
        const line = await lines.next();
        if (line.done) throw new Error(`${script} ended before it said "${wanted}"`);
        if (line.value === wanted) return;
      }
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
  async function end(signal: NodeJS.Signals): Promise<void> {
    running.delete(consumer);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
  running.add(consumer);
  return consumer;
}

/** Ends what a failed test left running. */
export async function killConsumers(): Promise<void> {
  await Promise.all([...running].map((each) => each.kill()));
}

/** Waits until the condition holds; fails when it does not in time. */
export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const giveUpAt = performance.now() + 15_000;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
