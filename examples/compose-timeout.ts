/**
 * Timeout, with cockatiel. Outside, it ends the caller's patience and not the work: whoever asks again waits for the same
 * attempt. Inside, it ends an attempt of which nobody knows whether it charged: say so, and keep the provider's key.
 */
import { TaskCancelledError, timeout, TimeoutStrategy } from 'cockatiel';
import { idempotent, InMemoryStore, type Attempt } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

const url = process.env['REDIS_URL'];
const store = url ? new RedisStore(url) : new InMemoryStore();
const run = Date.now().toString(36);
const hurry = timeout(50, TimeoutStrategy.Aggressive);

/** A provider that is stuck until `open()`, and charges once for each key of its own. */
function slowProvider() {
  let open: () => void = () => undefined;
  const stuck = new Promise<void>((resolve) => (open = resolve));
  const charges = new Set<string>();
  const charge = async (providerKey: string) => {
    charges.add(providerKey);
    await stuck;
    return 'charged';
  };
  return { open, charges, charge };
}
// Not isTaskCancelledError(), which in cockatiel 3.2.1 asks for a field of another error.
const isLate = (error: unknown) => error instanceof TaskCancelledError;
const late = (error: Error) => (isLate(error) ? 'timed out' : error.message);

console.log('timeout outside: the caller gives up, the work goes on');
const outside = slowProvider();
const payOutside = () =>
  idempotent({
    name: 'pay',
    key: `${run}-outside`,
    store,
    execute: async (attempt) =>
      `${await outside.charge(attempt.deriveKey('charge'))} by attempt ${attempt.attempt}`,
  });
// `signal: AbortSignal.timeout(50)` among the options does the same without cockatiel.
console.log(`  first request: ${await hurry.execute(payOutside).catch(late)}`);
const second = payOutside();
outside.open();
console.log(`  second request: ${await second}`);
console.log(`  ${outside.charges.size} charge`);

console.log('timeout inside: the attempt ends in doubt, the next one asks under the same key');
const inside = slowProvider();
const payInside = () =>
  idempotent({
    name: 'pay',
    key: `${run}-inside`,
    store,
    execute: (attempt: Attempt) =>
      hurry.execute(
        async () => `${await inside.charge(attempt.deriveKey('charge'))} by attempt ${attempt.attempt}`,
      ),
    // Not a failure: the charge may have got through. As a failure, the next attempt would ask under a new key.
    remember: (error) => (isLate(error) ? 'unknown' : false),
  });
console.log(`  first request: ${await payInside().catch(late)}`);
inside.open();
console.log(`  second request: ${await payInside()}`);
console.log(`  ${inside.charges.size} charge`);
