import type { Pool } from 'pg';
import type { PostgresPool, PostgresQuery, PostgresResult } from '../../src/stores/postgres/store.js';

type Send = (query: PostgresQuery) => Promise<PostgresResult>;

/** A pool on whose connections every query goes through `watch`. */
export function watchedPool(
  pool: Pool,
  watch: (query: PostgresQuery, send: Send) => Promise<PostgresResult>,
): PostgresPool {
  return {
    query: (query) => watch(query, (asked) => pool.query(asked)),
    connect: async () => {
      const client = await pool.connect();
      return {
        query: (query) => watch(query, (asked) => client.query(asked)),
        release: (destroy) => client.release(destroy),
        on: (event, listener) => client.on(event as 'error', listener),
        removeListener: (event, listener) => client.removeListener(event, listener),
      };
    },
  };
}
