import { Pool } from 'pg';
import type { LeaseStore } from '../../src/core/store.js';
import { PostgresStore } from '../../src/stores/postgres.js';
import { RedisStore } from '../../src/stores/redis.js';
import { BrokenStore } from './broken-store.js';
import type { StoreConfig } from './worker-config.js';

const TIMEOUT_MS = 300;

/** The store of a worker, and how it is closed. */
export function openStore(config: StoreConfig): { store: LeaseStore; close(): Promise<void> } {
  if (config.kind === 'redis') {
    const real = new RedisStore({ url: config.url, timeoutMs: TIMEOUT_MS, onWarning: () => undefined });
    if (config.broken === undefined) return { store: real, close: () => real.close() };
    const store = new BrokenStore(real, config.url, config.broken);
    return { store, close: () => store.close() };
  }
  const pool = new Pool({
    connectionString: config.url,
    max: config.poolMax,
    connectionTimeoutMillis: TIMEOUT_MS,
    options: `-c default_transaction_isolation=${config.isolation.replace(' ', '\\ ')}`,
  });
  // The server ends connections in these tests: that is no error of anybody's.
  pool.on('error', () => undefined);
  const store = new PostgresStore(pool, { timeoutMs: TIMEOUT_MS, listen: config.poolMax >= 3 });
  const close = async () => {
    await store.close();
    await pool.end();
  };
  return { store, close };
}
