/**
 * Retry, with cockatiel. Usually it stands outside: each try is a new attempt under the same key, is recorded, and a final
 * failure ends the tries. Inside `execute` all tries are one attempt: for calls that are safe to repeat.
 */
import { ConstantBackoff, handleWhen, retry } from 'cockatiel';
import { idempotent, InMemoryStore, isIdempotencyError, type Attempt } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

const url = process.env['REDIS_URL'];
const store = url ? new RedisStore(url) : new InMemoryStore();
const run = Date.now().toString(36);
const backoff = new ConstantBackoff(1);

class CardDeclined extends Error {
  override name = 'CardDeclined';
}
// By name, since a replayed error has the same name and is not an instance of the same class.
const isDecline = (error: unknown) => error instanceof Error && error.name === 'CardDeclined';

// A decline will not change. An error of the library (IN_DOUBT, KEY_REUSED ...) would be the same again, too.
const again = handleWhen((error) => !isDecline(error) && !isIdempotencyError(error));

console.log('retry outside: a new attempt each time, until one is final');
let outage = 2;
const pay = (key: string, provider: (attempt: Attempt) => string | Promise<string>) =>
  idempotent({ name: 'pay', key: `${run}-${key}`, store, remember: isDecline, execute: provider });

const paid = await retry(again, { maxAttempts: 5, backoff }).execute(() =>
  pay('outside', ({ attempt }) => {
    console.log(`  attempt ${attempt}`);
    if (outage-- > 0) throw new Error('the provider is down');
    return `paid by attempt ${attempt}`;
  }),
);
console.log(`  ${paid}`);

const declined = () =>
  retry(again, { maxAttempts: 5, backoff }).execute(() =>
    pay('declined', ({ attempt }) => {
      console.log(`  attempt ${attempt} asks the bank`);
      throw new CardDeclined('insufficient funds');
    }),
  );
for (const time of ['first', 'second']) {
  await declined().catch((error: Error) => console.log(`  ${time} request: ${error.name}: ${error.message}`));
}

console.log('retry inside: one attempt, one key for the provider, one answer for all who wait');
const asked = new Set<string>();
let timeouts = 2;
const inside = () =>
  pay('inside', (attempt) =>
    retry(again, { maxAttempts: 5, backoff }).execute(({ attempt: tries }) => {
      // The same key for every try: if a try was lost on the way back, the provider recognises the next one.
      asked.add(attempt.deriveKey('charge'));
      if (timeouts-- > 0) throw new Error('no answer: nobody knows whether it charged');
      return `paid by attempt ${attempt.attempt}, try ${tries + 1}`;
    }),
  );
const answers = await Promise.all([inside(), inside()]);
console.log(`  ${answers.join(' = ')}; ${asked.size} key for the provider`);
