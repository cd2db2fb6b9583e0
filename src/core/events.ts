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
  /** An outcome was refused: a newer attempt, a person, or a tombstone stands in the record. */
  superseded: 'superseded',
  /** Work runs without protection: the store was down and `onStoreError` is `run`. */
  unprotected: 'unprotected',
  /** An outcome was recorded without its value: too large, or not encodable. */
  'no-value': 'withoutValue',
  /** A store call failed. */
  'store-error': 'storeErrors',
} as const;

export type EventName = keyof typeof COUNTERS;
export type Stats = { readonly [Name in EventName as (typeof COUNTERS)[Name]]: number };
export type Listener = (detail: EventDetail) => void;

/** Events and their counters. A listener that throws harms nobody; it is reported to `onListenerError`. */
export class Events {
  readonly #listeners = new Map<EventName, Set<Listener>>();
  readonly #counts: Partial<Record<EventName, number>> = {};

  constructor(private readonly onListenerError: (error: unknown) => void) {}

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
    this.#counts[event] = (this.#counts[event] ?? 0) + 1;
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

  stats(): Stats {
    const entries = Object.entries(COUNTERS) as [EventName, string][];
    return Object.fromEntries(
      entries.map(([event, counter]) => [counter, this.#counts[event] ?? 0]),
    ) as Stats;
  }
}

export function isEventName(name: unknown): name is EventName {
  return typeof name === 'string' && Object.hasOwn(COUNTERS, name);
}
