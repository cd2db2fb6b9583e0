import { expect, test } from '@jest/globals';
import type { AbandonedRule } from '../../src/core/record.js';
import { explore, type World } from './explore.js';
import type { Budget } from './state.js';
import { REAL } from './store.js';

const CALM: Budget = { ticks: 0, crashes: 0, lost: 0, wipes: 0, people: 0, failures: 0 };
export const world = (callers: number, rule: AbandonedRule, more: Partial<Budget>): World => ({
  callers,
  rule,
  budget: { ...CALM, ...more },
});

/** What the environment may do in each world, beside ghosts: commands that are executed after their caller gave up. */
export const WORLDS: Record<string, World> = {
  'three callers, one crash': world(3, 'retry', { crashes: 1 }),
  'three callers, one lost reply': world(3, 'retry', { lost: 1 }),
  'a pause, a crash, a failure or release': world(2, 'retry', { ticks: 2, crashes: 1, failures: 1 }),
  'a clock that stands still, a pause, a failure or release': {
    ...world(2, 'retry', { ticks: 2, failures: 2 }),
    isClockStopped: true,
  },
  'block: a pause, a crash, an unknown outcome': world(2, 'block', { ticks: 2, crashes: 1, failures: 1 }),
};

/** Worlds for `npm run test:long`. */
export const LARGE: Record<string, World> = {
  'three callers, one failure or release, one lost reply': world(3, 'retry', { failures: 1, lost: 1 }),
  'a pause beyond the lease, one lost reply': world(2, 'retry', { ticks: 2, lost: 1 }),
  'a pause, forget or resolve by a person': world(2, 'retry', { ticks: 2, people: 1 }),
  'a pause, a restart without data': world(2, 'retry', { ticks: 2, wipes: 1 }),
  'reconcile: a pause, a crash, a reconcile that throws': world(2, 'reconcile', {
    ticks: 2,
    crashes: 1,
    failures: 1,
  }),
};

/** Worlds for `npm run faults`: too many states for every test run. */
export const WIDE: Record<string, World> = {
  'wide: a pause, a crash, a failure, a lost reply': world(2, 'retry', {
    ticks: 3,
    crashes: 1,
    failures: 1,
    lost: 1,
  }),
  'wide: a pause, a person, a lost reply': world(2, 'retry', { ticks: 3, people: 1, lost: 1 }),
  'wide, block: a pause, a crash, a failure, a lost reply': world(2, 'block', {
    ...{ ticks: 3, crashes: 1, failures: 1, lost: 1 },
  }),
};

/** One test for each world: no property is violated in any state. @param least a model that shrank says no more what it said */
export function testWorlds(worlds: Record<string, World>, least: number): void {
  let states = 0;

  test.each(Object.entries(worlds))(
    '%s: no property is violated',
    (name, each) => {
      const explored = explore(REAL, each);
      expect(explored.violation).toBeUndefined();
      expect(explored.states).toBeGreaterThan(500);
      states += explored.states;
      process.stdout.write(`model: ${name}: ${explored.states} states, ${explored.moves} moves\n`);
    },
    600_000,
  );

  test('the states are counted', () => {
    process.stdout.write(`model: ${states} states in all\n`);
    expect(states).toBeGreaterThan(least);
  });
}
