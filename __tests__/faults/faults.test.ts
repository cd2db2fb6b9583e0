import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { rmSync } from 'node:fs';
import { bundleWorker } from './crew.js';
import { inTurn } from './in-turn.js';
import { runScenario, type Outcome } from './run-scenario.js';
import { SCENARIOS } from './scenarios.js';

const ACTS_FOR_MS = 1_500;
/** How late answers may be on a machine that does other things too; the guarantees themselves know no slack. */
const SLACK_MS = 15_000;
/** Each scenario has four processes and a server of its own, and CI has two cores, on which another test file runs too. */
const AT_A_TIME = 2;
/** Violations that a failure tells of. */
const TOLD = 10;

const seed = Number(process.env['TWICESHY_SEED'] ?? Math.floor(Math.random() * 1e9));
let bundle: ReturnType<typeof bundleWorker>;
let outcomes: Promise<Outcome>[];
beforeAll(() => {
  bundle = bundleWorker();
  const options = { bundle: bundle.path, seed, actsForMs: ACTS_FOR_MS, slackMs: SLACK_MS };
  outcomes = inTurn(SCENARIOS, AT_A_TIME, (scenario) => runScenario(scenario, options));
});
afterAll(async () => {
  await Promise.allSettled(outcomes);
  rmSync(bundle.folder, { recursive: true, force: true });
});

describe(`no guarantee is violated under faults (TWICESHY_SEED=${seed}; "npm run faults" does it at length)`, () => {
  test.each(SCENARIOS.map(({ name }, index) => ({ name, index })))(
    '$name',
    async ({ index }) => {
      const { violations, trace, calls, effects } = await outcomes[index]!;
      const told = violations.slice(0, TOLD).map(({ property, key, what }) => `${property}, ${key}: ${what}`);
      expect({ violations: violations.length, told, trace }).toEqual({ violations: 0, told: [], trace: [] });
      // A run in which nothing happened proves nothing.
      expect(calls).toBeGreaterThan(50);
      expect(effects).toBeGreaterThan(5);
    },
    120_000,
  );
});
