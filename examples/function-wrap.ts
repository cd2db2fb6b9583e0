/** A function that exists already, made idempotent: its signature stays, the key comes from the arguments. */
import { currentAttempt, InMemoryStore, makeIdempotent } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

const url = process.env['REDIS_URL'];
const store = url ? new RedisStore(url) : new InMemoryStore();
const month = `2026-11-${Date.now().toString(36)}`;

async function sendInvoice(customerId: string, forMonth: string, copyTo?: string): Promise<string> {
  const to = copyTo === undefined ? customerId : `${customerId} and ${copyTo}`;
  console.log(`sends the invoice to ${to}, under ${currentAttempt()?.key === `${customerId}:${forMonth}`}`);
  return `inv_${customerId}`;
}

// Without `key` it is the hash of all arguments; here a copy to somebody else is the same invoice.
const send = makeIdempotent(sendInvoice, {
  store,
  ttl: '40d',
  key: (customerId, forMonth) => `${customerId}:${forMonth}`,
});

console.log(await send('c-1', month));
console.log(await send('c-1', month, 'accountant'));
console.log(await send('c-2', month));
const { misses, hits } = send.stats();
console.log(`${misses} sent, ${hits} duplicate`);
