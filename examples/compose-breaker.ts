/**
 * Circuit breaker, with cockatiel: put it inside `execute`, around the call to the provider. There it counts the calls that
 * were made, and duplicates get their recorded answers while it is open. Outside, an open breaker would also refuse calls that
 * have a recorded answer, and would count errors such as KEY_REUSED as failures of the provider.
 */
import { circuitBreaker, ConsecutiveBreaker, handleAll, isBrokenCircuitError } from 'cockatiel';
import { idempotent, InMemoryStore } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

const url = process.env['REDIS_URL'];
const store = url ? new RedisStore(url) : new InMemoryStore();
const run = Date.now().toString(36);

let isDown = false;
let calls = 0;
const provider = async (orderId: string) => {
  calls++;
  if (isDown) throw new Error('the provider is down');
  return `ch_${orderId}`;
};
const breaker = circuitBreaker(handleAll, { halfOpenAfter: 60_000, breaker: new ConsecutiveBreaker(2) });

const pay = (orderId: string) =>
  idempotent({
    name: 'pay',
    key: `${run}-${orderId}`,
    store,
    execute: async ({ attempt }) => `${await breaker.execute(() => provider(orderId))} by attempt ${attempt}`,
    // An open breaker has called nobody: the claim is undone, and no attempt is counted.
    remember: (error) => (isBrokenCircuitError(error) ? 'release' : false),
  });
const tell = async (orderId: string) => {
  const answer = await pay(orderId).catch((error: Error) => error.message);
  console.log(`${orderId}: ${answer}`);
};

await tell('o-1');
isDown = true;
await tell('o-2');
await tell('o-3');
console.log(`the breaker is open after ${calls} calls`);
await tell('o-4');
await tell('o-1');
console.log(`${calls} calls, and o-1 had its answer all the same`);
isDown = false;
// Closed by hand, instead of waiting for a trial call to succeed.
breaker.isolate().dispose();
await tell('o-4');
await tell('o-2');
