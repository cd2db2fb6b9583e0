import { redrawTokens } from '../../core/token.js';
import { invalid } from '../../core/check.js';

export interface PostgresResult {
  readonly rows: unknown[];
  readonly rowCount?: number | null;
  readonly command?: string;
}

/** What is sent: text with `$1`-style places. `query_timeout` is one of pg's own, which others may ignore. */
export interface PostgresQuery {
  /** One text, one name: the connection keeps its plan. */
  name?: string;
  text: string;
  values?: unknown[];
  query_timeout?: number;
}

/** An error, or a notification. */
export interface PostgresEvent {
  readonly message?: string;
  readonly payload?: string | undefined;
}

/** The part of a pg `PoolClient` that the store calls. */
export interface PostgresClient {
  query(query: PostgresQuery): Promise<PostgresResult>;
  /** With an error, or `true`, the connection is closed instead of given back. */
  release(destroy?: Error | boolean): void;
  on(event: string, listener: (first: PostgresEvent) => void): unknown;
  removeListener(event: string, listener: (first: PostgresEvent) => void): unknown;
  unref?(): void;
}

/**
 * The part of a pg `Pool` that the store calls. Structural, so that importing the store never needs pg or its types.
 */
export interface PostgresPool {
  query(query: PostgresQuery): Promise<PostgresResult>;
  connect(): Promise<PostgresClient>;
  on?(event: 'connect', listener: () => void): unknown;
  readonly options?: { readonly max?: number | undefined } | undefined;
}

const watched = new WeakSet<object>();

/** Owner tokens are drawn anew whenever the pool has opened a connection, as after this machine was cloned. */
export function redrawTokensOf(pool: PostgresPool): void {
  if (watched.has(pool)) return;
  watched.add(pool);
  pool.on?.('connect', redrawTokens);
}

/** How many connections a pool of pg has where it does not say. */
const PG_DEFAULT_MAX = 10;

export const sizeOf = (pool: PostgresPool): number => pool.options?.max ?? PG_DEFAULT_MAX;

/** @throws UsageError INVALID_OPTIONS for what is no pool */
export function requirePool(pool: unknown): PostgresPool {
  const has = (name: string): boolean =>
    typeof pool === 'object' && pool !== null && typeof Reflect.get(pool, name) === 'function';
  // A single pg Client has both too: it can't be waited for by two, and has no release().
  const isClient = has('getTypeParser') || has('escapeIdentifier');
  if (has('query') && has('connect') && !isClient) return pool as PostgresPool;
  throw invalid(
    `PostgresStore takes a Pool of pg (an object with query() and connect())${isClient ? ', not a single Client' : ''}: ` +
      'new PostgresStore(new Pool({ connectionString }))',
  );
}

/**
 * A connection of the pool, in time. One that comes later is given back at once.
 * @throws what the pool says, or an Error with the code ETIMEDOUT
 */
export async function connectWithin(pool: PostgresPool, timeoutMs: number): Promise<PostgresClient> {
  const connecting = checkOut(pool);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, timeoutMs, undefined)));
  try {
    const client = await Promise.race([connecting, late]);
    if (client) return client;
  } finally {
    clearTimeout(timer);
  }
  connecting.then(
    (client) => client.release(),
    () => undefined,
  );
  throw Object.assign(new Error(`no connection of the pool was free within ${timeoutMs} ms`), {
    code: 'ETIMEDOUT',
  });
}

/**
 * Runs on a connection of the pool. It goes back to the pool, also after an error, unless that error leaves nobody sure of
 * it: `pool.query()` would close it after every error, as after each row that was waited for in vain, and a busy server
 * would be kept busier by starting sessions. Who gives up before there is one leaves nothing behind in the pool's queue.
 * @param isSound whether the connection is, after that error
 */
export async function onConnection<T>(
  pool: PostgresPool,
  timeoutMs: number,
  isSound: (error: unknown) => boolean,
  use: (client: PostgresClient) => Promise<T>,
): Promise<T> {
  const client = await connectWithin(pool, timeoutMs);
  client.on('error', ignore);
  let isBroken = false;
  try {
    return await use(client);
  } catch (error) {
    isBroken = !isSound(error);
    throw error;
  } finally {
    client.release(isBroken || undefined);
    // After the pool has put up its own.
    client.removeListener('error', ignore);
  }
}

const ignore = (): void => undefined;

/** How pg hands out a connection at once, without a turn of the event loop; others may know promises only. */
interface CallsBack {
  connect(
    callback: (error: Error | undefined, client?: PostgresClient) => void,
  ): Promise<PostgresClient> | undefined;
}

/**
 * A connection on which an error is heard from the very moment that it is ours. The pool's own listener is gone by then, and
 * the server's last words may stand in the same packet as its greeting: with nobody listening they would end the process.
 * What is asked of a connection that has failed is refused, so that the error itself may be passed over here.
 */
function checkOut(pool: PostgresPool): Promise<PostgresClient> {
  return new Promise((resolve, reject) => {
    const promised = (pool as CallsBack).connect((error, client) => {
      if (!client) return reject(error ?? new Error('the pool handed out no connection'));
      client.on('error', ignore);
      // By then whoever asked for it listens.
      setImmediate(() => client.removeListener('error', ignore));
      resolve(client);
    });
    promised?.then(resolve, reject);
  });
}
