import { invalid } from '../../core/check.js';

/**
 * The part of an ioredis `Redis` or `Cluster` that the store calls. Structural, so that importing the store never needs
 * ioredis or its types.
 */
export interface RedisClient {
  evalsha(sha: string, numberOfKeys: number, ...args: string[]): Promise<unknown>;
  eval(script: string, numberOfKeys: number, ...args: string[]): Promise<unknown>;
  subscribe(...channels: string[]): Promise<unknown>;
  unsubscribe(...channels: string[]): Promise<unknown>;
  info(...sections: string[]): Promise<string>;
  quit(): Promise<unknown>;
  disconnect(): void;
  connect(): Promise<unknown>;
  on(event: string, listener: (first: string) => void): unknown;
  /** Redis takes its options, Cluster its start-up nodes first. */
  duplicate?(...overrides: never[]): RedisClient;
  /** Needed for `waitForReplicas`. */
  pipeline?(): RedisPipeline;
  /** Of a Cluster: a client a node. */
  nodes?(role?: 'all'): RedisClient[];
  readonly status?: string;
  readonly options?: { keyPrefix?: string | Uint8Array | undefined };
}

/** Commands that leave on one connection, one behind the other. */
export interface RedisPipeline {
  asking(): unknown;
  evalsha(sha: string, numberOfKeys: number, ...args: string[]): unknown;
  eval(script: string, numberOfKeys: number, ...args: string[]): unknown;
  wait(replicas: number, timeoutMs: number): unknown;
  /** What became of each: its error, its answer. */
  exec(): Promise<[Error | null, unknown][] | null>;
}

/** The socket below a client, which ioredis has from its first connecting on; Cluster and mocks have none. */
export interface Socket {
  ref(): unknown;
  unref(): unknown;
  cork(): void;
  uncork(): void;
  destroy(error?: Error): unknown;
}

type RedisConstructor = new (...args: (string | object)[]) => RedisClient;

/** The socket of `client`, where there is one. */
export function clientSocket(client: RedisClient): Socket | undefined {
  return (client as { stream?: Socket }).stream;
}

/**
 * A script's answer as it left the server. Options of a client may change its type: `stringNumbers` makes text of numbers,
 * and a wrapper may give bytes. A record and a lease have more than one character, so that a digit alone is a number.
 */
export function plainAnswer(answer: unknown): unknown {
  if (typeof answer === 'string') return answer.length === 1 ? Number(answer) : answer;
  if (typeof answer === 'bigint') return Number(answer);
  return answer instanceof Uint8Array ? plainAnswer(new TextDecoder().decode(answer)) : answer;
}

/** Whether the server refused the database that the client is to use; ioredis goes on with database 0 then. */
export function isSelectRefused(error: unknown): boolean {
  return (error as { command?: { name?: unknown } } | undefined)?.command?.name === 'select';
}

/** Whether it is a client of a Redis Cluster, which sends each command to the node of its key. */
export function isCluster(client: RedisClient): boolean {
  return Reflect.get(client, 'isCluster') === true;
}

/** Whether `value` is meant as a client rather than as options. */
export function looksLikeClient(value: object): boolean {
  return ['evalsha', 'eval', 'get', 'set', 'on'].some(
    (name) => typeof Reflect.get(value, name) === 'function',
  );
}

/** @throws UsageError INVALID_OPTIONS for a client that can't run scripts. */
export function requireScripting(client: unknown): RedisClient {
  if (['evalsha', 'eval'].every((name) => typeof Reflect.get(Object(client) as object, name) === 'function'))
    return client as RedisClient;
  throw invalid(
    'this Redis client has no evalsha() and eval(): RedisStore runs Lua scripts. In tests use ioredis-mock, which ' +
      'runs them, or InMemoryStore, which needs no client at all',
  );
}

/**
 * Makes a client of ioredis, which is loaded only now.
 * @throws UsageError INVALID_OPTIONS where ioredis is not installed.
 */
export async function createClient(url: string | undefined, options: object): Promise<RedisClient> {
  const Redis = await loadConstructor();
  return requireScripting(url === undefined ? new Redis(options) : new Redis(url, options));
}

async function loadConstructor(): Promise<RedisConstructor> {
  let loaded: unknown;
  try {
    loaded = await import('ioredis');
  } catch (cause) {
    throw invalid('RedisStore needs ioredis: npm install ioredis', { cause });
  }
  // A mock may put the constructor in any of these places, and ESM over CommonJS may wrap it twice.
  const { default: inner, Redis: named } = loaded as { default?: unknown; Redis?: unknown };
  const wrapped = (inner ?? {}) as { default?: unknown; Redis?: unknown };
  const found = [loaded, inner, named, wrapped.default, wrapped.Redis].find(
    (one) => typeof one === 'function',
  );
  if (found) return found as RedisConstructor;
  throw invalid('the module "ioredis" has no Redis constructor: is it mocked incompletely?');
}
