import { expect, test } from '@jest/globals';
import { EventEmitter } from 'node:events';
import type { PostgresClient } from '../../src/stores/postgres.js';
import { PostgresStore } from '../../src/stores/postgres.js';
import { deferred } from '../support/deferred.js';
import { placeOf } from '../support/instances.js';

test('G8: who waited while the listener broke is woken, also when a newcomer brings the next connection', async () => {
  const connections: (PostgresClient & EventEmitter)[] = [];
  const connect = async () => {
    const client = Object.assign(new EventEmitter(), {
      query: async () => ({ rows: [{ channel: 'twiceshy_1' }] }),
      release: () => undefined,
    });
    connections.push(client);
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
