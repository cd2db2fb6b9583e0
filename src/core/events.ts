import type { ErrorCode } from './errors.js';

/**
 * How a call ended: one name each, which events, stats and telemetry share.
 * - `ran`: its own attempt ran. `took-over`: so did this one, in the place of an abandoned attempt.
 * - `replayed`: it was answered from a settled record.
 * - `joined`: it shared an attempt of this process. `waited`: it waited for one of another process.
 * - `refused`: it got an error, whose code stands beside it.
 * - `lost`: its own attempt ran and lost its lease.
 * - `left`: its signal was aborted.
 */
export const RUN_ENDS = [
  'ran',
  'took-over',
  'replayed',
  'joined',
  'waited',
  'refused',
  'lost',
  'left',
] as const;
export type RunEnd = (typeof RUN_ENDS)[number];

/** Which operation, under which key. */
export interface Label {
  readonly name: string;
  readonly key: string;
}

/** What every event tells. */
export interface EventDetail extends Label {
  readonly attempt?: number;
  readonly fence?: number;
  readonly error?: unknown;
  /** With `no-value`: the path inside the result that could not be recorded. */
  readonly path?: string;
  /**
   * With `given-up`: what there was no room, or no time, for. `withdrawal`: a claim that may still hold the key until its lease
   * ends. `value`: the outcome is recorded without it. `outcome`: the store is not told that the work ended.
   */
  readonly what?: 'withdrawal' | 'value' | 'outcome';
  /** With `dropped-members`: the paths of what was left out. */
  readonly paths?: readonly string[];
  /** With `end`: how the call ended. */
  readonly outcome?: RunEnd;
  /** With `end` and a refusal: the code of the error. */
  readonly code?: ErrorCode;
  /** With `end`: how long the call took, in milliseconds. */
  readonly durationMs?: number;
}

/** Every event, with what it counts as in `stats()`. */
const COUNTERS = {
  /** A settled record answered a duplicate. */
  hit: 'hits',
  /** The work was run. */
  miss: 'misses',
  /** A duplicate began to wait. */
  wait: 'waits',
  /** A duplicate joined an attempt of this process, without a store command. */
  join: 'joins',
  /** An abandoned record was taken over. */
  takeover: 'takeovers',
  /** An attempt lost its lease while it ran. */
  'lease-lost': 'leaseLosses',
  /** An outcome could not be recorded within the deadline; settling goes on in the background. */
  unrecorded: 'unrecorded',
  /** An unrecorded outcome was recorded after all. */
  'recorded-late': 'recordedLate',
  /** What an outage left to do was too much, or took too long: the detail says what is not done. */
  'given-up': 'givenUp',
  /** An outcome was refused: a newer attempt, a person, or a tombstone stands in the record. */
  superseded: 'superseded',
  /** Work runs without protection: the store was down and `onStoreError` is `run`. */
  unprotected: 'unprotected',
  /** An HTTP request ran without protection: it had no key, which `required: false` allows, or `skip` said so. */
  bypass: 'bypasses',
  /** An outcome was recorded without its value: too large, or not encodable. */
  'no-value': 'withoutValue',
  /** Members of an error were left out of its record. Told once for each operation and path. */
  'dropped-members': 'droppedMembers',
  /** A person settled a record: `resolve` changed it. */
  resolved: 'resolved',
  /** A person forgot a record: `forget` changed it. */
  forgotten: 'forgotten',
  /** A failure was judged by its default: `remember` threw, or its answer means nothing. */
  'no-verdict': 'withoutVerdict',
  /** A store call failed. */
  'store-error': 'storeErrors',
  /** A call ended; the detail says how. */
  end: 'ends',
} as const;

export type EventName = keyof typeof COUNTERS;
export type Stats = { readonly [Name in EventName as (typeof COUNTERS)[Name]]: number } & {
  /** How many calls ended in each way. */
  readonly outcomes: Readonly<Record<RunEnd, number>>;
  /** How many calls were refused with each code. Codes that did not occur are absent. */
  readonly refusals: Readonly<Partial<Record<ErrorCode, number>>>;
};
export type Listener = (detail: EventDetail) => void;

interface Counts {
  readonly events: Partial<Record<EventName, number>>;
  readonly outcomes: Partial<Record<RunEnd, number>>;
  readonly refusals: Partial<Record<ErrorCode, number>>;
}

/** Names are operations, of which there are few; should somebody make them up, the rest is counted as one. */
const MAX_OPERATIONS = 1_000;
const OTHERS = '';
const NOTHING: Counts = { events: {}, outcomes: {}, refusals: {} };

/** How often each event was emitted, per operation. */
export class Tally {
  readonly #counts = new Map<string, Counts>();

  add(event: EventName, operation: string): void {
    count(this.#of(operation).events, event);
  }

  addEnd(operation: string, outcome: RunEnd, code: ErrorCode | undefined): void {
    const { events, outcomes, refusals } = this.#of(operation);
    count(events, 'end');
    count(outcomes, outcome);
    if (code !== undefined) count(refusals, code);
  }

  /** Of one operation, or of all together. */
  stats(operation?: string): Stats {
    const counted =
      operation === undefined ? [...this.#counts.values()] : [this.#counts.get(operation) ?? NOTHING];
    const total = <Name extends string>(part: (counts: Counts) => Partial<Record<Name, number>>) => {
      const sums: Partial<Record<Name, number>> = {};
      for (const counts of counted)
        for (const [name, n] of Object.entries(part(counts)) as [Name, number][]) count(sums, name, n);
      return sums;
    };
    const events = total((counts) => counts.events);
    const outcomes = total((counts) => counts.outcomes);
    const entries = Object.entries(COUNTERS) as [EventName, string][];
    return {
      ...Object.fromEntries(entries.map(([event, counter]) => [counter, events[event] ?? 0])),
      outcomes: Object.fromEntries(RUN_ENDS.map((end) => [end, outcomes[end] ?? 0])),
      refusals: total((counts) => counts.refusals),
    } as Stats;
  }

  #of(operation: string): Counts {
    const known = this.#counts.get(operation);
    if (known) return known;
    const isFull = this.#counts.size >= MAX_OPERATIONS;
    if (isFull && operation !== OTHERS) return this.#of(OTHERS);
    const counts: Counts = { events: {}, outcomes: {}, refusals: {} };
    this.#counts.set(operation, counts);
    return counts;
  }
}

function count<Name extends string>(counts: Partial<Record<Name, number>>, name: Name, by = 1): void {
  counts[name] = (counts[name] ?? 0) + by;
}

/** Events and their counters. A listener that throws harms nobody; it is reported to `onListenerError`. */
export class Events {
  readonly #listeners = new Map<EventName, Set<Listener>>();

  constructor(
    private readonly onListenerError: (error: unknown) => void,
    private readonly tally = new Tally(),
  ) {}

  on(event: EventName, listener: Listener): () => void {
    let listeners = this.#listeners.get(event);
    if (!listeners) this.#listeners.set(event, (listeners = new Set()));
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** Counts it, and tells whoever listens; the detail is made only for them. */
  emit(
    event: EventName,
    label: Label,
    of?: Pick<EventDetail, 'attempt' | 'fence'>,
    more?: Partial<EventDetail>,
  ): void {
    this.tally.add(event, label.name);
    this.#tell(event, label, of, more);
  }

  /** Counts the end of a call, and tells whoever listens to `end`. */
  emitEnd(label: Label, outcome: RunEnd, durationMs: number, code?: ErrorCode): void {
    this.tally.addEnd(label.name, outcome, code);
    if (this.#listeners.has('end'))
      this.#tell('end', label, undefined, { outcome, durationMs, ...(code && { code }) });
  }

  #tell(
    event: EventName,
    label: Label,
    of: Pick<EventDetail, 'attempt' | 'fence'> | undefined,
    more: Partial<EventDetail> | undefined,
  ): void {
    const listeners = this.#listeners.get(event);
    if (!listeners) return;
    const attempt = of && { attempt: of.attempt, fence: of.fence };
    const detail = { name: label.name, key: label.key, ...attempt, ...more };
    for (const listener of listeners) {
      try {
        listener(detail);
      } catch (error) {
        this.onListenerError(error);
      }
    }
  }

  /** Of one operation, or of all together. */
  stats(operation?: string): Stats {
    return this.tally.stats(operation);
  }
}

export function isEventName(name: unknown): name is EventName {
  return typeof name === 'string' && Object.hasOwn(COUNTERS, name);
}
