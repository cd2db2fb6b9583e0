import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');

export interface Worker {
  readonly child: ChildProcess;
  /** The next line it says. */
  line(): Promise<string>;
  /** Its last line, once it has gone by itself. */
  result(): Promise<{ status: string; charge: number }>;
  go(): void;
  kill(): Promise<void>;
}

/** Starts a worker process (see worker.ts). */
export function startWorker(redisUrl: string, args: string[], env: Record<string, string> = {}): Worker {
  const child = spawn(process.execPath, ['--import', TSX, WORKER, ...args], {
    env: { ...process.env, NODE_OPTIONS: '', REDIS_URL: redisUrl, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const next = await lines.next();
    if (next.done)
      throw new Error(`the worker ended without another line, with code ${String(child.exitCode)}`);
    return next.value;
  };
  return {
    child,
    line,
    async result() {
      let last = await line();
      while (last === 'started') last = await line();
      if (child.exitCode === null) await once(child, 'exit');
      return JSON.parse(last) as { status: string; charge: number };
    },
    go: () => void child.stdin.write('go\n'),
    async kill() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
