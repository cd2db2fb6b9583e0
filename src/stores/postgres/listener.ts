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

/** The connection is kept for this long after the last waiter has left. */
const LINGER_MS = 1_000;
const FIRST_RECONNECT_MS = 50;
const LONGEST_RECONNECT_MS = 1_000;
/** The longest that the test message, sent on another connection, may take to arrive. */
const PROBE_MS = 500;

/**
 * The connection that receives notifications. It is taken from the pool at the first wait, shared by all waiters, and closed a
 * second after the last one has left. If it breaks while there are waiters, it is opened again, and all of them are woken,
 * because a notification may have been missed. The connection does not keep a process alive.
 */
export class PostgresListener {
  readonly #wakes = new Map<string, Set<() => void>>();
  #client: Promise<PostgresClient> | undefined;
  /** Closes the current connection. */
  #disconnect: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  /** Whether a connection broke while there were waiters, so that notifications may have been missed. */
  #missed = false;
  /**
   * Whether the test message arrived. It does not through a pooler in transaction mode, which accepts LISTEN and forwards
   * nothing.
   */
  #isHeard = false;
  #hasReported = false;

  /**
   * @param table the quoted name, as an SQL literal
   * @param onNoNotifications called once, if the test message does not arrive
   */
  constructor(
    private readonly pool: PostgresPool,
    private readonly table: string,
    private readonly timeoutMs: number,
    private readonly onNoNotifications: () => void,
  ) {}

  /** Resolves when the connection listens, with a function that ends the subscription. Rejects with a StoreError. */
  async subscribe(address: string, wake: () => void): Promise<() => void> {
    if (this.#closed) throw new StoreError('STORE_UNAVAILABLE', 'this PostgresStore was closed');
    const name = wakeText(address);
    // A new function for each subscription, because a caller may subscribe the same one twice.
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
      // Closed and not given back to the pool, because it still listens.
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
      // The channel is named by the table's oid, so that it does not depend on how a store names the table.
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
    if (!this.#isHeard) await this.#probe(client, channel, () => isOver);
    if (isOver) throw new StoreError('STORE_UNAVAILABLE', 'the connection broke', { transient: true });
    if (this.#missed) this.#wakes.forEach((entries) => entries.forEach((wake) => wake()));
    this.#missed = false;
    return client;
  }

  /**
   * Sends a test message on another connection. If no connection is free in time, the test is skipped: waiters poll too.
   * @throws StoreError if the message was sent and did not arrive
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
      this.#isHeard = await Promise.race([heard, late]);
    } catch {
      return;
    } finally {
      clearTimeout(timer);
      client.removeListener('notification', notified);
    }
    if (this.#isHeard || this.#hasReported || isBroken()) return;
    this.#hasReported = true;
    this.#disconnect?.();
    this.onNoNotifications();
    throw new StoreError(
      'STORE_UNAVAILABLE',
      'notifications do not arrive on the connections of this pool: waiters poll',
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
