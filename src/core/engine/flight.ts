import type { IdempotencyError } from '../errors.js';
import { Latch } from '../attempt/latch.js';
import { runningRecord } from '../attempt/local-record.js';
import { keyIdentity, type Lease, type StoredRecord, type StoreKey } from '../record.js';
import type { LeaseStore } from '../store.js';
import type { Waiter } from './waiter.js';

/** What is seen of a key. */
export type Sight =
  | { readonly kind: 'record'; readonly record: StoredRecord }
  /** There is nothing to share: look again. */
  | { readonly kind: 'again' }
  | { readonly kind: 'failed'; readonly error: IdempotencyError };

export const AGAIN: Sight = { kind: 'again' };
/** Where there is no record, there is nothing to share. */
export const sightFrom = (record: StoredRecord | undefined): Sight =>
  record ? { kind: 'record', record } : AGAIN;

/**
 * The one thing that happens to a key in this process: a claim, then an attempt that runs here, or the watch of one that runs
 * in another process. All callers of the key share it, so that a caller who joins costs no store command.
 *
 * It keeps its end only if somebody joined it. The table of flights lives long, and the garbage collector keeps what long-lived
 * objects refer to. So a flight that nobody joined must not refer to the call.
 */
export class Flight {
  #lease: Lease | undefined;
  #watch: Waiter | undefined;
  #joiners = 0;
  #followers = 0;
  /** What there is to see: a running record, or at once the end. */
  #sight: Latch<Sight> | undefined;
  #end: Latch<Sight> | undefined;

  constructor(
    private readonly flights: Flights,
    private readonly identity: string,
  ) {}

  /** Whether the attempt runs, or ran, in this process. */
  get isLocal(): boolean {
    return this.#lease !== undefined;
  }

  /** Why a watched record can't be read; undefined while it can. */
  get readError(): unknown {
    return this.#watch?.readError;
  }

  /** An attempt runs here from now on. */
  runs(lease: Lease): void {
    this.#lease = lease;
    this.#sight?.set(sightFrom(runningRecord(lease)));
  }

  /** An attempt runs in another process, and is watched from now on. Whoever watches it follows it too. */
  watches(record: StoredRecord, watch: Waiter): void {
    this.#watch = watch;
    this.#joiners++;
    (this.#sight ??= new Latch()).set(sightFrom(record));
    watch.start(record.leaseRemainingMs);
  }

  /**
   * It is over. Nobody can join it any more.
   * @param look what those who joined see
   */
  land(look: () => Sight): void {
    this.flights.remove(this.identity, this);
    if (this.#joiners === 0) return;
    const end = look();
    this.#sight?.set(end);
    (this.#end ??= new Latch()).set(end);
  }

  /** What there is to see, now or once the claim is answered. */
  join(): Sight | Promise<Sight> {
    this.#joiners++;
    // What has ended and is not recorded yet stays in the table (G7): its end counts, not that it was seen running.
    const end = this.#end?.value;
    if (end) return end;
    const sight = (this.#sight ??= new Latch());
    if (this.#lease && !sight.value) sight.set(sightFrom(runningRecord(this.#lease)));
    return sight.value ?? sight.wait();
  }

  /** Follows it until its end, or until `bounded` gives up. The last one to leave a watch ends it. */
  async follow<R>(bounded: (end: Promise<Sight>) => Promise<R>): Promise<R> {
    this.#joiners++;
    this.#followers++;
    const end = (this.#end ??= new Latch());
    try {
      return await bounded(end.wait());
    } finally {
      if (--this.#followers === 0 && !end.value && this.#watch) {
        this.#watch.stop();
        this.flights.remove(this.identity, this);
      }
    }
  }

  /** Whether it is one of {@link Flights.keep}, for the attempt with this token. */
  keeps(token: string): boolean {
    const end = this.#end?.value;
    return end?.kind === 'record' && end.record.token === token;
  }

  /** An attempt that has ended here. */
  static landed(flights: Flights, identity: string, lease: Lease, record: StoredRecord): Flight {
    const flight = new Flight(flights, identity);
    flight.#lease = lease;
    (flight.#end = new Latch()).set(sightFrom(record));
    return flight;
  }
}

// One for each store and process, also where the ESM and the CommonJS build are both loaded: they must join each other.
const TABLES = Symbol.for('twiceshy.flights.3');

/** The flights of one store in this process, by identity. Two stores never join, nor do two identities. */
export class Flights {
  readonly #flights = new Map<string, Flight>();

  static of(store: LeaseStore): Flights {
    const holder = globalThis as { [TABLES]?: WeakMap<LeaseStore, Flights> };
    const tables = (holder[TABLES] ??= new WeakMap<LeaseStore, Flights>());
    let flights = tables.get(store);
    if (!flights) tables.set(store, (flights = new Flights()));
    return flights;
  }

  get(identity: string): Flight | undefined {
    return this.#flights.get(identity);
  }

  open(identity: string): Flight {
    const flight = new Flight(this, identity);
    this.#flights.set(identity, flight);
    return flight;
  }

  remove(identity: string, flight: Flight): void {
    if (this.#flights.get(identity) === flight) this.#flights.delete(identity);
  }

  /**
   * A finished effect that the store does not know yet is answered from here meanwhile (G7). An outage may last, so the new
   * flight holds the record and nothing of the call.
   */
  keep(identity: string, flight: Flight, lease: Lease, record: StoredRecord): void {
    if (this.#flights.get(identity) === flight)
      this.#flights.set(identity, Flight.landed(this, identity, lease, record));
  }

  /** The store was told of it, or never will be. */
  forget(key: StoreKey, token: string): void {
    const identity = keyIdentity(key);
    if (this.#flights.get(identity)?.keeps(token)) this.#flights.delete(identity);
  }
}
