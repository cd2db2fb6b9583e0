import { emitWarning } from '../../core/warn.js';
import {
  BOOLEAN,
  FUNCTION,
  invalid,
  OBJECT,
  parseCount,
  parseMs,
  readOptions,
  show,
  TEXT,
  TIMER,
  type OptionTable,
} from '../../core/check.js';
import { looksLikeClient, requireScripting, type RedisClient } from './client.js';
import type { Replicas } from './replicas.js';

export interface RedisStoreOptions {
  /**
   * `redis://` or `rediss://`, as ioredis takes it.
   * @default process.env.REDIS_URL || 'redis://localhost:6379', read at the first use; none where `redis` is given
   */
  url?: string;
  /**
   * An ioredis `Redis` or `Cluster` (or ioredis-mock) to use instead of a connection of our own. Never closed by us.
   * @default none: a connection of our own
   */
  client?: RedisClient;
  /** ioredis' options for our own connection: `tls`, `sentinels`, `keyPrefix` and the like. @default none */
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
  /** Whether every run on this store must say whose key it is: one without a `scope` is INVALID_OPTIONS. @default false */
  requireScope?: boolean;
}

/** The options, checked, with their defaults. */
export interface RedisSettings {
  readonly url: string | undefined;
  readonly client: RedisClient | undefined;
  readonly redis: object | undefined;
  readonly timeoutMs: number;
  readonly replicas: Replicas | undefined;
  readonly warn: (message: string) => void;
  readonly requiresScope: boolean;
}

const TIMEOUT_MS = 2_000;
const REPLICAS_TIMEOUT_MS = 200;

export const REDIS_OPTIONS = {
  url: { check: (value, option) => checkUrl(option, TEXT.check(value, option) as string) },
  client: { check: (value) => requireScripting(value) },
  redis: OBJECT,
  timeoutMs: TIMER,
  waitForReplicas: { check: readReplicas },
  onWarning: FUNCTION,
  requireScope: BOOLEAN,
} satisfies OptionTable<RedisStoreOptions>;

/** @throws UsageError INVALID_OPTIONS */
export function readRedisOptions(input: unknown): RedisSettings {
  const { url, client, redis, timeoutMs = TIMEOUT_MS, waitForReplicas, ...rest } = namedOptions(input);
  const replicas = waitForReplicas as Replicas | undefined;
  if (replicas && client && typeof client.pipeline !== 'function')
    throw invalid('this Redis client has no pipeline(), which waitForReplicas needs');
  const warn = rest.onWarning ?? emitWarning;
  return { url, client, redis, timeoutMs, replicas, warn, requiresScope: rest.requireScope === true };
}

/**
 * Refuses what ioredis would take for the path of a socket or for a host, and repeat in its errors, password and all. The
 * message does not repeat it.
 * @throws UsageError INVALID_OPTIONS
 */
export function checkUrl(where: string, url: string): string {
  const isUrl = /^rediss?:\/\//.test(url) && URL.canParse(url);
  // ioredis takes a port, a host with one, and the path of a socket too. Without these characters there is no password.
  if (isUrl || !/[@?\s]/.test(url)) return url;
  throw invalid(
    `${where} is no URL that starts with redis:// or rediss:// (it is not shown, since it may hold a password)`,
  );
}

function namedOptions(input: unknown): RedisStoreOptions {
  if (typeof input === 'string') return readOptions('RedisStore', REDIS_OPTIONS, { url: input });
  if (typeof input !== 'object' || input === null)
    throw invalid(`RedisStore takes a URL, options, or an ioredis client, not ${show(input)}`);
  return looksLikeClient(input)
    ? { client: requireScripting(input) }
    : readOptions<RedisStoreOptions>('RedisStore', REDIS_OPTIONS, input);
}

function readReplicas(given: unknown, option: string): Replicas {
  const isObject = typeof given === 'object' && given !== null;
  const { count, timeoutMs = REPLICAS_TIMEOUT_MS } = (
    isObject ? given : { count: given }
  ) as Partial<Replicas>;
  return {
    count: parseCount(isObject ? `${option}.count` : option, count),
    // WAIT 0 waits for ever.
    timeoutMs: Math.ceil(parseMs(`${option}.timeoutMs`, timeoutMs)),
  };
}
