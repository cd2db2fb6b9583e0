import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Recorder } from './history.js';
import type { Order, Report, WorkerConfig } from './worker-config.js';

const LEAVE_MS = 15_000;

/** Builds the worker into one file of its folder, so that a process starts in a tenth of a second. */
export function bundleWorker(): { path: string; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'twiceshy-faults-'));
  const path = join(folder, 'worker.cjs');
  const esbuild = fileURLToPath(new URL('../../node_modules/.bin/esbuild', import.meta.url));
  const source = fileURLToPath(new URL('./worker.ts', import.meta.url));
  const target = ['--bundle', '--platform=node', '--target=node20', '--format=cjs', '--external:pg-native'];
  const built = spawnSync(esbuild, [source, ...target, '--log-level=error', `--outfile=${path}`], {
    encoding: 'utf8',
  });
  if (built.status !== 0) throw new Error(`esbuild failed: ${built.stderr}`);
  return { path, folder };
}

/** A worker process, as its nemesis sees it. */
export class Worker {
  readonly #child: ChildProcess;
  readonly #gone: Promise<unknown>;
  readonly #reports = new Map<Report['said'], () => void>();
  readonly ready: Promise<void>;
  #isExpected = false;

  constructor(
    readonly id: string,
    bundle: string,
    config: WorkerConfig,
    private readonly recorder: Recorder,
  ) {
    this.#child = spawn(process.execPath, [bundle, JSON.stringify(config)], {
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    });
    let complaint = '';
    this.#child.stderr?.on(
      'data',
      (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2_000)),
    );
    this.#gone = once(this.#child, 'exit').then(([code, signal]) => {
      if (this.#isExpected) return;
      const why = `${String(code ?? signal)} ${complaint}`.trim();
      recorder.note({ is: 'died', worker: id, why });
    });
    // A process that is gone takes no orders, which is all that this error says.
    this.#child.on('error', () => undefined);
    this.#child.on('message', ({ said }: Report) => this.#reports.get(said)?.());
    this.ready = this.#once('ready');
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async kill(): Promise<void> {
    if (!this.isAlive) return;
    this.#isExpected = true;
    this.#child.kill('SIGKILL');
    await this.#gone;
    // Only now: until it was gone it went on calling.
    this.recorder.note({ is: 'killed', worker: this.id });
  }

  stop(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  order(order: Order): void {
    if (this.isAlive) this.#child.send(order, () => undefined);
  }

  /** Until every key has an answer, or so long. */
  async probe(timeoutMs: number): Promise<void> {
    const probed = this.#once('probed');
    this.order({ do: 'probe' });
    await within(Promise.race([probed, this.#gone]), timeoutMs);
  }

  /** Lets it end by itself (G8); a process that does not is written down as one that hangs. */
  async leave(): Promise<void> {
    this.order({ do: 'leave' });
    this.#isExpected = true;
    if ((await within(this.#gone, LEAVE_MS)) !== 'late') return;
    this.recorder.note({ is: 'died', worker: this.id, why: 'it did not end by itself once all was closed' });
    this.#child.kill('SIGKILL');
    await this.#gone;
  }

  #once(said: Report['said']): Promise<void> {
    return new Promise((resolve) => this.#reports.set(said, resolve));
  }
}

/** The promise's value, or `late`. */
async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => (timer = setTimeout(resolve, timeoutMs, 'late')));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The processes of one run. */
export class Crew {
  readonly #workers: Worker[] = [];
  #started = 0;

  constructor(
    private readonly bundle: string,
    private readonly configOf: (id: string, number: number) => WorkerConfig,
    private readonly recorder: Recorder,
  ) {}

  get alive(): Worker[] {
    return this.#workers.filter((worker) => worker.isAlive);
  }

  async hire(): Promise<Worker> {
    const number = ++this.#started;
    const id = `w${number}`;
    const worker = new Worker(id, this.bundle, this.configOf(id, number), this.recorder);
    this.#workers.push(worker);
    await within(worker.ready, LEAVE_MS);
    return worker;
  }

  async killAll(): Promise<void> {
    await Promise.all(this.alive.map((worker) => worker.kill()));
  }
}
