import { UsageError } from '../../core/errors.js';
import { looksLikeClient, requireScripting, type RedisClient } from './redis-client.js';
import type { Replicas } from './redis-replicas.js';

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
   * How many replicas must hold a claim, a renewal, an outcome or a replayed answer before it is given (`WAIT`); a
   * number is the `count`. Where they don't within `timeoutMs` (default 200 ms), the call is STORE_UNAVAILABLE, and is
   * sent again until its deadline: so no call succeeds while fewer replicas are there. Give all replicas of a master as
   * the count if a failover is to lose nothing: with fewer, one may be promoted that did not confirm.
   * @default none: replication is asynchronous, and a failover may lose what was acknowledged last
   */
  waitForReplicas?: number | { count: number; timeoutMs?: number };
  /**
   * Told once when the server may evict records before their time (`maxmemory-policy`).
   * @default process.emitWarning
   */
  onWarning?: (message: string) => void;
}

/** The options, checked, with their defaults. */
export interface RedisSettings {
  readonly url: string | undefined;
  readonly client: RedisClient | undefined;
  readonly redis: object | undefined;
  readonly timeoutMs: number;
  readonly replicas: Replicas | undefined;
  readonly warn: (message: string) => void;
}

const OPTION_NAMES = ['url', 'client', 'redis', 'timeoutMs', 'waitForReplicas', 'onWarning'];
const TIMEOUT_MS = 2_000;
const REPLICAS_TIMEOUT_MS = 200;

const invalid = (message: string) => new UsageError('INVALID_OPTIONS', message);
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** @throws UsageError INVALID_OPTIONS */
export function readOptions(input: unknown): RedisSettings {
  const { url, client, redis, timeoutMs = TIMEOUT_MS, waitForReplicas, onWarning } = namedOptions(input);
  if (url !== undefined && (typeof url !== 'string' || url === ''))
    throw invalid('url is no text: give redis://…');
  if (url !== undefined) checkUrl('url', url);
  if (redis !== undefined && !isObject(redis)) throw invalid("redis is no object: give ioredis' options");
  if (onWarning !== undefined && typeof onWarning !== 'function') throw invalid('onWarning is no function');
  checkMs('timeoutMs', timeoutMs);
  const replicas = replicasOf(waitForReplicas);
  if (client !== undefined) requireScripting(client);
  if (replicas && client && typeof client.pipeline !== 'function')
    throw invalid('this Redis client has no pipeline(), which waitForReplicas needs');
  const warn = onWarning ?? ((message: string) => process.emitWarning(message, 'TwiceshyWarning'));
  return { url, client, redis, timeoutMs, replicas, warn };
}

/**
 * Refuses what ioredis would take for the path of a socket or for a host, and repeat in its errors, password and all. The
 * message does not repeat it.
 * @throws UsageError INVALID_OPTIONS
 */
export function checkUrl(where: string, url: string): void {
  const isUrl = /^rediss?:\/\//.test(url) && URL.canParse(url);
  // ioredis takes a port, a host with one, and the path of a socket too. Without these characters there is no password.
  if (isUrl || !/[@?\s]/.test(url)) return;
  throw invalid(
    `${where} is no URL that starts with redis:// or rediss:// (it is not shown, since it may hold a password)`,
  );
}

function namedOptions(input: unknown): RedisStoreOptions {
  if (typeof input === 'string') return { url: input };
  if (!isObject(input)) throw invalid('RedisStore takes a URL, options, or an ioredis client');
  if (looksLikeClient(input)) return { client: requireScripting(input) };
  const unknown = Object.keys(input).find((name) => !OPTION_NAMES.includes(name));
  if (unknown === undefined) return input;
  throw invalid(`RedisStore has no option "${unknown}": it takes ${OPTION_NAMES.join(', ')}`);
}

function replicasOf(given: unknown): Replicas | undefined {
  if (given === undefined) return undefined;
  const { count, timeoutMs = REPLICAS_TIMEOUT_MS } = (
    isObject(given) ? given : { count: given }
  ) as Partial<Replicas>;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1)
    throw invalid('waitForReplicas is a whole number of at least 1, or { count, timeoutMs }');
  // WAIT 0 waits for ever.
  checkMs('waitForReplicas.timeoutMs', timeoutMs);
  return { count, timeoutMs: Math.ceil(timeoutMs) };
}

function checkMs(option: string, value: unknown): void {
  if (typeof value === 'number' && value >= 1 && value <= 2 ** 31 - 1) return;
  throw invalid(`${option} is no number of milliseconds of at least 1`);
}
