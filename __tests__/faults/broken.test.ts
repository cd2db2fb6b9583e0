import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { rmSync } from 'node:fs';
import type { RedisBackend } from './backends.js';
import type { Property } from './checker/check.js';
import { bundleWorker } from './crew.js';
import { inTurn } from './in-turn.js';
import { onWire, onWorkers, type Act } from './nemesis.js';
import { runScenario } from './run-scenario.js';
import { onRedisStore, type OnRedis, type Scenario } from './scenarios.js';
import type { Breakage } from './worker-config.js';

const ACTS_FOR_MS = 2_000;
/** What a broken store does wrong depends on the moment: so often it is given the chance. */
const TRIES = 8;
const AT_A_TIME = 2;

function broken(how: Breakage, acts: readonly Act<RedisBackend>[], given: OnRedis): Scenario {
  return onRedisStore(`broken: ${how}`, acts, { ...given, broken: how });
}

const often = { gapMs: 80 };
// Shorter than the first poll of a waiter that is not woken.
const waiting = { leaseMs: 5_000, waitTimeoutMs: 900, workMs: 300 };

const BROKEN: readonly [Scenario, Property][] = [
  [broken('no owner check', [onWorkers.stop, onWorkers.block], often), 'Agreement'],
  [broken('client clock', [onWorkers['set the clock']], often), 'No overlap'],
  [broken('no publish', [], { calm: true, settings: waiting }), 'Bounded answers'],
  [broken('release on settle failure', [onWire['lose answers']], often), 'No lost answer'],
  [broken('fences that fall', [onWorkers.kill], often), 'Fences'],
];

let bundle: ReturnType<typeof bundleWorker>;
let named: Promise<ReadonlySet<string>>[];
beforeAll(() => {
  bundle = bundleWorker();
  named = inTurn(BROKEN, AT_A_TIME, ([scenario, property]) => violatedBy(scenario, property));
});
afterAll(async () => {
  await Promise.allSettled(named);
  rmSync(bundle.folder, { recursive: true, force: true });
});

async function violatedBy(scenario: Scenario, property: Property): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (let seed = 1; seed <= TRIES && !found.has(property); seed++) {
    const options = { bundle: bundle.path, seed, actsForMs: ACTS_FOR_MS, slackMs: 0 };
    const { violations } = await runScenario(scenario, options);
    for (const violation of violations) found.add(violation.property);
  }
  return found;
}

describe('a store with one guarantee broken on purpose: the checker names the property that it violates', () => {
  test.each(BROKEN.map(([{ name }, property], index) => ({ name, property, index })))(
    '$name: $property',
    async ({ property, index }) => expect([...(await named[index]!)]).toContain(property),
    180_000,
  );
});
