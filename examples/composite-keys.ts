/** Keys composed of several values: no two sets of values share one, and a missing value is an error. */
import { contextKey, hashKey, IdempotencyMiddleware, InMemoryStore } from 'twiceshy';
import { Task, type MiddlewareDefinition } from 'twiceshy/pipeline';

const url = process.env['REDIS_URL'];
const idempotency = new IdempotencyMiddleware(url ? { redis: url } : { store: new InMemoryStore() });

// The order of members does not matter; types do.
console.log(hashKey({ a: 1, b: 2 }) === hashKey({ b: 2, a: 1 }), hashKey(1) === hashKey('1'));

class SendInvoice extends Task {
  static override middlewares: MiddlewareDefinition[] = [
    [idempotency, { key: contextKey('customerId', 'month', { optional: 'coupon' }) }],
  ];

  work() {
    console.log(
      'invoice sent for',
      this.context.get('month'),
      this.context.get('coupon') ?? 'without coupon',
    );
  }
}

const customerId = process.argv[2] ?? 'c-1';
for (const input of [
  { customerId, month: '2026-10' },
  { customerId, month: '2026-11' },
  { customerId, month: '2026-11', coupon: 'TEA' },
  { customerId, month: '2026-11' },
  { customerId },
]) {
  const result = await SendInvoice.execute(input);
  if (!result.success) console.log(`${result.status}: ${result.reason ?? ''}`);
}
