import type { AbandonedRule } from '../../src/core/record.js';
import { FRESH, Protocol } from './caller.js';
import type { Move } from './moves.js';
import { LEASE, type Answer, type Budget, type State } from './state.js';
import { execute, type Steps } from './store.js';

/** A property of the design, as what is wrong with one move; undefined where nothing is. */
type Property = (before: State, move: Move, budget: Budget) => string | undefined;

const recordedValue = (answer: Answer | undefined): string | undefined =>
  answer?.kind === 'replayed' || (answer?.kind === 'ran' && answer.recorded) ? answer.value : undefined;

/** The value that a caller was told in this move, as the recorded outcome of the key. */
function told(before: State, after: State): string | undefined {
  const index = after.callers.findIndex((caller, at) => caller.answer && !before.callers[at]!.answer);
  return index < 0 ? undefined : recordedValue(after.callers[index]!.answer);
}

/** The token that a claim has just won with. */
const granted = (before: State, { name, next }: Move): string | undefined => {
  const { record } = next;
  const isNew = /claim is executed/.test(name) && record?.token !== before.record?.token;
  return isNew && record?.status === 'IN_PROGRESS' ? record.token : undefined;
};

export const PROPERTIES: Record<string, Property> = {
  'G6 agreement: whoever is told a recorded success is told the same one': (before, { next }) => {
    const value = told(before, next);
    const { agreed, excused } = before.past;
    if (value === undefined || excused || agreed === undefined || agreed === value) return undefined;
    return `${value} after ${agreed}`;
  },

  'G5: fences grow': (before, move) => {
    const { next } = move;
    const token = granted(before, move);
    if (token === undefined || next.record!.fence > before.past.highestFence) return undefined;
    return `${token} was granted fence ${next.record!.fence} after ${before.past.highestFence}`;
  },

  'no overlap: nobody is granted a lease while another one lasts': (before, move) => {
    const { next } = move;
    const token = granted(before, move);
    if (token === undefined || before.past.excused) return undefined;
    const living = before.callers.find(
      ({ phase, lease }) => phase === 'working' && lease!.token !== token && lease!.leaseEndsAtMs > next.now,
    );
    return living && `${token} runs beside ${living.lease!.token}`;
  },

  'G3: a stale writer changes nothing': (before, { name, next }) => {
    const { record } = before;
    if (!/renew|settle/.test(name) || !record || next.record === record) return undefined;
    const writer = next.record!.token;
    if (writer === record.token) return undefined;
    if (record.status === 'TOMBSTONE') return `${writer} wrote over a tombstone`;
    if (record.final) return `${writer} wrote over the final outcome of ${record.token}`;
    return next.record!.fence > record.fence ? undefined : `${writer} wrote over the newer ${record.token}`;
  },

  'what a person forgot is not brought back by a late writer': ({ past, record }, { name, next }) => {
    const isWrite = /renew|settle/.test(name) && next.record !== record;
    if (!isWrite || next.record!.fence > past.forgottenFence) return undefined;
    return `${next.record!.token} is back`;
  },

  'G2: a settling that was answered with true has been recorded': (before, { next }) => {
    const token = next.past.recorded.find((each) => !before.past.recorded.includes(each));
    const { record } = next;
    const isThere = record !== undefined && record.token === token && record.status !== 'IN_PROGRESS';
    if (token === undefined || isThere) return undefined;
    return `${token} was told true, and ${record?.token ?? 'nothing'} ${record?.status ?? ''} stands there`;
  },

  'G2: an attempt that has recorded its outcome is never told that it lost': (before, { name, next }) => {
    const lost = next.callers.find(
      ({ phase, lease }, at) =>
        phase === 'following' &&
        before.callers[at]!.phase === 'settling' &&
        /hears about settle/.test(name) &&
        next.past.recorded.includes(lease!.token),
    );
    return lost && !next.past.excused ? `${lost.lease!.token} was recorded` : undefined;
  },

  'G8: a claim that was withdrawn is never granted': (before, move) => {
    const token = granted(before, move);
    // A mark remembers the last token; a store without its data remembers none.
    const isMarked = before.past.withdrawn.length === 1 && !before.past.excused;
    return isMarked && before.past.withdrawn[0] === token ? `${token} holds the key` : undefined;
  },

  'once: without a lease that ran out or a failure, there is one effect': ({ past }, { next }, budget) => {
    const { ticks, failures, wipes, people } = next.budget;
    const isCalm =
      ticks === budget.ticks &&
      failures === budget.failures &&
      wipes === budget.wipes &&
      people === budget.people;
    return isCalm && next.past.effects > 1 && past.effects <= 1 ? `${next.past.effects} effects` : undefined;
  },
};

/** No wedge: once all is quiet, and a lease later, a newcomer gets an answer, or a clear refusal under `block`. */
export function wedge(steps: Steps, rule: AbandonedRule, stuck: State): string | undefined {
  const protocol = new Protocol(steps, rule);
  let state: State = { ...stuck, now: stuck.now + LEASE, callers: [], ghosts: [], chores: [] };
  let caller = FRESH;
  for (let tries = 0; tries < 4; tries++) {
    caller = protocol.claim(9, caller, state.now);
    const { state: after, answer } = execute(steps, state, caller.call!.command);
    state = after;
    caller = protocol.answered(
      { ...caller, call: { ...caller.call!, answer, isExecuted: true } },
      state.now,
    ).caller;
    if (caller.phase === 'working') {
      const settle = protocol.settle({ ...caller, effect: 'late' }, 'completed', state.now).call!.command;
      return execute(steps, state, settle).answer === true
        ? undefined
        : 'a newcomer can not record its outcome';
    }
    if (caller.phase === 'waiting') return 'a newcomer waits for a lease that is over';
    if (caller.answer?.kind === 'refused' && rule !== 'block') return 'a newcomer is refused';
    if (caller.phase === 'done') return undefined;
  }
  return 'a newcomer claims again and again';
}

/** What the past looks like after a move. */
export function remembered(before: State, { next }: Move): State {
  const agreed = next.past.agreed ?? told(before, next);
  const highestFence = Math.max(next.past.highestFence, next.record?.fence ?? 0);
  return { ...next, past: { ...next.past, agreed, highestFence } };
}
