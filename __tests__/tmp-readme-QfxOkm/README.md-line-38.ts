
import { IdempotencyMiddleware, InMemoryStore } from 'twiceshy';
import { required, Task, type MiddlewareDefinition } from 'twiceshy/pipeline';

// new IdempotencyMiddleware() is on process.env.REDIS_URL, else redis://localhost:6379.
const idempotency = new IdempotencyMiddleware({ store: new InMemoryStore() });

class ChargeCard extends Task {
  static override middlewares: MiddlewareDefinition[] = [
    idempotency.with<ChargeCard>({ key: (task) => `order-${task.orderId}`, ttl: '24h' }),
    // or untyped, as a plain tuple: [idempotency, { key: 'nightly' }]
  ];
  orderId = required('string');

  work() {
    this.context.set('chargeId', `ch_${this.orderId}`);
  }
}

console.log((await ChargeCard.execute({ orderId: 'o-1' })).status); // success
console.log((await ChargeCard.execute({ orderId: 'o-1' })).status); // skipped
export {};
