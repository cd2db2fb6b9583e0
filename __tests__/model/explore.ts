import type { AbandonedRule } from '../../src/core/record.js';
import { FRESH } from './caller.js';
import { Moves } from './moves.js';
import { PROPERTIES, remembered, wedge } from './properties.js';
import type { Budget, State } from './state.js';
import { canonical } from './canonical.js';
import type { Steps } from './store.js';

export interface Explored {
  readonly states: number;
  readonly moves: number;
  readonly violation:
    { readonly property: string; readonly why: string; readonly trace: string[] } | undefined;
}

export interface World {
  readonly callers: number;
  readonly rule: AbandonedRule;
  readonly budget: Budget;
  readonly isClockStopped?: boolean;
}

/** Visits every state that can be reached, depth first, and stops at the first violation. */
export function explore(steps: Steps, { callers, rule, budget, isClockStopped = false }: World): Explored {
  const moves = new Moves(steps, rule);
  const seen = new Set<number>();
  const stack: { state: State; name: string; depth: number }[] = [
    { state: { ...initial(callers, budget), isClockStopped }, name: 'start', depth: 0 },
  ];
  const trace: string[] = [];
  let count = 0;
  while (stack.length > 0) {
    const { state, name, depth } = stack.pop()!;
    const id = hash(canonical(state));
    if (seen.has(id)) continue;
    seen.add(id);
    trace.length = depth;
    trace.push(name);
    const stuck = wedge(steps, rule, state);
    if (stuck !== undefined) return found('no wedge', stuck);
    for (const move of moves.of(state)) {
      count++;
      for (const [property, holds] of Object.entries(PROPERTIES)) {
        const why = holds(state, move, budget);
        if (why !== undefined) return found(property, why, move.name);
      }
      stack.push({ state: remembered(state, move), name: move.name, depth: depth + 1 });
    }
  }
  return { states: seen.size, moves: count, violation: undefined };

  function found(property: string, why: string, last?: string): Explored {
    const violation = { property, why, trace: last === undefined ? [...trace] : [...trace, last] };
    return { states: seen.size, moves: count, violation };
  }
}

function initial(callers: number, budget: Budget): State {
  return {
    now: 0,
    micros: 1_000,
    isClockStopped: false,
    record: undefined,
    callers: Array.from({ length: callers }, () => FRESH),
    ghosts: [],
    chores: [],
    budget,
    past: {
      agreed: undefined,
      highestFence: 0,
      effects: 0,
      recorded: [],
      withdrawn: [],
      forgottenFence: 0,
      excused: false,
    },
  };
}

// In a test the global objects are reached through a proxy: too slow for every character.
const { imul } = Math;

/** 53 bits: two of a million states share one with a chance of about one in ten thousand. */
function hash(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    high = imul(high ^ unit, 2_654_435_761);
    low = imul(low ^ unit, 1_597_334_677);
  }
  high = imul(high ^ (high >>> 16), 2_246_822_507) ^ imul(low ^ (low >>> 13), 3_266_489_909);
  low = imul(low ^ (low >>> 16), 2_246_822_507) ^ imul(high ^ (high >>> 13), 3_266_489_909);
  return 4_294_967_296 * (2_097_151 & low) + (high >>> 0);
}
