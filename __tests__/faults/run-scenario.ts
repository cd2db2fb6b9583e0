import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, traceOf, type Terms, type Verdict } from './checker/check.js';
import { Crew } from './crew.js';
import { readHistory, Recorder, sharedMs, type HistoryEvent } from './history.js';
import type { Act, World } from './nemesis.js';
import { Random, seedOf } from './random.js';
import type { Scenario, Stage } from './scenarios.js';

const WORKERS = 3;
const CALLERS = 6;
const LEASE_MS = 400;
const STORE_TIMEOUT_MS = 300;
const WAIT_TIMEOUT_MS = 2_500;
const PROBE_TIMEOUT_MS = 45_000;

export interface RunOptions {
  readonly bundle: string;
  readonly seed: number;
  /** How long the nemesis acts. */
  readonly actsForMs: number;
  /** How much slower than its deadlines this machine may be. */
  readonly slackMs: number;
}

export interface Outcome extends Verdict {
  readonly name: string;
  readonly seed: number;
  /** The events of the first violation's key. */
  readonly trace: readonly string[];
}

/** One run: workers, nemesis, healing, and then every key is asked for by everybody who is left and by a newcomer. */
export async function runScenario(scenario: Scenario, options: RunOptions): Promise<Outcome> {
  const seed = seedOf(options.seed, scenario.name);
  const terms: Terms = { ...termsOf(scenario), slackMs: options.slackMs };
  // First, so that servers which do not start leave nothing behind.
  const stage = await scenario.setTheStage();
  const folder = mkdtempSync(join(tmpdir(), 'twiceshy-run-'));
  const path = join(folder, 'history.jsonl');
  const recorder = new Recorder(path, 'nemesis');
  const crew = crewOf(scenario, stage, { ...options, seed, path, recorder });
  try {
    await Promise.all(Array.from({ length: WORKERS }, () => crew.hire()));
    const world = {
      random: new Random(seed),
      crew,
      backend: stage.backend,
      recorder,
      leaseMs: terms.leaseMs,
    };
    await disturb(scenario, stage, world as World<never>, options.actsForMs);
    recorder.note({ is: 'healed' });
    await crew.hire();
    await Promise.all(crew.alive.map((worker) => worker.probe(PROBE_TIMEOUT_MS)));
    // Nothing is left to tell the store in a calm run, so that whoever is closed must go.
    if (scenario.calm) await Promise.all(crew.alive.map((worker) => worker.leave()));
  } finally {
    await crew.killAll();
    recorder.close();
    await stage.stop();
  }
  const history = readHistory(path);
  rmSync(folder, { recursive: true, force: true });
  return judged(scenario, seed, history, terms);
}

function judged(scenario: Scenario, seed: number, history: readonly HistoryEvent[], terms: Terms): Outcome {
  const verdict = check(history, terms);
  const [first] = verdict.violations;
  return { ...verdict, name: scenario.name, seed, trace: first ? traceOf(history, first) : [] };
}

function termsOf({ calm, settings }: Scenario): Omit<Terms, 'slackMs'> {
  const { leaseMs = LEASE_MS, storeTimeoutMs = STORE_TIMEOUT_MS, waitTimeoutMs = WAIT_TIMEOUT_MS } = settings;
  return { calm, leaseMs, waitTimeoutMs, storeTimeoutMs };
}

interface Making extends RunOptions {
  readonly path: string;
  readonly recorder: Recorder;
}

function crewOf(scenario: Scenario, stage: Stage, { bundle, seed, path, recorder }: Making): Crew {
  const { leaseMs, waitTimeoutMs, storeTimeoutMs } = termsOf(scenario);
  const { workMs = 1.5 * leaseMs, onAbandoned = 'retry' } = scenario.settings;
  const beganAt = sharedMs();
  const configOf = (id: string, number: number) => ({
    ...{ id, history: path, store: stage.store, beganAt, onAbandoned },
    ...{ leaseMs, storeTimeoutMs, waitTimeoutMs, workMs, callers: CALLERS, keyEveryMs: 150 },
    seed: seedOf(seed, String(number)),
  });
  return new Crew(bundle, configOf, recorder);
}

async function disturb(scenario: Scenario, stage: Stage, world: World<never>, forMs: number): Promise<void> {
  const untilAt = sharedMs() + forMs;
  const { gapMs } = scenario;
  while (sharedMs() < untilAt) {
    const gap = gapMs === undefined ? forMs : world.random.between(0, gapMs);
    await new Promise((resolve) => setTimeout(resolve, Math.min(gap, untilAt - sharedMs())));
    if (stage.acts.length > 0) await act(world.random.pick(stage.acts), world);
  }
}

async function act(one: Act<never>, world: World<never>): Promise<void> {
  world.recorder.note({ is: 'fault', name: one.name });
  await one(world);
}
