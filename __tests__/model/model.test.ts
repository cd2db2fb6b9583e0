import { describe, expect, test } from '@jest/globals';
import type { Kept } from '../../src/stores/shared/kept.js';
import { explore, type World } from './explore.js';
import { REAL, type Steps } from './store.js';
import { testWorlds, world, WORLDS } from './worlds.js';

describe('every interleaving of the protocol, over the real policy and the real transitions of a record', () => {
  testWorlds(WORLDS, 50_000);
});

/** Any record, as if the attempt of `token` held it. */
const owned = (found: Kept | undefined, token: string): Kept | undefined =>
  found && { ...found, token, previousToken: undefined, status: 'IN_PROGRESS' };

describe('a step that is broken on purpose violates the property that it stands for', () => {
  const broken: [string, Partial<Steps>, World, string][] = [
    [
      'release gives the prior record its own fence back',
      {
        release: (found, key, token, at) => {
          const move = REAL.release(found, key, token, at);
          const { prior } = found ?? {};
          const isRestored = prior !== undefined && move.write?.token === prior.token;
          return isRestored ? { ...move, write: { ...move.write, fence: prior.fence } } : move;
        },
      },
      { ...world(2, 'retry', { ticks: 2, failures: 2 }), isClockStopped: true },
      'G5: fences grow',
    ],
    [
      'settle without an owner check',
      {
        settle: (found, key, lease, settlement, at) =>
          REAL.settle(owned(found, lease.token), key, lease, settlement, at),
      },
      world(2, 'retry', { ticks: 2, failures: 1 }),
      'G3',
    ],
    [
      'renew without an owner check',
      {
        renew: (found, key, lease, at) => REAL.renew(owned(found, lease.token), key, lease, at),
      },
      world(2, 'retry', { ticks: 2 }),
      'G3',
    ],
    [
      'a claim that is granted over a running attempt',
      { claim: (_, key, request, at) => REAL.claim(undefined, key, request, at) },
      world(2, 'retry', {}),
      'once|no overlap',
    ],
    [
      'a clock of the client: leases end early',
      {
        claim: (found, key, request, at) =>
          REAL.claim(found, key, { ...request, replacing: found?.token }, { ...at, judgedMs: at.nowMs + 2 }),
      },
      world(2, 'retry', { ticks: 1 }),
      'no overlap',
    ],
    [
      'a claim that never takes over',
      {
        claim: (found, key, request, at) => REAL.claim(found, key, { ...request, replacing: undefined }, at),
      },
      world(2, 'retry', { crashes: 1, ticks: 2 }),
      'no wedge',
    ],
    [
      'a withdrawal without a mark',
      {
        release: (found, key, token, at) => {
          const move = REAL.release(found, key, token, at);
          return found ? move : { answer: move.answer };
        },
      },
      world(2, 'retry', { lost: 2 }),
      'G8',
    ],
    [
      'fences that start anew',
      { claim: (found, key, request, at) => REAL.claim(found, key, request, { ...at, nextFence: () => 1 }) },
      world(2, 'retry', { failures: 1 }),
      'G5',
    ],
    [
      'forgetting without a tombstone',
      {
        override: (found, key, replacement, at) => {
          const move = REAL.override(found, key, replacement, at);
          return replacement.kind === 'forget' && move.write
            ? { ...move, write: { ...move.write, expiresAtMs: 0 } }
            : move;
        },
      },
      world(1, 'retry', { people: 1 }),
      'G3: what a person forgot|G3',
    ],
    [
      'a settling that is not recognised after the next attempt began',
      {
        settle: (found, key, lease, settlement, at) =>
          REAL.settle(found && { ...found, previousToken: undefined }, key, lease, settlement, at),
      },
      world(2, 'retry', { failures: 1, lost: 1 }),
      'G2',
    ],
    [
      'a settling that says true and writes nothing',
      { settle: () => ({ answer: true }) },
      world(1, 'retry', {}),
      'G2',
    ],
    [
      'a release when a result could not be recorded',
      {
        settle: (found, key, lease, _settlement, at) => {
          const { write } = REAL.release(found, key, lease.token, at);
          return { answer: false, write };
        },
      },
      world(2, 'retry', {}),
      'G2|no wedge',
    ],
  ];

  test.each(broken)('%s', (_, steps, each, property) => {
    const { violation } = explore({ ...REAL, ...steps }, each);
    expect(violation?.property).toMatch(new RegExp(`^(${property})`));
  });
});
