/** A webhook that is delivered twice, at the same moment: both deliveries get the answer of the one that ran. */
import { IdempotencyMiddleware, InMemoryStore } from 'twiceshy';
import { required, Task, type MiddlewareDefinition } from 'twiceshy/pipeline';

const url = process.env['REDIS_URL'];
const idempotency = new IdempotencyMiddleware(url ? { redis: url } : { store: new InMemoryStore() });

class HandleWebhook extends Task {
  static override middlewares: MiddlewareDefinition[] = [
    idempotency.with<HandleWebhook>({
      key: (task) => task.eventId,
      // As long as the sender may deliver it again, and a day more.
      ttl: '4d',
      onDuplicate: 'return-cached',
    }),
  ];
  eventId = required('string');

  async work() {
    console.log('the order is marked as paid');
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.context.set('response', { statusCode: 200, receivedAt: new Date(0) });
  }
}

const delivery = { eventId: process.argv[2] ?? 'evt_1' };
const results = await Promise.all([HandleWebhook.execute(delivery), HandleWebhook.execute(delivery)]);
for (const result of results) console.log('answered', result.status, result.context.get('response'));
