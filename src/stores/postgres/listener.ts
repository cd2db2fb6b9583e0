import { StoreError } from '../../core/errors.js';
import { randomUUID } from 'node:crypto';
import {
  connectWithin,
  onConnection,
  type PostgresClient,
  type PostgresEvent,
  type PostgresPool,
} from './client.js';
import { isRefusal, toPostgresError } from './errors.js';
import { wakeText } from './record.js';

/** How long the connection is kept after the last waiter has left. */
const LINGER_MS = 1_000;
const FIRST_RECONNECT_MS = 50;
const LONGEST_RECONNECT_MS = 1_000;
/** How long a message that was sent on another connection may take to arrive. */
const PROBE_MS = 500;

/**
 * The connection that wake-ups come over: one of the pool's, taken at the first wait, shared by all waiters, and closed
 * when nobody has waited for a second. While somebody waits it is made anew when it breaks, and everybody is woken then,
 * since a message may have been missed. It never keeps a process alive: who waits does.
 */
export class PostgresListener {
  readonly #wakes = new Map<string, Set<() => void>>();
  #client: Promise<PostgresClient> | undefined;
  /** Ends the connection that is there now. */
  #disconnect: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  /** Whether a connection broke while somebody waited, and messages may have been missed since. */
  #missed = false;
  /** Whether a message has arrived: not through a pooler in transaction mode, which takes LISTEN and passes nothing on. */
  #heard = false;
  #isDeaf = false;

  /**
   * @param table the quoted name, as a literal
   * @param onDeaf told once, when messages turn out not to arrive
   */
  constructor(
    private readonly pool: PostgresPool,
    private readonly table: string,
    private readonly timeoutMs: number,
    private readonly onDeaf: () => void,
  ) {}

  /** Resolves once the server listens, with the function that ends it; rejects with a StoreError. */
  async subscribe(address: string, wake: () => void): Promise<() => void> {
    if (this.#closed) throw new StoreError('STORE_UNAVAILABLE', 'this PostgresStore was closed');
    const name = wakeText(address);
    // A set of its own function: one caller may wait twice with the same one.
    const entry = (): void => wake();
    const entries = this.#wakes.get(name) ?? new Set();
    this.#wakes.set(name, entries.add(entry));
    try {
      await this.#listening();
    } catch (error) {
      this.#leave(name, entry);
      throw toPostgresError(error);
    }
    return () => this.#leave(name, entry);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wakes.clear();
    clearTimeout(this.#timer);
    await this.#client?.catch(() => undefined);
    this.#disconnect?.();
  }

  #listening(): Promise<PostgresClient> {
    clearTimeout(this.#timer);
    const client = (this.#client ??= this.#connect());
    client.catch(() => {
      if (this.#client === client) this.#client = undefined;
    });
    return client;
  }

  async #connect(): Promise<PostgresClient> {
    const client = await connectWithin(this.pool, this.timeoutMs);
    let isOver = false;
    const end = (broken: boolean): void => {
      if (isOver) return;
      isOver = true;
      this.#client = this.#disconnect = undefined;
      client.removeListener('notification', notified);
      client.removeListener('end', onEnd);
      // Closed, not given back: whoever got it next would be sent our messages.
      client.release(true);
      if (!broken) return;
      this.#missed = true;
      this.#reconnect(FIRST_RECONNECT_MS);
    };
    const onEnd = (): void => end(true);
    const notified = ({ payload }: PostgresEvent): void =>
      this.#wakes.get(payload ?? '')?.forEach((wake) => wake());
    client.on('error', onEnd);
    client.on('end', onEnd);
    client.on('notification', notified);
    let channel: string;
    try {
      const ask = (text: string) => client.query({ text, query_timeout: this.timeoutMs });
      // By the table's own number, so that all who write to it mean the same, however they name it.
      const { rows } = await ask(`SELECT 'twiceshy_' || ${this.table}::regclass::oid::text AS channel`);
      ({ channel } = rows[0] as { channel: string });
      await ask(`LISTEN "${channel}"`);
    } catch (error) {
      end(false);
      throw error;
    }
    if (isOver) throw new StoreError('STORE_UNAVAILABLE', 'the connection broke', { transient: true });
    client.unref?.();
    this.#disconnect = () => end(false);
    if (!this.#heard) await this.#probe(client, channel, () => isOver);
    if (isOver) throw new StoreError('STORE_UNAVAILABLE', 'the connection broke', { transient: true });
    if (this.#missed) this.#wakes.forEach((entries) => entries.forEach((wake) => wake()));
    this.#missed = false;
    return client;
  }

  /**
   * Sends a message from another connection. Where none is free in time, nothing is known, and waiters go on as if it had
   * arrived: they poll as well.
   * @throws StoreError where it was sent and did not arrive
   */
  async #probe(client: PostgresClient, channel: string, isBroken: () => boolean): Promise<void> {
    const token = randomUUID();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let hear!: () => void;
    const heard = new Promise<boolean>((resolve) => (hear = () => resolve(true)));
    const notified = ({ payload }: PostgresEvent): void => void (payload === token && hear());
    client.on('notification', notified);
    try {
      const query = { text: 'SELECT pg_notify($1, $2)', values: [channel, token], query_timeout: PROBE_MS };
      await onConnection(this.pool, PROBE_MS, isRefusal, (other) => other.query(query));
      const late = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, PROBE_MS, false)));
      this.#heard = await Promise.race([heard, late]);
    } catch {
      return;
    } finally {
      clearTimeout(timer);
      client.removeListener('notification', notified);
    }
    if (this.#heard || this.#isDeaf || isBroken()) return;
    this.#isDeaf = true;
    this.#disconnect?.();
    this.onDeaf();
    throw new StoreError(
      'STORE_UNAVAILABLE',
      'the connections of this pool pass no messages on: waiters poll',
    );
  }

  #reconnect(delayMs: number): void {
    if (this.#closed || this.#wakes.size === 0) return;
    this.#sleep(delayMs, () => {
      if (this.#wakes.size === 0) return;
      this.#listening().catch(() => this.#reconnect(Math.min(delayMs * 2, LONGEST_RECONNECT_MS)));
    });
  }

  #leave(name: string, entry: () => void): void {
    const entries = this.#wakes.get(name);
    if (!entries?.delete(entry) || entries.size > 0) return;
    this.#wakes.delete(name);
    if (this.#wakes.size === 0) this.#sleep(LINGER_MS, () => this.#disconnect?.());
  }

  #sleep(ms: number, run: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(run, ms);
    this.#timer.unref();
  }
}
