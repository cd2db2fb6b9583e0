
import { idempotent, InMemoryStore, makeIdempotent } from 'twiceshy';

let sent = 0;
async function sendInvoice(customerId: string, month: string, copyTo?: string) {
  return `invoice ${++sent} for ${customerId}, ${month}, copy to ${copyTo ?? 'nobody'}`;
}
const store = new InMemoryStore();
const send = makeIdempotent(sendInvoice, {
  store,
  ttl: '40d',
  key: (customerId, month) => `${customerId}:${month}`, // left out: the hash of all arguments
});

await send('c-1', '2026-11');
await send('c-1', '2026-11', 'accountant');
console.log(sent); // 1
console.log(send.stats().hits); // 1
console.log(idempotent.stats({ store, name: 'sendInvoice' }).misses); // 1
export {};
