import { expect, test } from '@jest/globals';
import { EventEmitter } from 'node:events';
import type { PostgresClient, PostgresPool } from '../../src/stores/postgres/store.js';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { errorOf } from '../support/deferred.js';
import { keyAt } from '../support/keys.js';

const terminated = new Error('terminating connection due to administrator command');

/** Hands out a connection as pg does, whose server ends it in the same packet that made it ready. */
class DoomedPool implements PostgresPool {
  readonly client = Object.assign(new EventEmitter(), {
    query: () => Promise.reject(new Error('Client has encountered a connection error and is not queryable')),
    release: () => undefined,
  });
  query = () => Promise.reject(terminated);

  connect(callback?: (error: undefined, client: PostgresClient) => void): Promise<PostgresClient> {
    callback?.(undefined, this.client);
    // Throws where nobody listens, as it would end the process from inside of a socket's handler.
    this.client.emit('error', terminated);
    return undefined as unknown as Promise<PostgresClient>;
  }
}

test('G8: a connection that fails while it is handed out ends a call, not the process', async () => {
  const pool = new DoomedPool();
  const store = new PostgresStore(pool, { listen: true, transactions: { name: 'run' } });
  const key = keyAt('idempotency:charge:k', 'AAAAAA');
  const error = await errorOf(store.subscribe!(key, () => undefined));
  expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(error.message).not.toContain('Unhandled error');
  await store.close();
  await new Promise((resolve) => setImmediate(resolve));
  expect(pool.client.listenerCount('error')).toBeLessThanOrEqual(1);
});
