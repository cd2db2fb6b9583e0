import * as transitions from '../../src/stores/shared/transitions.js';
import type { Kept } from '../../src/stores/shared/kept.js';
import { KEY, type Command, type State } from './state.js';

/** The real steps of a record; a mutation puts a broken one in the place of one of them. */
export type Steps = Pick<
  typeof transitions,
  'claim' | 'renew' | 'settle' | 'release' | 'override' | 'present' | 'storedRecord'
>;
export const REAL: Steps = transitions;

export function momentOf(state: State): transitions.Moment {
  const { now, micros, isClockStopped } = state;
  return {
    nowMs: now,
    judgedMs: now,
    nextFence: (previous) => (isClockStopped ? previous + 1 : Math.max(previous + 1, micros)),
  };
}

export function foundIn(steps: Steps, state: State): Kept | undefined {
  return steps.present(state.record, KEY, momentOf(state));
}

/** Executes a command on the store: the state after it, and the answer. */
export function execute(steps: Steps, state: State, command: Command): { state: State; answer: unknown } {
  const later = { ...state, micros: state.micros + 1 };
  const at = momentOf(later);
  const found = foundIn(steps, later);
  const move = moveOf(steps, command, found, at);
  return { state: move.write ? { ...later, record: move.write } : later, answer: move.answer };
}

function moveOf(
  steps: Steps,
  command: Command,
  found: Kept | undefined,
  at: transitions.Moment,
): transitions.Move<unknown> {
  switch (command.kind) {
    case 'claim':
      return steps.claim(found, KEY, command.request, at);
    case 'renew':
      return steps.renew(found, KEY, command.lease, at);
    case 'settle':
      return steps.settle(found, KEY, command.lease, command.settlement, at);
    case 'release':
      return steps.release(found, KEY, command.token, at);
  }
}
