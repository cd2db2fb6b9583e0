import { describe, expect, test } from '@jest/globals';
import { idempotentProcessor } from '../../src/queue/bullmq.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { FaultyStore, storeDown } from '../support/faulty-store.js';

const job = {
  ...{ id: '1', queueName: 'orders', timestamp: 1, opts: { deduplication: { id: 'o-1' } } },
  moveToDelayed: () => Promise.resolve(),
};

describe('a BullMQ that is older than what package.json says', () => {
  test('and drops the deduplication id is warned of, once', async () => {
    const warnings: string[] = [];
    const process = idempotentProcessor({
      ...{ store: new InMemoryStore(), handler: () => 'done' },
      logger: { warn: (text) => void warnings.push(text) },
    });
    await process(job);
    await process({ ...job, id: '2' });
    expect(warnings).toEqual([expect.stringMatching(/no deduplicationId.*bullmq 5\.25 or later/)]);
    await process.close();
  });

  test('and looks at the message of an error finds the one of its own DelayedError', async () => {
    const store = new FaultyStore(new InMemoryStore());
    const process = idempotentProcessor({ store, storeTimeout: 20, logger: {}, handler: () => 'done' });
    store.faults.claim = () => {
      throw storeDown();
    };
    await expect(process(job)).rejects.toMatchObject({
      ...{ name: 'DelayedError', message: 'bullmq:movedToDelayed' },
      cause: { code: 'STORE_UNAVAILABLE' },
    });
    store.heal();
    await process.close();
  });
});
