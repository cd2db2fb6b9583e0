import { anotherIdentity, UsageError } from '../core/errors.js';
import type { Lease, RecordedStep, StoredRecord, StoreKey } from '../core/record.js';
import type { ClaimAnswer, ClaimRequest, LeaseStore, Replacement, Settlement } from '../core/store.js';
import { looksLikeClient, requireScripting, type RedisClient } from './internal/redis-client.js';
import { RedisConnection, Script } from './internal/redis-connection.js';
import * as format from './internal/redis-record.js';
import { RedisSubscriber } from './internal/redis-subscriber.js';
import { SCRIPTS } from './internal/redis.lua.js';

export type { RedisClient } from './internal/redis-client.js';

export interface RedisStoreOptions {
  /**
   * `redis://` or `rediss://`, as ioredis takes it.
   * @default process.env.REDIS_URL || 'redis://localhost:6379', read at the first use; none where `redis` is given
   */
  url?: string;
  /** An ioredis `Redis` or `Cluster` (or ioredis-mock) to use instead of a connection of our own. Never closed by us. */
  client?: RedisClient;
  /** ioredis' options for our own connection: `tls`, `sentinels`, `keyPrefix` and the like. */
  redis?: object;
  /**
   * A connection of our own that answers nothing for so long is dropped, and its calls reject.
   * @default 2000
   */
  timeoutMs?: number;
  /**
   * Told once when the server may evict records before their time (`maxmemory-policy`).
   * @default process.emitWarning
   */
  onWarning?: (message: string) => void;
}

const script = Object.fromEntries(
  Object.entries(SCRIPTS).map(([name, text]) => [name, new Script(text)]),
) as Record<keyof typeof SCRIPTS, Script>;

const isDone = (answer: unknown) => answer === 1;
const TOMBSTONE_MS = '3600000';
const LATEST_MS = 9_999_999_999_999;
const OPTION_NAMES = ['url', 'client', 'redis', 'timeoutMs', 'onWarning'];

/**
 * The {@link LeaseStore} on Redis 6.2 or Valkey 7.2 and later: one string a key, every method one script on the server's
 * clock, one round trip each.
 *
 * Nothing connects before the first call. A dead, frozen or refusing server ends a call with STORE_UNAVAILABLE within
 * `timeoutMs`; the next call connects anew. Guarantees G1 to G5 hold as long as the server keeps what it acknowledged: a
 * failover may lose the last writes, and an eviction policy may drop records (a warning says so).
 */
export class RedisStore implements LeaseStore {
  readonly #connection: RedisConnection;
  readonly #subscriber: RedisSubscriber;

  /**
   * @param input a URL, options, or an ioredis client
   * @throws UsageError INVALID_OPTIONS for an unknown option, or a client that can't run scripts
   */
  constructor(input: string | RedisStoreOptions | RedisClient = {}) {
    const options = readOptions(input);
    const timeoutMs = options.timeoutMs ?? 2000;
    const warn = options.onWarning ?? ((message: string) => process.emitWarning(message, 'TwiceshyWarning'));
    this.#connection = new RedisConnection({
      url: options.url,
      client: options.client,
      redis: options.redis,
      timeoutMs,
      onConnected: (client) => void checkEviction(client, warn),
    });
    this.#subscriber = new RedisSubscriber(
      (overrides) => this.#connection.openSubscriber(overrides),
      timeoutMs,
    );
  }

  // Not async, nor is settle: a promise less on the path of every run.
  claim(key: StoreKey, request: ClaimRequest): Promise<ClaimAnswer> {
    const head = format.claimHead(key, request);
    if (head === undefined) return Promise.reject(format.misfit());
    const args = [
      key.address,
      head,
      String(request.leaseMs),
      String(request.leaseMs + request.unsettledRetentionMs),
    ];
    return this.#connection.run(script.CLAIM, args, (answer) => format.parseClaim(key, answer as string));
  }

  async renew(key: StoreKey, lease: Lease): Promise<number | false> {
    const args = [
      key.address,
      format.leaseHead(key, lease, 'P', lease.steps.length === 0 ? 'n' : 'N', lease.failures),
      format.leaseTail(lease) + format.stepsText(lease.steps),
      String(lease.leaseMs),
      String(lease.leaseMs + lease.unsettledRetentionMs),
      lastMoment(lease, lease.unsettledRetentionMs),
    ];
    return await this.#connection.run(script.RENEW, args, (answer) =>
      answer === 0 ? false : Number(answer),
    );
  }

  async step(key: StoreKey, lease: Lease, step: RecordedStep): Promise<boolean> {
    const args = [
      key.address,
      format.leaseHead(key, lease, 'P', 'N', lease.failures),
      format.leaseTail(lease) + format.stepsText([...lease.steps, step]),
      String(lease.leaseMs),
      String(lease.leaseMs + lease.unsettledRetentionMs),
      lastMoment(lease, lease.unsettledRetentionMs),
      format.stepLine(step),
      format.stepStart(step.name),
    ];
    return await this.#connection.run(script.STEP, args, isDone);
  }

  settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    const status = format.statusChar(settlement);
    const payload = status === 'P' ? undefined : settlement.payload;
    const args = [
      key.address,
      format.leaseHead(key, lease, status, payload === undefined ? 'n' : 'v', settlement.failures),
      format.leaseTail(lease) + (payload ?? ''),
      String(status === 'P' ? lease.unsettledRetentionMs : settlement.retentionMs),
      lastMoment(lease, settlement.retentionMs),
    ];
    if (!settlement.final) args.push(format.stepsText(lease.steps));
    return this.#connection.run(script.SETTLE, args, isDone);
  }

  async release(key: StoreKey, token: string): Promise<boolean> {
    return await this.#connection.run(script.RELEASE, [key.address, token, key.digest], isDone);
  }

  async read(key: StoreKey): Promise<StoredRecord | undefined> {
    return await this.#connection.run(script.READ, [key.address], (answer) =>
      answer === 0 || format.isTombstone(key, answer as string)
        ? undefined
        : format.parseRecord(key, answer as string),
    );
  }

  async override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    const change =
      replacement.kind === 'forget'
        ? [replacement.force ? '1' : '0', TOMBSTONE_MS, 'Tn', format.NO_TOKEN, '']
        : resolution(replacement);
    return await this.#connection.run(script.OVERRIDE, [key.address, key.digest, ...change], (answer) => {
      if (answer === 3) throw anotherIdentity(key.address);
      return answer === 1 ? 'done' : answer === 2 ? 'live' : 'absent';
    });
  }

  subscribe(key: StoreKey, wake: () => void): Promise<() => void> {
    return this.#subscriber.subscribe(key.address, wake);
  }

  /** Closes the connections that the store opened itself, within a bound; never an injected client. */
  async close(): Promise<void> {
    await Promise.all([this.#connection.close(), this.#subscriber.close()]);
  }
}

function readOptions(input: string | RedisStoreOptions | RedisClient): RedisStoreOptions {
  if (typeof input === 'string') return { url: input };
  if (looksLikeClient(input)) return { client: requireScripting(input) };
  const options = input as RedisStoreOptions;
  const unknown = Object.keys(options).find((name) => !OPTION_NAMES.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(
      'INVALID_OPTIONS',
      `RedisStore has no option "${unknown}": it takes ${OPTION_NAMES.join(', ')}`,
    );
  }
  return options;
}

function resolution(replacement: Extract<Replacement, { kind: 'resolve' }>): string[] {
  if (replacement.status === 'IN_PROGRESS') {
    throw new UsageError('INVALID_OPTIONS', 'an outcome by hand is COMPLETED or FAILED');
  }
  const { payload, token, retentionMs } = replacement;
  const marks = format.statusChar(replacement) + (payload === undefined ? 'n' : 'v');
  return ['0', String(retentionMs), marks, token, payload ?? ''];
}

/** Until when an attempt may write over absence, on the server's clock (G3). */
function lastMoment(lease: Lease, retentionMs: number): string {
  return format.padded(Math.min(lease.leaseEndsAtMs + retentionMs, LATEST_MS), 13);
}

async function checkEviction(client: RedisClient, warn: (message: string) => void): Promise<void> {
  let info: string;
  try {
    info = await client.info('memory');
  } catch {
    return; // INFO may be forbidden, or the connection gone: nothing to tell.
  }
  const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1] ?? 'noeviction';
  if (policy === 'noeviction' || !/maxmemory:[1-9]/.test(info)) return;
  warn(
    `this Redis has maxmemory-policy ${policy}: it may evict idempotency records, after which an operation runs again. ` +
      'Use noeviction for the instance that holds them',
  );
}
