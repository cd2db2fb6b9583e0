/** A payment as a plain function: one charge for an order, whoever asks again, at once or later. */
import { ConcurrentBehavior, idempotent, InMemoryStore, isIdempotencyError } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

const url = process.env['REDIS_URL'];
// Without a store the records are in the memory of this process, which its neighbours do not see.
const store = url ? new RedisStore(url) : new InMemoryStore();
const orderId = `o-${Date.now().toString(36)}`;
let open: () => void = () => undefined;
const provider = new Promise<void>((resolve) => (open = resolve));

const pay = (amount: number) =>
  idempotent({
    name: 'pay',
    key: orderId,
    payload: { amount },
    store,
    execute: async (attempt) => {
      // Stable across crashes and timeouts: the provider's own idempotency key.
      console.log(
        `the provider charges ${amount}, its key has ${attempt.deriveKey('charge').length} characters`,
      );
      await provider;
      return { amount, paidAt: new Date() };
    },
    onCacheHit: (_, record) => console.log(`a duplicate, answered from a record that is ${record.status}`),
  });

const first = pay(42);
const atOnce = pay(42);
const refused = idempotent({
  ...{ name: 'pay', key: orderId, store },
  concurrentBehavior: ConcurrentBehavior.REJECT,
  execute: () => 'never',
});
await refused.catch((error: unknown) => {
  console.log(`who does not want to wait: ${isIdempotencyError(error) ? error.code : 'another error'}`);
});
open();
const paid = await first;
console.log(`at once: ${(await atOnce).paidAt.getTime() === paid.paidAt.getTime()}`);
console.log(`later:   ${(await pay(42)).paidAt.getTime() === paid.paidAt.getTime()}`);
await pay(99).catch((error: unknown) => {
  console.log(`another amount: ${isIdempotencyError(error) ? error.code : 'another error'}`);
});
