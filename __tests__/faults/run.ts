/**
 * `npm run faults`: every fault, again and again with other seeds, for about ten minutes in all; then the long forms of the
 * tests that have one. Ends with 1 when a guarantee was violated.
 *
 *   npm run faults -- --short            one short run of each fault, and nothing else
 *   npm run faults -- --seed 7           the runs of that seed again
 *   npm run faults -- --minutes 30       longer
 *   npm run faults -- --only 'SIGKILL'   the faults whose names match
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { bundleWorker } from './crew.js';
import { seedOf } from './random.js';
import { runScenario, type Outcome, type RunOptions } from './run-scenario.js';
import { SCENARIOS, type Scenario } from './scenarios.js';
import { machine, tableOf } from './table.js';

const ACTS_FOR_MS = 6_000;
const SHORT_ACTS_FOR_MS = 2_000;
/** What the machine may be slower by than a deadline says; `npm test` allows far more. */
const SLACK_MS = 500;

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
    minutes: { type: 'string', default: '10' },
    only: { type: 'string', default: '' },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);
const scenarios = SCENARIOS.filter(({ name }) => new RegExp(values.only).test(name));
const untilMs = performance.now() + Number(values.minutes) * 60_000;
const bundle = bundleWorker();

// Asked to stop, it ends the run that it is in, whose servers it has started, and prints what it has.
let isOver = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void (isOver = true));

say(`seed ${values.seed}; ${machine()}\n`);
const outcomes: Outcome[] = [];
for (let round = 1; round === 1 || (!isOver && !values.short && performance.now() < untilMs); round++) {
  for (const scenario of scenarios) {
    if (isOver || (round > 1 && performance.now() >= untilMs)) break;
    outcomes.push(await runOnce(scenario, round));
  }
}
rmSync(bundle.folder, { recursive: true, force: true });
say(`\n${tableOf(outcomes)}\n\nseed ${values.seed}; ${machine()}`);
const isViolated = outcomes.some(({ violations }) => violations.length > 0);
const hasFailed = !isOver && !values.short && values.only === '' && !runLongTests();
process.exitCode = isViolated || hasFailed ? 1 : 0;

async function runOnce(scenario: Scenario, round: number): Promise<Outcome> {
  const options: RunOptions = {
    bundle: bundle.path,
    seed: seedOf(Number(values.seed), String(round)),
    actsForMs: values.short ? SHORT_ACTS_FOR_MS : ACTS_FOR_MS,
    slackMs: SLACK_MS,
  };
  const outcome = await runScenario(scenario, options);
  const { violations, trace, calls, effects } = outcome;
  say(`${round}. ${scenario.name}: ${calls} calls, ${effects} effects, ${violations.length} violations`);
  for (const { property, key, what } of violations) say(`   ${property}, ${key}: ${what}`);
  if (violations.length > 0) say(trace.map((line) => `   ${line}`).join('\n'));
  return outcome;
}

/** The fuzz, and then what `npm run test:long` runs, each at full length. */
function runLongTests(): boolean {
  const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const run = (env: NodeJS.ProcessEnv, ...paths: string[]) =>
    spawnSync(process.execPath, [...jest, 'node_modules/jest/bin/jest.js', '--runInBand', ...paths], {
      stdio: 'inherit',
      env: { ...process.env, TWICESHY_FAULTS: 'long', TWICESHY_SEED: values.seed, ...env },
    }).status === 0;
  return [run({}, '__tests__/fuzz'), run({ TWICESHY_TIER: 'long' })].every(Boolean);
}
