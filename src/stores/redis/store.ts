import { invalid } from '../../core/check.js';
import { anotherIdentity } from '../../core/errors.js';
import type { Lease, RecordedStep, StoredRecord, StoreKey } from '../../core/record.js';
import {
  TOMBSTONE_MS,
  type ClaimAnswer,
  type ClaimRequest,
  type LeaseStore,
  type Replacement,
  type Settlement,
} from '../../core/store.js';
import type { RedisClient } from './client.js';
import { RedisConnection } from './connection.js';
import { readRedisOptions, type RedisStoreOptions } from './options.js';
import * as format from './record.js';
import { NO_TOKEN } from './layout.js';
import { stepLine, stepStart, stepsText } from './steps.js';
import { Script } from './script.js';
import { RedisSubscriber } from './subscriber.js';
import { SCRIPTS } from './scripts.lua.js';

export type { RedisClient } from './client.js';
export type { RedisStoreOptions } from './options.js';

const script = Object.fromEntries(
  Object.entries(SCRIPTS).map(([name, text]) => [name, new Script(text)]),
) as Record<keyof typeof SCRIPTS, Script>;

const isDone = (answer: unknown) => answer === 1;
/** A lease, or an answer that is replayed; whoever waits looks again. */
const isRelied = (answer: ClaimAnswer) => answer.kind === 'acquired' || answer.record.final;
const LATEST_MS = 9_999_999_999_999;

/**
 * The {@link LeaseStore} on Redis 6.2 or Valkey 7.2 and later: one string a key, every method one script on the server's
 * clock, one round trip each.
 *
 * Nothing connects before the first call. A dead, frozen or refusing server ends a call with STORE_UNAVAILABLE within
 * `timeoutMs`; the next call connects anew. Guarantees G1 to G5 hold as long as the server keeps what it acknowledged: a
 * failover may lose the last writes (`waitForReplicas` says how far), and an eviction policy may drop records (a warning
 * says so).
 */
export class RedisStore implements LeaseStore {
  readonly requiresScope: boolean;
  readonly #connection: RedisConnection;
  readonly #subscriber: RedisSubscriber;
  readonly #readArgs: string[];

  /**
   * @param input a URL, options, or an ioredis client
   * @throws UsageError INVALID_OPTIONS for an unknown option, or a client that can't run scripts
   */
  constructor(input: string | RedisStoreOptions | RedisClient = {}) {
    const { timeoutMs, replicas, warn, requiresScope, ...where } = readRedisOptions(input);
    this.requiresScope = requiresScope;
    this.#readArgs = replicas ? ['1'] : [];
    this.#connection = new RedisConnection({
      ...where,
      timeoutMs,
      replicas,
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
    if (request.replacing !== undefined) args.push(request.replacing);
    return this.#connection.run(
      script.CLAIM,
      args,
      (answer) => format.parseClaim(key, answer as string),
      isRelied,
    );
  }

  async renew(key: StoreKey, lease: Lease): Promise<number | false> {
    const args = [
      key.address,
      format.leaseHead(key, lease, 'P', lease.steps.length === 0 ? 'n' : 'N', lease.failures),
      format.leaseTail(lease, lease.unsettledRetentionMs, false) + stepsText(lease.steps),
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
      format.leaseTail(lease, lease.unsettledRetentionMs, false) + stepsText([...lease.steps, step]),
      String(lease.leaseMs),
      String(lease.leaseMs + lease.unsettledRetentionMs),
      lastMoment(lease, lease.unsettledRetentionMs),
      stepLine(step),
      stepStart(step.name),
    ];
    return await this.#connection.run(script.STEP, args, isDone);
  }

  settle(key: StoreKey, lease: Lease, settlement: Settlement): Promise<boolean> {
    const status = format.statusChar(settlement);
    const payload = status === 'P' ? undefined : settlement.payload;
    const retentionMs = status === 'P' ? lease.unsettledRetentionMs : settlement.retentionMs;
    const args = [
      key.address,
      format.leaseHead(key, lease, status, payload === undefined ? 'n' : 'v', settlement.failures),
      format.leaseTail(lease, retentionMs, true) + (payload ?? ''),
      String(retentionMs),
      lastMoment(lease, settlement.retentionMs),
    ];
    if (!settlement.final) args.push(stepsText(lease.steps));
    return this.#connection.run(script.SETTLE, args, isDone);
  }

  async release(key: StoreKey, token: string): Promise<boolean> {
    return await this.#connection.run(script.RELEASE, [key.address, token, key.digest], isDone);
  }

  /** One script for all of them; in a Cluster, where their slots differ, one for each. */
  async releaseMany(
    items: readonly { readonly key: StoreKey; readonly token: string }[],
  ): Promise<readonly PromiseSettledResult<boolean>[]> {
    const one = ({ key, token }: (typeof items)[number]) => this.release(key, token);
    if (this.#connection.isCluster) return Promise.allSettled(items.map(one));
    const args = [
      ...items.map(({ key }) => key.address),
      ...items.flatMap(({ key, token }) => [token, key.digest]),
    ];
    const read = (answer: unknown) => answer as readonly number[];
    const counts = (answers: readonly number[]) => answers.includes(1);
    const answers = await this.#connection.run(script.RELEASE_MANY, args, read, counts, items.length);
    // The error of one that failed is found by asking for it alone.
    const again = async (item: (typeof items)[number], answer: number | undefined) =>
      answer === 2 ? one(item) : answer === 1;
    return Promise.allSettled(items.map((item, index) => again(item, answers[index])));
  }

  async read(key: StoreKey): Promise<StoredRecord | undefined> {
    const read = (answer: unknown) =>
      answer === 0 || format.isTombstone(key, answer as string)
        ? undefined
        : format.parseRecord(key, answer as string);
    const args = [key.address, ...this.#readArgs];
    return await this.#connection.run(script.READ, args, read, (record) => record?.final === true);
  }

  async override(key: StoreKey, replacement: Replacement): Promise<'done' | 'absent' | 'live'> {
    const change =
      replacement.kind === 'forget'
        ? [replacement.force ? '1' : '0', ...lasting(TOMBSTONE_MS), 'Tn', NO_TOKEN, '']
        : resolution(replacement);
    const read = (answer: unknown) => {
      if (answer === 3) throw anotherIdentity(key.address);
      return answer === 1 ? 'done' : answer === 2 ? 'live' : 'absent';
    };
    const args = [key.address, key.digest, ...change];
    return await this.#connection.run(script.OVERRIDE, args, read, (answer) => answer === 'done');
  }

  subscribe(key: StoreKey, wake: () => void): Promise<() => void> {
    return this.#subscriber.subscribe(key.address, wake);
  }

  /** Closes the connections that the store opened itself, within a bound; never an injected client. */
  async close(): Promise<void> {
    await Promise.all([this.#connection.close(), this.#subscriber.close()]);
  }
}

function resolution(replacement: Extract<Replacement, { kind: 'resolve' }>): string[] {
  if (replacement.status === 'IN_PROGRESS') {
    throw invalid('an outcome by hand is COMPLETED or FAILED');
  }
  const { payload, token, retentionMs } = replacement;
  const marks = format.statusChar(replacement) + (payload === undefined ? 'n' : 'v');
  return ['0', ...lasting(retentionMs), marks, token, payload ?? ''];
}

/** A retention as the server needs it, and as the record says it. */
const lasting = (ms: number): [string, string] => [String(ms), format.retentionText(ms)];

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
