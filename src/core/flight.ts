import type { IdempotencyError } from './errors.js';
import { Latch } from './latch.js';
import type { StoredRecord } from './record.js';
import type { LeaseStore } from './store.js';
import type { Waiter } from './waiter.js';

/** What is seen of a key. */
export type Sight =
  | { readonly kind: 'record'; readonly record: StoredRecord }
  /** A record of this process's own making: only joiners look, so that it is made for them. */
  | { readonly kind: 'local'; readonly make: () => StoredRecord }
  /** There is nothing to share any more: claim again. */
  | { readonly kind: 'again' }
  | { readonly kind: 'failed'; readonly error: IdempotencyError };

/**
 * The one thing that happens to a key in this process: a claim, then an attempt that runs here, or a watch of
 * one that runs elsewhere. All callers of the key share it, so that a joiner costs no store command.
 */
export class Flight {
  /** What the claim met: a record in progress, here or elsewhere, or at once the end. */
  readonly sighted = new Latch<Sight>();
  /** How it ended. */
  readonly landed = new Latch<Sight>();
  /** Called when the last follower has left before the end. */
  onDeserted: (() => void) | undefined;
  /** Whether the attempt runs in this process. */
  isLocal = false;
  /** The watch of an attempt that runs elsewhere. */
  watch: Waiter | undefined;
  #followers = 0;

  /** Of an attempt of this process that has ended so. */
  static of(sight: Sight): Flight {
    const flight = new Flight();
    flight.isLocal = true;
    flight.land(sight);
    return flight;
  }

  land(sight: Sight): void {
    this.sighted.set(sight);
    this.landed.set(sight);
  }

  /** Follows until the end, or until `bounded` gives up. */
  async follow<R>(bounded: (end: Promise<Sight>) => Promise<R>): Promise<R> {
    this.#followers++;
    try {
      return await bounded(this.landed.wait());
    } finally {
      if (--this.#followers === 0 && this.landed.value === undefined) this.onDeserted?.();
    }
  }
}

// One per process, also where the ESM and the CommonJS build are both loaded: they must join each other.
const TABLE = Symbol.for('twiceshy.flights.2');

/** The flights of one store in this process, by identity (`identityOf`). Two stores never join, nor do two identities. */
export function flightsOf(store: LeaseStore): Map<string, Flight> {
  const holder = globalThis as { [TABLE]?: WeakMap<LeaseStore, Map<string, Flight>> };
  const tables = (holder[TABLE] ??= new WeakMap<LeaseStore, Map<string, Flight>>());
  let flights = tables.get(store);
  if (!flights) tables.set(store, (flights = new Map<string, Flight>()));
  return flights;
}
