import type { HistoryEvent } from '../history.js';

type Of<Is extends HistoryEvent['is']> = Extract<HistoryEvent, { is: Is }>;

/** One call, from beginning to end. */
export interface Call {
  readonly invoke: Of<'invoke'>;
  answer: Of<'answer'> | undefined;
  /** How long its own work took, in all its attempts. */
  ownWorkMs: number;
}

/** One attempt: what it was granted, what it did, and how it was settled. */
export interface Attempt {
  readonly token: string;
  readonly key: string;
  readonly fence: number;
  readonly grants: Of<'granted' | 'renewed'>[];
  readonly settled: Of<'settled'>[];
  started: Of<'started'> | undefined;
  effect: Of<'effect'> | undefined;
  ended: Of<'ended'> | undefined;
  unrecordedAt: number;
  recordedLateAt: number;
}

/** All that happened to one key. */
export interface KeyStory {
  readonly key: string;
  readonly calls: Call[];
  readonly attempts: Map<string, Attempt>;
  /** In the order of the log, which is the order in which a downstream would have seen them. */
  readonly effects: Of<'effect'>[];
}

export interface Stories {
  readonly keys: ReadonlyMap<string, KeyStory>;
  readonly losses: readonly Of<'loss'>[];
  readonly killed: ReadonlyMap<string, number>;
  readonly died: readonly Of<'died'>[];
  readonly healedAt: number | undefined;
  /** How long a process did nothing, between two moments. */
  stalledMs(by: string, from: number, to: number): number;
  /** Whether the store lost acknowledged data between two moments. */
  lostBetween(from: number, to: number): boolean;
}

export function tell(history: readonly HistoryEvent[]): Stories {
  const keys = new Map<string, KeyStory>();
  const calls = new Map<string, Call>();
  for (const event of history) if ('key' in event) tellOfKey(keys, calls, event);
  const losses = only(history, 'loss');
  const stalls = only(history, 'stalled');
  return {
    keys,
    losses,
    killed: new Map(only(history, 'killed').map(({ worker, at }) => [worker, at])),
    died: only(history, 'died'),
    healedAt: only(history, 'healed')[0]?.at,
    stalledMs: (by, from, to) =>
      stalls
        .filter((stall) => stall.by === by)
        .reduce((sum, stall) => sum + Math.max(0, Math.min(stall.at, to) - Math.max(stall.from, from)), 0),
    lostBetween: (from, to) => losses.some((loss) => loss.at >= from && loss.from <= to),
  };
}

function only<Is extends HistoryEvent['is']>(history: readonly HistoryEvent[], is: Is): Of<Is>[] {
  return history.filter((event): event is Of<Is> => event.is === is);
}

type KeyEvent = Extract<HistoryEvent, { key: string }>;

function tellOfKey(keys: Map<string, KeyStory>, calls: Map<string, Call>, event: KeyEvent): void {
  let story = keys.get(event.key);
  if (!story) keys.set(event.key, (story = { key: event.key, calls: [], attempts: new Map(), effects: [] }));
  if (event.is === 'invoke') {
    const call: Call = { invoke: event, answer: undefined, ownWorkMs: 0 };
    story.calls.push(call);
    calls.set(event.call, call);
  } else if (event.is === 'answer') {
    const call = calls.get(event.call);
    if (call) call.answer = event;
  } else {
    tellOfAttempt(story, attemptOf(story, event), event, calls);
  }
}

type AttemptEvent = Exclude<KeyEvent, { is: 'invoke' | 'answer' }>;

function attemptOf({ attempts }: KeyStory, { token, key, fence }: AttemptEvent): Attempt {
  let attempt = attempts.get(token);
  if (!attempt) {
    const nothing = { started: undefined, effect: undefined, ended: undefined };
    const never = { unrecordedAt: Infinity, recordedLateAt: Infinity };
    attempt = { token, key, fence, grants: [], settled: [], ...nothing, ...never };
    attempts.set(token, attempt);
  }
  return attempt;
}

function tellOfAttempt(
  story: KeyStory,
  attempt: Attempt,
  event: AttemptEvent,
  calls: Map<string, Call>,
): void {
  switch (event.is) {
    case 'granted':
    case 'renewed':
      attempt.grants.push(event);
      break;
    case 'settled':
      attempt.settled.push(event);
      break;
    case 'started':
      attempt.started = event;
      break;
    case 'effect':
      attempt.effect = event;
      story.effects.push(event);
      break;
    case 'ended': {
      attempt.ended = event;
      const call = calls.get(event.call);
      if (call && attempt.started) call.ownWorkMs += event.at - attempt.started.at;
      break;
    }
    case 'unrecorded':
      attempt.unrecordedAt = event.at;
      break;
    case 'recorded-late':
      attempt.recordedLateAt = event.at;
  }
}

/** The first grant of an attempt: its claim. */
export const claimOf = (attempt: Attempt): Of<'granted' | 'renewed'> | undefined => attempt.grants[0];

/** Attempts that were granted, as they began. */
export function granted(story: KeyStory): Attempt[] {
  const began = (attempt: Attempt) => claimOf(attempt)?.at ?? 0;
  return [...story.attempts.values()].filter(claimOf).sort((a, b) => began(a) - began(b));
}
