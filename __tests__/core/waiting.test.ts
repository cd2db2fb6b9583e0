import { describe, expect, test } from '@jest/globals';
import { StoreError } from '../../src/core/errors.js';
import { deferred } from '../support/deferred.js';
import { nextEvent, world } from '../support/instances.js';

describe('how a duplicate waits', () => {
  test('G6: a wake-up whose read failed is not forgotten until the next poll, which may be seconds away', async () => {
    const { process } = world();
    const owner = process();
    const finish = deferred();
    const begun = deferred();
    const first = owner.run('k', async () => {
      begun.resolve();
      await finish.promise;
      return 'paid';
    });
    await begun.promise;

    // Shorter than the first poll of a waiter that is woken: only the wake-up can help it.
    const other = process({ waitTimeout: 850 });
    const subscribed = deferred();
    let reads = 0;
    other.faulty.faults.read = (moment) => {
      if (moment === 'sent') reads++;
      // The first read follows the subscription; the second one is what it was woken for.
      if (reads === 2) throw new StoreError('STORE_UNAVAILABLE', 'out of memory');
      if (moment === 'answered') subscribed.resolve();
    };
    const second = other.run('k', () => 'twice');
    await subscribed.promise;
    const failed = nextEvent(other, 'store-error');
    finish.resolve();
    await first;
    await failed;
    await expect(second).resolves.toBe('paid');
  });
});
