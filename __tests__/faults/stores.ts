import { Pool } from 'pg';
import type { LeaseStore } from '../../src/core/store.js';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { BrokenStore } from './broken-store.js';
import type { StoreConfig } from './worker-config.js';

/** The store of a worker, and how it is closed. */
export function openStore(
  config: StoreConfig,
  timeoutMs: number,
): { store: LeaseStore; close(): Promise<void> } {
  if (config.kind === 'redis') {
    const real = new RedisStore({ url: config.url, timeoutMs, onWarning: () => undefined });
    if (config.broken === undefined) return { store: real, close: () => real.close() };
    const store = new BrokenStore(real, config.url, config.broken);
    return { store, close: () => store.close() };
  }
  // As by default: a statement may take longer than the call that sent it, since a new session costs a busy server more.
  const patientMs = 3 * timeoutMs;
  const pool = new Pool({
    connectionString: config.url,
    max: config.poolMax,
    connectionTimeoutMillis: patientMs,
    options: `-c default_transaction_isolation=${config.isolation.replace(' ', '\\ ')}`,
  });
  // The server ends connections in these tests: that is no error of anybody's.
  pool.on('error', () => undefined);
  const store = new PostgresStore(pool, { timeoutMs: patientMs, listen: config.poolMax >= 3 });
  const close = async () => {
    await store.close();
    await pool.end();
  };
  return { store, close };
}
