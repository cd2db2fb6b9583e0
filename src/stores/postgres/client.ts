import { redrawTokens } from '../../core/token.js';
import { invalid } from '../../core/check.js';

export interface PostgresResult {
  readonly rows: unknown[];
  readonly rowCount?: number | null;
  readonly command?: string;
}

/** A query: text with `$1`-style placeholders. `query_timeout` is an option of pg, which other pools may ignore. */
export interface PostgresQuery {
  /** The name of a prepared statement: the connection keeps the plan of its text. */
  name?: string;
  text: string;
  values?: unknown[];
  query_timeout?: number;
}

/** The argument of a client's events: an error or a notification. */
export interface PostgresEvent {
  readonly message?: string;
  readonly payload?: string | undefined;
}

/** The methods of a pg `PoolClient` that the store calls. */
export interface PostgresClient {
  query(query: PostgresQuery): Promise<PostgresResult>;
  /** With an error, or `true`, the connection is closed instead of given back. */
  release(destroy?: Error | boolean): void;
  on(event: string, listener: (first: PostgresEvent) => void): unknown;
  removeListener(event: string, listener: (first: PostgresEvent) => void): unknown;
  unref?(): void;
}

/**
 * The methods of a pg `Pool` that the store calls. A structural type, so that importing the store does not need pg or its types.
 */
export interface PostgresPool {
  query(query: PostgresQuery): Promise<PostgresResult>;
  connect(): Promise<PostgresClient>;
  on?(event: 'connect', listener: () => void): unknown;
  readonly options?: { readonly max?: number | undefined } | undefined;
}

const watched = new WeakSet<object>();

/** Draws new random bits for owner tokens whenever the pool opens a connection, as it does after this machine was cloned. */
export function redrawTokensOnConnect(pool: PostgresPool): void {
  if (watched.has(pool)) return;
  watched.add(pool);
  pool.on?.('connect', redrawTokens);
}

/** The default of pg's `max`. */
const PG_DEFAULT_MAX = 10;

export const poolSize = (pool: PostgresPool): number => pool.options?.max ?? PG_DEFAULT_MAX;

/** @throws UsageError INVALID_OPTIONS for a value that is not a pool */
export function requirePool(pool: unknown): PostgresPool {
  const has = (name: string): boolean =>
    typeof pool === 'object' && pool !== null && typeof Reflect.get(pool, name) === 'function';
  // A single pg Client has both methods too, but it runs one query at a time and has no release().
  const isClient = has('getTypeParser') || has('escapeIdentifier');
  if (has('query') && has('connect') && !isClient) return pool as PostgresPool;
  throw invalid(
    `PostgresStore takes a Pool of pg (an object with query() and connect())${isClient ? ', not a single Client' : ''}: ` +
      'new PostgresStore(new Pool({ connectionString }))',
  );
}

/**
 * A connection of the pool. If it does not come in time, it is given back as soon as it comes.
 * @throws the pool's error, or an Error with the code ETIMEDOUT
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
 * Calls `use` with a connection of the pool. The connection goes back to the pool even after an error, if `isSound` says that it
 * still works. (`pool.query()` would close it after every error, also after each timeout of a row lock. A busy server would then
 * be kept busy by new sessions.) A call that times out before it gets a connection leaves nothing in the pool's queue.
 * @param isSound whether the connection still works after an error
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
    // After release(), which adds the pool's own listener.
    client.removeListener('error', ignore);
  }
}

const ignore = (): void => undefined;

/**
 * The form of `connect()` in which pg passes on a connection without a turn of the event loop. Other pools may only return
 * promises.
 */
interface CallsBack {
  connect(
    callback: (error: Error | undefined, client?: PostgresClient) => void,
  ): Promise<PostgresClient> | undefined;
}

/**
 * A connection that has an error listener from the first moment. The pool removes its own listener when it passes a connection
 * on, and the server's last error may arrive in the same packet as its first answer. Without a listener that would end the
 * process. The error can be ignored here, because a query on a failed connection is rejected.
 */
function checkOut(pool: PostgresPool): Promise<PostgresClient> {
  return new Promise((resolve, reject) => {
    const promised = (pool as CallsBack).connect((error, client) => {
      if (!client) return reject(error ?? new Error('the pool handed out no connection'));
      client.on('error', ignore);
      // By then the caller has added its own listener.
      setImmediate(() => client.removeListener('error', ignore));
      resolve(client);
    });
    promised?.then(resolve, reject);
  });
}
