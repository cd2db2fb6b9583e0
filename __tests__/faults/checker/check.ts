import type { HistoryEvent } from '../history.js';
import { agreement, boundedAnswers, noLostAnswer } from './answers.js';
import { downstream, fences, noOverlap } from './leases.js';
import { noWedge, slowestRecoveryMs } from './recovery.js';
import { tell } from './stories.js';

/** What a run was made with, as far as its history is judged by it. */
export interface Terms {
  readonly leaseMs: number;
  readonly waitTimeoutMs: number;
  readonly storeTimeoutMs: number;
  /** Nothing was done that could pause or crash anybody: exactly one effect a key. */
  readonly calm: boolean;
  /** How much slower than its deadlines a busy machine may be. Nothing but speed is judged by it. */
  readonly slackMs: number;
}

export const PROPERTIES = [
  'No lost answer',
  'Agreement',
  'No overlap',
  'Fences',
  'No wedge',
  'Bounded answers',
] as const;
export type Property = (typeof PROPERTIES)[number];

export interface Finding {
  readonly property: Property;
  readonly key: string;
  readonly what: string;
  /** Why it is none of the library's: counted, and not a violation. */
  readonly excuse: string | undefined;
}

export interface Verdict {
  readonly violations: readonly Finding[];
  readonly excused: readonly Finding[];
  readonly calls: number;
  readonly keys: number;
  readonly effects: number;
  /** Keys with more than one effect: at-least-once, as it happens. */
  readonly repeatedKeys: number;
  /** Effects of stale owners that a downstream which looks at the fence refuses. */
  readonly refusedByFence: number;
  readonly slowestRecoveryMs: number;
}

/** Decides from the history alone, and touches nothing else. */
export function check(history: readonly HistoryEvent[], terms: Terms): Verdict {
  const stories = tell(history);
  const findings = [
    ...noLostAnswer(stories),
    ...agreement(stories),
    ...noOverlap(stories, terms),
    ...fences(stories),
    ...noWedge(stories, terms),
    ...boundedAnswers(stories, terms),
  ];
  const keys = [...stories.keys.values()];
  const sum = (of: (story: (typeof keys)[number]) => number) =>
    keys.reduce((total, story) => total + of(story), 0);
  return {
    violations: findings.filter(({ excuse }) => excuse === undefined),
    excused: findings.filter(({ excuse }) => excuse !== undefined),
    calls: sum(({ calls }) => calls.length),
    keys: keys.length,
    effects: sum(({ effects }) => effects.length),
    repeatedKeys: keys.filter(({ effects }) => effects.length > 1).length,
    refusedByFence: sum((story) => downstream(story).refused),
    slowestRecoveryMs: slowestRecoveryMs(stories),
  };
}

/** The lines of a history that a finding is about, for a report. */
export function traceOf(history: readonly HistoryEvent[], { key }: Finding): string[] {
  const first = history[0]?.at ?? 0;
  const isAbout = (event: HistoryEvent) =>
    'key' in event ? event.key === key : !['stalled', 'died'].includes(event.is) || key === '';
  return history
    .filter(isAbout)
    .map(({ at, wall: _, ...event }) => `${(at - first).toFixed(1).padStart(9)} ${JSON.stringify(event)}`);
}
