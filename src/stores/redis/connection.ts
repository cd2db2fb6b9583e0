import { StoreError } from '../../core/errors.js';
import { redrawTokens } from '../../core/token.js';
import {
  createClient,
  isCluster,
  isSelectRefused,
  plainAnswer,
  requireScripting,
  clientSocket,
  type RedisClient,
  type Socket,
} from './client.js';
import { checkUrl } from './options.js';
import { toRedisError } from './errors.js';
import { ReplicatedCalls, type Replicas } from './replicas.js';
import type { Script, ScriptCall } from './script.js';

export interface ConnectionOptions {
  /** Undefined: REDIS_URL or localhost, read at the first use. */
  readonly url: string | undefined;
  /** An injected client, which is never closed. */
  readonly client: RedisClient | undefined;
  /** ioredis' own options. */
  readonly redis: object | undefined;
  readonly timeoutMs: number;
  /** Which replicas must hold what is answered; undefined for none. */
  readonly replicas: Replicas | undefined;
  /** Told once, when a call was answered. */
  readonly onConnected: (client: RedisClient) => void;
}

interface Call extends ScriptCall {
  /** How often the connection had been ready when it was given a command that it could not send yet. */
  readonly waitsFor: number | undefined;
}

const BATCH = 16;
const DEFAULT_URL = 'redis://localhost:6379';
const noop = (): void => undefined;

/**
 * The connection that commands go over. It connects at the first call, never reconnects by itself (the next call does),
 * and is dropped when nothing at all was answered for `timeoutMs`. Its socket keeps the process alive only while a call
 * is in flight (G8). Commands are never resent: the caller knows what may be.
 */
export class RedisConnection {
  readonly #options: ConnectionOptions;
  readonly #replicated: ReplicatedCalls | undefined;
  #client: RedisClient | undefined;
  #opening: Promise<RedisClient> | undefined;
  #lastError: unknown;
  #inFlight = 0;
  #answers = 0;
  /** How often our own connection became ready. */
  #readied = 0;
  #watchdog: NodeJS.Timeout | undefined;
  #greeted = false;
  #corked = 0;
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    if (options.client) {
      this.#client = requireScripting(options.client);
      redrawTokensOnConnect(this.#client);
    }
    if (options.replicas) this.#replicated = new ReplicatedCalls(options.replicas);
  }

  /** Whether commands on several keys may be refused. */
  get isCluster(): boolean {
    return this.#client !== undefined && isCluster(this.#client);
  }

  /**
   * Runs a script on one key, the first of `args`, and reads its answer. Rejects with a StoreError, transient where the
   * same call may do better in a moment.
   * @param counts whether somebody relies on the answer, so that the replicas must hold what it says, where any must
   * @param keys how many of `args` are keys, where it is more than the first
   */
  run<R>(
    script: Script,
    args: string[],
    read: (answer: unknown) => R,
    counts: (value: R) => boolean = Boolean,
    keys = 1,
  ): Promise<R> {
    if (this.#closed) {
      const error = new StoreError('STORE_UNAVAILABLE', 'this RedisStore was closed', { neverSent: true });
      return Promise.reject(error);
    }
    const client = this.#client;
    if (!client) return this.#open().then(() => this.run(script, args, read, counts, keys));
    this.#began(client);
    const call = { script, args, keys, waitsFor: this.#waitsFor(client) };
    if (this.#replicated) return this.#runReplicated(this.#replicated, client, call, read, counts);
    // Not async: a promise less on the path of every call.
    return client.evalsha(script.sha, keys, ...args).then(
      (answer) => this.#answered(client, read, answer),
      (error: unknown) => this.#failed(client, call, read, error),
    );
  }

  /**
   * A command that is given to our own connection before it is ready stays in this process until it is. The number of times
   * that it was ready so far: if that is still the same when the command fails, it was never sent.
   */
  #waitsFor(client: RedisClient): number | undefined {
    return this.#options.client || client.status === 'ready' ? undefined : this.#readied;
  }

  #answered<R>(client: RedisClient, read: (answer: unknown) => R, answer: unknown): R {
    this.#ended(client);
    if (!this.#greeted) this.#greet(client);
    return read(plainAnswer(answer));
  }

  async #failed<R>(
    client: RedisClient,
    call: Call,
    read: (answer: unknown) => R,
    error: unknown,
  ): Promise<R> {
    if (!(error instanceof Error) || !/NOSCRIPT/.test(error.message))
      throw this.#refused(client, error, call);
    let answer: unknown;
    try {
      answer = await client.eval(call.script.text, call.keys, ...call.args);
    } catch (cause) {
      throw this.#refused(client, cause);
    }
    return this.#answered(client, read, answer);
  }

  async #runReplicated<R>(
    replicated: ReplicatedCalls,
    client: RedisClient,
    call: Call,
    read: (answer: unknown) => R,
    counts: (value: R) => boolean,
  ): Promise<R> {
    const held = await replicated.run(client, call).catch((cause: unknown) => {
      throw this.#refused(client, cause, call);
    });
    const value = this.#answered(client, read, held.answer);
    const { count, timeoutMs } = this.#options.replicas!;
    if (held.copies >= count || !counts(value)) return value;
    // As if it had not been answered: whoever sends it again is recognised by the token (G2), and waits again.
    const message = `${held.copies} of the ${count} replicas of waitForReplicas confirmed it within ${timeoutMs} ms`;
    throw new StoreError('STORE_UNAVAILABLE', message, { transient: true });
  }

  #refused(client: RedisClient, cause: unknown, call?: Call): Error {
    this.#ended(client);
    const error = toRedisError(cause, this.#lastError, call?.waitsFor === this.#readied);
    // After a failover this is a replica: only a new connection finds the new master.
    if (!this.#options.client && /\bREADONLY\b/.test(error.message)) clientSocket(client)?.destroy();
    return error;
  }

  /** A client for subscribing, of the same server; the caller closes it. */
  async openSubscriber(overrides: object): Promise<RedisClient> {
    const { client, redis } = this.#options;
    if (!client) return createClient(this.#url(), { ...redis, lazyConnect: true, ...overrides });
    if (typeof client.duplicate !== 'function') {
      throw new StoreError(
        'STORE_UNAVAILABLE',
        'the injected client has no duplicate(): no wake-ups over pub/sub',
      );
    }
    if (isCluster(client)) return this.#openNode(client, overrides);
    return client.duplicate({ lazyConnect: true, ...overrides } as never);
  }

  /**
   * A message goes to all nodes of a Cluster, so that a connection to any one of them does. It is given up when it
   * breaks: the next one goes to another node.
   */
  #openNode(cluster: RedisClient, overrides: object): RedisClient {
    const nodes = cluster.nodes?.('all') ?? [];
    const ready = nodes.filter(({ status }) => status === 'ready');
    const among = ready.length > 0 ? ready : nodes;
    const node = among[Math.floor(Math.random() * among.length)];
    if (!node?.duplicate) {
      const message = 'the Cluster client knows no node yet: no wake-ups over pub/sub';
      throw new StoreError('STORE_UNAVAILABLE', message, { transient: true });
    }
    const { keyPrefix } = cluster.options ?? {};
    return node.duplicate({ lazyConnect: true, ...overrides, keyPrefix, retryStrategy: null } as never);
  }

  /** Quits what was opened here, within a bound. */
  async close(): Promise<void> {
    this.#closed = true;
    const client = this.#options.client ? undefined : (this.#client ?? (await this.#opening?.catch(noop)));
    clearInterval(this.#watchdog);
    if (client) await closeClient(client, this.#options.timeoutMs);
  }

  #open(): Promise<RedisClient> {
    this.#opening ??= createClient(this.#url(), {
      connectTimeout: this.#options.timeoutMs,
      ...this.#options.redis,
      lazyConnect: true,
      autoResendUnfulfilledCommands: false,
      retryStrategy: null,
    }).then((client) => {
      client.on('error', (error) => {
        this.#lastError = error;
        // Before a command is sent: records in another database than the one that was asked for would be found by nobody.
        if (isSelectRefused(error)) clientSocket(client)?.destroy();
      });
      // Not at 'ready', which may come after a refused SELECT.
      client.on('connect', () => {
        this.#lastError = undefined;
        this.#readied++;
        redrawTokens();
      });
      return (this.#client = client);
    });
    // A failure to load is not kept: the next call tries again.
    this.#opening.catch(() => (this.#opening = undefined));
    return this.#opening;
  }

  #url(): string | undefined {
    const { url, redis } = this.#options;
    if (url !== undefined || redis) return url;
    return checkUrl('REDIS_URL', process.env['REDIS_URL'] || DEFAULT_URL);
  }

  #greet(client: RedisClient): void {
    this.#greeted = true;
    this.#options.onConnected(client);
  }

  #began(client: RedisClient): void {
    if (this.#options.client) return;
    if (client.status === 'end') void client.connect().catch(noop);
    const socket = clientSocket(client);
    if (this.#inFlight++ > 0) {
      if (socket) this.#batch(socket);
      return;
    }
    socket?.ref();
    this.#watchdog ??= this.#watch(client);
  }

  /**
   * Calls of one turn leave in one write, since the system call is what a command costs most; but no more than a few of
   * them, so that the server works on the first while we write the next.
   */
  #batch(socket: Socket): void {
    if (this.#corked === BATCH) this.#flush(socket);
    if (this.#corked++ > 0) return;
    socket.cork();
    void Promise.resolve().then(() => this.#flush(socket));
  }

  #flush(socket: Socket): void {
    if (this.#corked === 0) return;
    this.#corked = 0;
    socket.uncork();
  }

  #ended(client: RedisClient): void {
    this.#answers++;
    if (!this.#options.client && --this.#inFlight === 0) clientSocket(client)?.unref();
  }

  /**
   * Drops a connection that swallows commands: a frozen server, a cable that was pulled. ioredis' own socketTimeout costs
   * a timer a command and is missing from early 5.x.
   */
  #watch(client: RedisClient): NodeJS.Timeout {
    const ticks = 8;
    let seen = this.#answers;
    let silent = 0;
    const timer = setInterval(() => {
      if (this.#inFlight === 0) {
        clearInterval(timer);
        this.#watchdog = undefined;
        return;
      }
      silent = this.#answers === seen ? silent + 1 : 0;
      seen = this.#answers;
      if (silent < ticks) return;
      silent = 0;
      const error = new Error(`no answer within ${this.#options.timeoutMs} ms: the connection timed out`);
      this.#lastError = error;
      clientSocket(client)?.destroy(error);
    }, this.#options.timeoutMs / ticks);
    return timer.unref();
  }
}

/** Ends a client politely, or else at once: a server that does not answer gets no more than `timeoutMs`. */
export async function closeClient(client: RedisClient, timeoutMs: number): Promise<void> {
  // Not disconnect(): for a socket that is gone already, ioredis would set a timer that keeps the process alive.
  if (client.status === 'end') return;
  if (client.status === 'wait') return client.disconnect();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, Math.min(timeoutMs, 500), 'late')));
  const socket = clientSocket(client);
  socket?.ref();
  const quit = client.quit().catch(noop);
  if ((await Promise.race([quit, late])) === 'late') {
    client.disconnect();
    socket?.destroy();
  }
  clearTimeout(timer);
}

const watched = new WeakSet<RedisClient>();

/** Owner tokens are drawn anew whenever an injected client has connected; many stores may share one client. */
function redrawTokensOnConnect(client: RedisClient): void {
  if (watched.has(client)) return;
  watched.add(client);
  client.on('ready', redrawTokens);
}
