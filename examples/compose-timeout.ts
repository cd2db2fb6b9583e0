/**
 * Timeout, with cockatiel. Outside, it ends the caller's waiting and not the work: whoever asks again waits for the same
 * attempt. Inside, it ends the attempt, and nobody knows whether it charged: let `remember` answer 'unknown', so that the next
 * attempt sends the same key to the provider.
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
// isTaskCancelledError() of cockatiel 3.2.1 looks for a field that this error does not have.
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
    // Unknown, and not a failure: the charge may have happened.
    remember: (error) => (isLate(error) ? 'unknown' : false),
  });
console.log(`  first request: ${await payInside().catch(late)}`);
inside.open();
console.log(`  second request: ${await payInside()}`);
console.log(`  ${inside.charges.size} charge`);
