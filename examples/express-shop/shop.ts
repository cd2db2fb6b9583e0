/** The shop behind the three servers: what an order does, and a payment provider that keeps books of its own. */
import { Redis } from 'ioredis';
import { hashKey, InMemoryStore, type Attempt } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

const url = process.env['REDIS_URL'];
/** Where the records are. Without Redis they are of this process alone. */
export const store = url ? new RedisStore(url) : new InMemoryStore();

/** What all three servers say about idempotency, but for the caller, whom each framework tells in its own way. */
export const rules = {
  store,
  // Two services on one Redis need two prefixes.
  prefix: 'shop',
  // A second click gets the answer of the first one, instead of 409.
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

/** Charges the card and sends a mail. However often it is begun, the card is charged once. */
export async function placeOrder({ item, amount }: Order, attempt: Attempt): Promise<Placed> {
  // Recorded: a later attempt gets this charge back. And should this process die before it is recorded, the provider
  // recognises the derived key.
  const charge = await attempt.step('charge', () => provider.charge(attempt.deriveKey('charge'), amount));
  await sendMail(item, attempt);
  return { item, amount, charge };
}

async function sendMail(item: string, { attempt }: Attempt): Promise<void> {
  if (item === 'lemon' && attempt === 1) throw new Error('the mail server is down');
  // For this one the process is killed while it waits.
  if (item === 'slow' && attempt === 1) await new Promise(() => undefined);
}

/** A provider as they are: a charge has a number, and a key that was seen before gets the same charge again. */
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
