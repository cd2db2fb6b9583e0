import { StoreError } from '../../core/errors.js';
import { clientSocket, type RedisClient } from './client.js';
import { closeClient } from './connection.js';
import { toRedisError } from './errors.js';

interface Channel {
  readonly wakes: Set<() => void>;
  readonly confirmed: Promise<void>;
  confirm(): void;
  fail(error: Error): void;
}

/** Between a connection to one node of a Cluster that broke, and the one to the next. */
const REOPEN_MS = 50;
const noop = (): void => undefined;

/**
 * The connection that wake-ups come over: opened at the first wait, shared by all waiters, one channel a key. It
 * reconnects while somebody waits, subscribes again, and wakes everybody, since a message may have been missed.
 */
export class RedisSubscriber {
  readonly #open: (overrides: object) => Promise<RedisClient>;
  readonly #timeoutMs: number;
  readonly #channels = new Map<string, Channel>();
  #client: RedisClient | undefined;
  #opening: Promise<RedisClient> | undefined;
  #lastError: unknown;
  #closed = false;

  constructor(open: (overrides: object) => Promise<RedisClient>, timeoutMs: number) {
    this.#open = open;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves once the server confirmed, with the function that ends it; rejects with a StoreError. */
  async subscribe(address: string, wake: () => void): Promise<() => void> {
    if (this.#closed) throw new StoreError('STORE_UNAVAILABLE', 'this RedisStore was closed');
    const client = this.#client ?? (await (this.#opening ??= this.#connect()));
    // The scripts publish on the key as the server knows it; ioredis puts its prefix before keys, not channels.
    const name = String(client.options?.keyPrefix ?? '') + address;
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = newChannel();
      this.#channels.set(name, channel);
      if (this.#channels.size === 1) clientSocket(client)?.ref();
      this.#ask(client, [name]);
    }
    // A set of its own function: one caller may wait twice with the same one.
    const entry = (): void => wake();
    channel.wakes.add(entry);
    const joined = channel;
    try {
      await this.#within(joined.confirmed);
    } catch (error) {
      this.#leave(name, joined, entry);
      throw toRedisError(error, this.#lastError);
    }
    return () => this.#leave(name, joined, entry);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = this.#client ?? (await this.#opening?.catch(noop));
    this.#channels.clear();
    if (client) await closeClient(client, this.#timeoutMs);
  }

  /** @param missed whether there was a connection before, so that messages may have been missed */
  async #connect(missed = false): Promise<RedisClient> {
    try {
      const client = await this.#open({
        connectTimeout: this.#timeoutMs,
        autoResubscribe: false,
        autoResendUnfulfilledCommands: false,
        enableReadyCheck: false,
        maxRetriesPerRequest: 0,
        retryStrategy: (times: number) => (this.#channels.size === 0 ? null : Math.min(25 * 2 ** times, 500)),
      });
      client.on('error', (error) => (this.#lastError = error));
      client.on('message', (name) => this.#channels.get(name)?.wakes.forEach((wake) => wake()));
      let connectedBefore = missed;
      client.on('end', () => this.#ended(client));
      client.on('ready', () => {
        this.#lastError = undefined;
        if (this.#channels.size === 0) clientSocket(client)?.unref();
        else if (connectedBefore) this.#ask(client, [...this.#channels.keys()], true);
        connectedBefore = true;
      });
      return (this.#client = client);
    } catch (error) {
      this.#opening = undefined;
      throw toRedisError(error, undefined);
    }
  }

  /** A connection that gave itself up, while somebody waits, is replaced: in a Cluster by one to another node. */
  #ended(client: RedisClient): void {
    if (this.#closed || this.#client !== client || this.#channels.size === 0) return;
    this.#client = undefined;
    const opening = new Promise<void>((resolve) => setTimeout(resolve, REOPEN_MS)).then(() =>
      this.#connect(true),
    );
    this.#opening = opening;
    opening.then((next) => void next.connect().catch(noop), noop);
  }

  /** Sends one SUBSCRIBE. What a broken connection swallowed is asked again when it is back. */
  #ask(client: RedisClient, names: string[], missed = false): void {
    if (client.status === 'end') void client.connect().catch(noop);
    client.subscribe(...names).then(
      () => names.forEach((name) => this.#confirmed(name, missed)),
      (error: Error) => names.forEach((name) => this.#channels.get(name)?.fail(error)),
    );
  }

  #confirmed(name: string, missed: boolean): void {
    const channel = this.#channels.get(name);
    channel?.confirm();
    if (missed) channel?.wakes.forEach((wake) => wake());
  }

  #leave(name: string, channel: Channel, entry: () => void): void {
    if (!channel.wakes.delete(entry) || channel.wakes.size > 0 || this.#channels.get(name) !== channel)
      return;
    this.#channels.delete(name);
    const client = this.#client;
    if (!client) return;
    if (client.status === undefined || client.status === 'ready') client.unsubscribe(name).catch(noop);
    if (this.#channels.size > 0) return;
    if (client.status === undefined || client.status === 'ready') clientSocket(client)?.unref();
    else this.#drop(client);
  }

  /** Nobody waits for a connection that is not there: no timer of it may keep the process alive. */
  #drop(client: RedisClient): void {
    this.#client = this.#opening = undefined;
    client.disconnect();
    clientSocket(client)?.destroy();
  }

  async #within(confirmed: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('SUBSCRIBE timed out')), this.#timeoutMs);
    });
    try {
      await Promise.race([confirmed, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function newChannel(): Channel {
  let confirm!: () => void;
  let fail!: (error: Error) => void;
  const confirmed = new Promise<void>((resolve, reject) => {
    confirm = resolve;
    fail = reject;
  });
  // Waiters that gave up in the meantime do not look at it any more.
  confirmed.catch(noop);
  return { wakes: new Set(), confirmed, confirm, fail };
}
