
import { idempotent } from 'twiceshy';

interface PaymentResult {
  paymentId: string;
  paidAt: Date;
}

const pay = (orderId: string, amount: number) =>
  idempotent<PaymentResult>({
    name: 'pay', // the operation; the key is the whole identity within it
    key: orderId,
    payload: { amount }, // the same key with another amount is KEY_REUSED
    ttl: '1h',
    execute: async (attempt) => ({ paymentId: attempt.deriveKey('pay'), paidAt: new Date() }),
    onCacheHit: (key, record) => console.log(`${key} again, hit ${record.hitCount}`),
    onCacheMiss: (key) => console.log(`${key} is paid`),
  });

const first = await pay('order-1', 42);
const again = await pay('order-1', 42);
console.log(first.paidAt.getTime() === again.paidAt.getTime()); // true
await pay('order-1', 99).catch((error) => console.log(error.code)); // KEY_REUSED
export {};
