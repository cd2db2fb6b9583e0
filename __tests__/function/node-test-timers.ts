/** Run by node:test itself, in a process of its own (fake-timers.test.ts): its timers are those of the process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIdempotency, InMemoryStore } from '../../src/index.js';

void test('a record with a ttl of an hour is gone after two, and there after half of one', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  const store = new InMemoryStore({ clock: () => Date.now() });
  const idempotency = createIdempotency({ store, name: 'mail', ttl: '1h' });
  const work = t.mock.fn(() => 1);
  await idempotency.run('k', work);
  t.mock.timers.tick(1_800_000);
  await idempotency.run('k', work);
  assert.equal(work.mock.callCount(), 1);
  t.mock.timers.tick(7_200_000);
  await idempotency.run('k', work);
  assert.equal(work.mock.callCount(), 2);
});
