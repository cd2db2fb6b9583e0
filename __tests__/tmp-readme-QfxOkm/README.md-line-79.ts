
import { idempotent, makeIdempotent } from 'twiceshy';

const pay = (orderId: string) =>
  idempotent({
    name: 'pay',
    key: orderId,
    execute: async (attempt) => ({ orderId, providerKey: attempt.deriveKey('pay') }),
    onCacheHit: (key, record) => console.log(`${key} again, hit ${record.hitCount}`),
  }); // without a `store`, in the memory of this process

const first = await pay('order-1');
const again = await pay('order-1');
console.log(first.providerKey === again.providerKey); // true

const greet = makeIdempotent(async function greet(name: string) {
  return `hello ${name}, ${Math.random()}`;
});
console.log((await greet('you')) === (await greet('you'))); // true
export {};
