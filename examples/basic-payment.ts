/** A payment that is charged once per order, however often the task is executed. */
import { IdempotencyMiddleware, InMemoryStore } from 'twiceshy';
import { required, Task, type MiddlewareDefinition } from 'twiceshy/pipeline';

const url = process.env['REDIS_URL'];
const idempotency = new IdempotencyMiddleware(url ? { redis: url } : { store: new InMemoryStore() });

class ChargeCard extends Task {
  static override middlewares: MiddlewareDefinition[] = [
    idempotency.with<ChargeCard>({ key: (task) => `order-${task.orderId}` }),
  ];
  orderId = required('string');
  amount = required('number');

  work() {
    console.log(`the provider charges ${this.amount}`);
    this.context.set('chargeId', `ch_${this.orderId}`);
  }
}

const order = { orderId: process.argv[2] ?? 'o-1', amount: 42 };
const first = await ChargeCard.execute(order);
console.log(`first:  ${first.status}, ${String(first.context.get('chargeId'))}`);
const second = await ChargeCard.execute(order);
console.log(`second: ${second.status}, ${second.reason ?? ''}`);
