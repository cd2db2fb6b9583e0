/** How a task is tested without a Redis: on InMemoryStore, or with ioredis mocked where the task has a URL inside. */
import { beforeEach, describe, expect, jest, test } from '@jest/globals';

// Before the import of what uses it. In CommonJS: jest.mock('ioredis', () => require('ioredis-mock')).
jest.unstable_mockModule('ioredis', () => import('ioredis-mock'));
const { IdempotencyMiddleware, InMemoryStore } = await import('twiceshy');
const { Task } = await import('twiceshy/pipeline');

describe.each([
  ['InMemoryStore', () => new IdempotencyMiddleware({ store: new InMemoryStore() })],
  ['ioredis-mock', () => new IdempotencyMiddleware('redis://mocked:6379')],
])('ChargeCard on %s', (_, createIdempotency) => {
  const charge = jest.fn();
  beforeEach(() => void charge.mockClear());

  test('charges an order once', async () => {
    const idempotency = createIdempotency();
    class ChargeCard extends Task {
      static override middlewares = [
        idempotency.with({ key: (task) => `order-${String(task.context.get('orderId'))}` }),
      ];
      work() {
        charge();
      }
    }
    expect((await ChargeCard.execute({ orderId: 1 })).status).toBe('success');
    expect((await ChargeCard.execute({ orderId: 1 })).status).toBe('skipped');
    expect((await ChargeCard.execute({ orderId: 2 })).status).toBe('success');
    expect(charge).toHaveBeenCalledTimes(2);
  });
});
