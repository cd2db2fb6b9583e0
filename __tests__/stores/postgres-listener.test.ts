import { expect, test } from '@jest/globals';
import { EventEmitter } from 'node:events';
import type { PostgresClient, PostgresQuery } from '../../src/stores/postgres/store.js';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { deferred } from '../support/deferred.js';
import { placeOf } from '../support/instances.js';

test('G8: who waited while the listener broke is woken, also when a newcomer brings the next connection', async () => {
  const connections: (PostgresClient & EventEmitter)[] = [];
  const connect = async () => {
    const client = Object.assign(new EventEmitter(), {
      query: async ({ text, values }: PostgresQuery) => {
        if (text.startsWith('LISTEN')) connections.push(client);
        // As a server does: whoever listens is told.
        if (text.includes('pg_notify'))
          connections.forEach((each) => each.emit('notification', { payload: values![1] }));
        return { rows: [{ channel: 'twiceshy_1' }] };
      },
      release: () => undefined,
    });
    return client;
  };
  const store = new PostgresStore({ connect, query: async () => ({ rows: [] }) }, { listen: true });
  const woken = deferred();
  const leave = await store.subscribe!(placeOf('old'), () => woken.resolve());
  connections[0]!.emit('end');
  // Before the listener tries again by itself.
  const leaveToo = await store.subscribe!(placeOf('new'), () => undefined);
  expect(connections).toHaveLength(2);
  await woken.promise;
  leave();
  leaveToo();
  await store.close();
});

test('a pool that passes no notifications on is found out: one warning, and waiters poll from then on', async () => {
  const client = () =>
    Object.assign(new EventEmitter(), {
      query: async () => ({ rows: [{ channel: 'twiceshy_1' }] }),
      release: () => undefined,
    });
  const warnings: string[] = [];
  const store = new PostgresStore(
    { connect: async () => client(), query: async () => ({ rows: [] }) },
    { onWarning: (message) => void warnings.push(message) },
  );
  const waits = [1, 2].map((n) => store.subscribe!(placeOf(`k${n}`), () => undefined));
  for (const wait of waits) await expect(wait).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(store.subscribe).toBeUndefined();
  expect(warnings).toEqual([expect.stringMatching(/notifications.*listen: false/)]);
  await store.close();
});
