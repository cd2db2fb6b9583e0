import { readFileSync } from 'node:fs';
import { getRuntime, type Idempotency } from '../../src/idempotency/idempotency.js';
import type { Attempt } from '../../src/core/attempt/attempt.js';
import { isIdempotencyError } from '../../src/core/errors.js';
import type { Answer, Outcome } from '../../src/core/outcome.js';
import { sharedMs, type AnswerTold, type HistoryEvent, type Recorder } from './history.js';
import { inTurn } from './in-turn.js';
import { Random } from './random.js';
import type { RecordingStore } from './recording-store.js';
import { keyAt, newestKey, type WorkerConfig } from './worker-config.js';

const HOT_KEYS = 3;
const OLD_KEY_SHARE = 0.15;
const FAILURE_SHARE = 0.1;
const PROBE_WORK_MS = 10;
const PROBE_PAUSE_MS = 20;
/** What is asked is whether a key can be had at all, not what a busy machine does with all of them at once. */
const PROBES_AT_ONCE = 5;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** The callers of one process. */
export class Callers {
  readonly #random: Random;
  #calls = 0;
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly config: WorkerConfig,
    private readonly idempotency: Idempotency,
    private readonly store: RecordingStore,
    private readonly recorder: Recorder,
  ) {
    this.#random = new Random(config.seed);
    for (const is of ['unrecorded', 'recorded-late'] as const) {
      idempotency.on(is, ({ key, fence = 0 }) =>
        recorder.note({ is, key, fence, token: store.tokenOf(key, fence) }),
      );
    }
  }

  start(): void {
    const loops = Array.from({ length: this.config.callers }, () => this.#keepCalling());
    this.#running = Promise.all(loops);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** Calls every key there is until it has an answer; whatever is still running goes on beside it. */
  async probe(): Promise<void> {
    this.#stopped = true;
    const last = newestKey(this.config, sharedMs());
    const keys = Array.from({ length: last + 1 }, (_, index) => keyAt(index));
    await Promise.all(inTurn(keys, PROBES_AT_ONCE, (key) => this.#callUntilAnswered(key)));
    await this.#running;
  }

  async #keepCalling(): Promise<void> {
    while (!this.#stopped) {
      await this.#call(this.#someKey(), false);
      await sleep(this.#random.between(0, 40));
    }
  }

  async #callUntilAnswered(key: string): Promise<void> {
    while (!(await this.#call(key, true))) await sleep(PROBE_PAUSE_MS);
  }

  #someKey(): string {
    const newest = newestKey(this.config, sharedMs());
    const isOld = this.#random.chance(OLD_KEY_SHARE);
    const index = isOld ? this.#random.between(0, newest + 1) : newest - this.#random.between(0, HOT_KEYS);
    return keyAt(Math.max(0, Math.floor(index)));
  }

  /** Whether it ended in a success. */
  async #call(key: string, probe: boolean): Promise<boolean> {
    const { idempotency, recorder, config } = this;
    const call = `${config.id}/${++this.#calls}`;
    recorder.note({ is: 'invoke', key, call, probe });
    const own: { token?: string } = {};
    const answer = await getRuntime(idempotency).answer<string>({
      key,
      name: 'charge',
      policy: getRuntime(idempotency).policy,
      onDuplicate: 'replay',
      onAbandoned: config.onAbandoned,
      signal: undefined,
      work: (attempt) => this.#work(attempt, call, probe, own),
      reconcile:
        config.onAbandoned === 'reconcile' ? (attempt) => this.#askProvider(attempt, own) : undefined,
    });
    const told = this.#told(answer, own.token);
    recorder.note({ is: 'answer', key, call, ...told });
    return told.how === 'success';
  }

  async #work(
    attempt: Attempt,
    call: string,
    probe: boolean,
    own: { token?: string },
  ): Promise<Outcome<string>> {
    const { key, fence = 0 } = attempt;
    const token = (own.token = this.store.tokenOf(key, fence));
    const note = this.recorder.note.bind(this.recorder);
    note({ is: 'started', key, token, fence, call });
    const workMs = probe ? PROBE_WORK_MS : this.#workMs();
    const before = workMs * this.#random.next();
    await sleep(before);
    if (!probe && this.#random.chance(FAILURE_SHARE)) {
      note({ is: 'ended', key, token, fence, call, how: 'declared failure' });
      const error = new Error(`declined in ${call}`);
      return this.#random.chance(0.5) ? { kind: 'failed', error, final: false } : { kind: 'released', error };
    }
    const value = `${key} charged by ${call}`;
    note({ is: 'effect', key, token, fence, call, value });
    await sleep(workMs - before);
    note({ is: 'ended', key, token, fence, call, how: 'success' });
    return { kind: 'completed', value };
  }

  /** Many are short, some take half a lease or so, and some need the lease to be renewed. */
  #workMs(): number {
    const { workMs } = this.config;
    return this.#random.between(0, workMs * this.#random.pick([0.02, 0.3, 1]));
  }

  /** What a provider says that was asked whether it knows of the effect: the history is its book. */
  async #askProvider(attempt: Attempt, own: { token?: string }): Promise<Outcome<string> | 'run'> {
    own.token = this.store.tokenOf(attempt.key, attempt.fence ?? 0);
    const lines = readFileSync(this.config.history, 'utf8').split('\n');
    const found = lines.find((line) => line.includes(`"is":"effect","key":"${attempt.key}"`));
    if (found === undefined) return 'run';
    const effect = JSON.parse(found) as Extract<HistoryEvent, { is: 'effect' }>;
    return { kind: 'completed', value: effect.value };
  }

  #told(answer: Answer<string>, ownToken: string | undefined): AnswerTold {
    switch (answer.kind) {
      case 'ran': {
        const { outcome, recorded } = answer;
        return outcome.kind === 'completed'
          ? { how: 'success', value: outcome.value, recorded, token: ownToken }
          : { how: 'failure', code: outcome.kind, recorded, token: ownToken };
      }
      case 'duplicate': {
        const { token, status } = answer.record;
        return status === 'COMPLETED'
          ? {
              how: 'success',
              value: String(getRuntime(this.idempotency).decode(answer.record)),
              recorded: true,
              token,
            }
          : { how: 'failure', code: status, recorded: true, token };
      }
      case 'refused': {
        const { error } = answer;
        const code = isIdempotencyError(error) ? error.code : String(error);
        return { how: 'refused', code, recorded: false };
      }
      case 'left':
        return { how: 'refused', code: 'left', recorded: false };
    }
  }
}
