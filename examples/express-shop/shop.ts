/** The shop behind the three servers: what an order does, and a payment provider that remembers its charges. */
import { Redis } from 'ioredis';
import { hashKey, InMemoryStore, type Attempt } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

const url = process.env['REDIS_URL'];
/** Where the records are. Without Redis they are in the memory of this process. */
export const store = url ? new RedisStore(url) : new InMemoryStore();

/** The options that all three servers have. Each framework says in its own way who the caller is. */
export const rules = {
  store,
  // Two services on one Redis need two prefixes.
  prefix: 'shop',
  // A second click waits and gets the answer of the first one, instead of 409.
  concurrent: 'wait',
  lease: process.env['LEASE'] ?? '20s',
  docs: 'https://shop.example/problems',
} as const;

/** The name of a caller: undefined refuses the request. */
export const callerOf = (apiKey: string | null | undefined): string | undefined =>
  apiKey ? hashKey(apiKey) : undefined;

export interface Order {
  readonly item: string;
  readonly amount: number;
}
export interface Placed extends Order {
  readonly charge: string;
}

/** Charges the card and sends a mail. The card is charged once, however often this is started. */
export async function placeOrder({ item, amount }: Order, attempt: Attempt): Promise<Placed> {
  // The step is recorded: a later attempt gets this charge back. If this process dies before that, the provider recognises
  // the derived key.
  const charge = await attempt.step('charge', () => provider.charge(attempt.deriveKey('charge'), amount));
  await sendMail(item, attempt);
  return { item, amount, charge };
}

async function sendMail(item: string, { attempt }: Attempt): Promise<void> {
  if (item === 'lemon' && attempt === 1) throw new Error('the mail server is down');
  // The tests kill the process while this one waits.
  if (item === 'slow' && attempt === 1) await new Promise(() => undefined);
}

/** Stands for a payment provider: each charge has a number, and a key that was seen before gets the same charge again. */
class Provider {
  readonly #books = url ? new Redis(url) : undefined;
  readonly #charges = new Map<string, string>();

  async charge(key: string, amount: number): Promise<string> {
    const known = this.#books ? await this.#books.hget('provider:charges', key) : this.#charges.get(key);
    if (known) return known;
    const number = this.#books ? await this.#books.incr('provider:count') : this.#charges.size + 1;
    const charge = `ch_${number} over ${amount}`;
    if (this.#books) await this.#books.hset('provider:charges', key, charge);
    else this.#charges.set(key, charge);
    return charge;
  }

  async charges(): Promise<string[]> {
    const all = this.#books ? await this.#books.hvals('provider:charges') : [...this.#charges.values()];
    return all.sort();
  }
}
export const provider = new Provider();
export const port = Number(process.env['PORT'] ?? 3000);
export const listening = (at: number): void => console.log(`listening on ${at}`);
