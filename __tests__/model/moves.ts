import type { AbandonedRule } from '../../src/core/record.js';
import { Protocol, send, type Reaction } from './caller.js';
import { FOREVER, LEASE, KEY, type CallerState, type Command, type State } from './state.js';
import { execute, foundIn, momentOf, type Steps } from './store.js';

export interface Move {
  readonly name: string;
  readonly next: State;
}

const MAX_ATTEMPTS = 2;

/** Everything that can happen next: a move of a caller, of the network, of the store, or of the nemesis. */
export class Moves {
  readonly #protocol: Protocol;

  constructor(
    private readonly steps: Steps,
    private readonly rule: AbandonedRule,
  ) {
    this.#protocol = new Protocol(steps, rule);
  }

  of(state: State): Move[] {
    return [
      ...state.callers.flatMap((caller, index) => this.#ofCaller(state, caller, index)),
      ...state.ghosts.flatMap((command, index) => this.#ofGhost(state, command, index)),
      ...state.chores.map((command, index) => this.#ofChore(state, command, index)),
      ...this.#ofNemesis(state),
    ];
  }

  #ofCaller(state: State, caller: CallerState, index: number): Move[] {
    const { now, budget } = state;
    const to = (name: string, next: CallerState) => ({
      name: `${index} ${name}`,
      next: withCaller(state, index, next),
    });
    switch (caller.phase) {
      case 'done':
      case 'crashed':
        return [];
      default:
    }
    const moves: Move[] = [];
    if (budget.crashes > 0) {
      const ghosts = caller.call && !caller.call.isExecuted ? [caller.call.command] : [];
      const next = withCaller(spent(state, 'crashes'), index, {
        ...caller,
        phase: 'crashed',
        call: undefined,
      });
      moves.push({ name: `${index} crashes`, next: { ...next, ghosts: [...next.ghosts, ...ghosts] } });
    }
    if (caller.call) return [...moves, ...this.#ofCall(state, caller, index)];
    const owns = now < caller.grantedAt + LEASE;
    switch (caller.phase) {
      case 'ready':
        if (caller.attempts < MAX_ATTEMPTS)
          moves.push(to('claims', this.#protocol.claim(index, caller, now)));
        break;
      case 'waiting':
      case 'following': {
        const next = this.#protocol.look(caller, state);
        if (next.phase !== caller.phase) moves.push(to('looks', next));
        break;
      }
      case 'working':
        moves.push(...this.#ofWork(state, caller, index, owns, to));
        break;
      case 'claiming':
      case 'settling':
        break;
    }
    return moves;
  }

  /** The work of one attempt. It may be paused between any two moves, beyond its lease as well. */
  #ofWork(
    state: State,
    caller: CallerState,
    index: number,
    owns: boolean,
    to: (name: string, next: CallerState) => Move,
  ): Move[] {
    const { now, budget, past } = state;
    const moves: Move[] = [];
    if (!owns) moves.push(to('finds its lease over', { ...caller, phase: 'following' }));
    else moves.push(to('renews', send(caller, { kind: 'renew', lease: caller.lease! }, now)));
    if (caller.effect) {
      moves.push(to('settles', this.#protocol.settle(caller, 'completed', now)));
      return moves;
    }
    if (caller.reconciles) {
      // The provider knows of every effect; a reconcile that throws leaves the outcome unknown.
      if (past.effects > 0)
        moves.push(to('finds the effect', { ...caller, effect: 'reconciled', reconciles: false }));
      else moves.push(to('finds nothing', { ...caller, reconciles: false }));
      if (budget.failures > 0) {
        const settled = this.#protocol.settle(caller, 'unknown', now);
        moves.push({
          name: `${index} reconcile throws`,
          next: withCaller(spent(state, 'failures'), index, settled),
        });
      }
      return moves;
    }
    const effected = withCaller(state, index, { ...caller, effect: caller.lease!.token });
    moves.push({
      name: `${index} has its effect`,
      next: { ...effected, past: { ...past, effects: past.effects + 1 } },
    });
    if (budget.failures > 0) {
      const settled = this.#protocol.settle(caller, this.rule === 'retry' ? 'failed' : 'unknown', now);
      moves.push({ name: `${index} fails`, next: withCaller(spent(state, 'failures'), index, settled) });
      const release: Command = { kind: 'release', token: caller.lease!.token };
      const released = send({ ...caller, phase: 'settling' }, release, now);
      moves.push({ name: `${index} releases`, next: withCaller(spent(state, 'failures'), index, released) });
    }
    return moves;
  }

  #ofCall(state: State, caller: CallerState, index: number): Move[] {
    const call = caller.call!;
    const moves: Move[] = [];
    if (!call.isExecuted) {
      const { state: after, answer } = execute(this.steps, state, call.command);
      const next = withCaller(after, index, { ...caller, call: { ...call, answer, isExecuted: true } });
      moves.push({
        name: `${index} ${call.command.kind} is executed`,
        next: noted(state, next, call.command, answer),
      });
    } else {
      moves.push({
        name: `${index} hears about ${call.command.kind}`,
        next: reacted(state, index, this.#protocol.answered(caller, state.now)),
      });
    }
    if (state.budget.lost > 0) {
      const lost = spent(state, 'lost');
      moves.push({
        name: `${index} gives up ${call.command.kind}`,
        next: reacted(lost, index, this.#protocol.gaveUp(caller)),
      });
      if (call.isExecuted) {
        const again = { ...caller, call: { ...call, answer: undefined, isExecuted: false } };
        moves.push({ name: `${index} resends ${call.command.kind}`, next: withCaller(lost, index, again) });
      }
    }
    return moves;
  }

  #ofGhost(state: State, command: Command, index: number): Move[] {
    const rest = { ...state, ghosts: state.ghosts.filter((_, at) => at !== index) };
    const { state: after, answer } = execute(this.steps, rest, command);
    return [
      { name: `ghost ${command.kind} is executed`, next: noted(rest, after, command, answer) },
      { name: `ghost ${command.kind} vanishes`, next: rest },
    ];
  }

  #ofChore(state: State, command: Command, index: number): Move {
    const rest = { ...state, chores: state.chores.filter((_, at) => at !== index) };
    const { state: after, answer } = execute(this.steps, rest, command);
    return { name: `background ${command.kind}`, next: noted(rest, after, command, answer) };
  }

  #ofNemesis(state: State): Move[] {
    const { budget, now, past } = state;
    const moves: Move[] = [];
    const excused = { ...past, agreed: undefined, excused: true };
    if (budget.ticks > 0)
      moves.push({ name: 'time passes', next: { ...spent(state, 'ticks'), now: now + 1 } });
    if (budget.wipes > 0) {
      moves.push({
        name: 'the store loses its data',
        next: { ...spent(state, 'wipes'), record: undefined, past: excused },
      });
    }
    if (budget.people > 0) {
      const at = { ...spent(state, 'people'), micros: state.micros + 1 };
      const found = foundIn(this.steps, at);
      const forget = this.steps.override(found, KEY, { kind: 'forget', force: true }, momentOf(at));
      if (forget.answer === 'done') {
        const forgotten = { ...excused, forgottenFence: past.highestFence };
        moves.push({
          name: 'a person forgets the key',
          next: { ...at, record: forget.write, past: forgotten },
        });
      }
      const outcome = { status: 'COMPLETED', final: true, payload: 'by hand', retentionMs: FOREVER } as const;
      const resolve = this.steps.override(
        found,
        KEY,
        { kind: 'resolve', token: 'person', ...outcome },
        momentOf(at),
      );
      if (resolve.write) {
        const next = { ...excused, agreed: 'by hand' };
        moves.push({ name: 'a person resolves the key', next: { ...at, record: resolve.write, past: next } });
      }
    }
    return moves;
  }
}

function withCaller(state: State, index: number, caller: CallerState): State {
  return { ...state, callers: state.callers.map((other, at) => (at === index ? caller : other)) };
}

function spent(state: State, what: keyof State['budget']): State {
  return { ...state, budget: { ...state.budget, [what]: state.budget[what] - 1 } };
}

function reacted(state: State, index: number, { caller, ghosts = [], chores = [] }: Reaction): State {
  const next = withCaller(state, index, caller);
  return { ...next, ghosts: [...next.ghosts, ...ghosts], chores: [...next.chores, ...chores] };
}

/** What the past must remember of an executed command. */
function noted(before: State, after: State, command: Command, answer: unknown): State {
  const { past } = after;
  if (command.kind === 'settle' && answer === true && command.settlement.status !== 'IN_PROGRESS') {
    const recorded = [...new Set([...past.recorded, command.lease.token])].sort();
    return { ...after, past: { ...past, recorded } };
  }
  if (command.kind === 'release' && !isRunning(before, command.token)) {
    const withdrawn = [...new Set([...past.withdrawn, command.token])].sort();
    return { ...after, past: { ...past, withdrawn } };
  }
  return after;
}

/**
 * Whether another attempt holds the record. It is not marked then: a claim that arrives late enough may be granted once
 * that attempt has failed, and holds the key for nobody until its lease is over.
 */
function isRunning({ record, now }: State, token: string): boolean {
  return record?.status === 'IN_PROGRESS' && record.token !== token && record.leaseEndsAtMs > now;
}
