/**
 * One order goes through charge, reserve and email. Its process is killed after each of them in turn; the next one goes
 * on where that one was. In the end each provider has seen one effect.
 *
 * Needs a Redis that all can reach: REDIS_URL=redis://localhost:6379 npx tsx examples/recovery-points.ts
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createIdempotency } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

const [folder = mkdtempSync(join(tmpdir(), 'twiceshy-providers-')), killedAfter] = process.argv.slice(2);
const PROVIDERS = ['charge', 'reserve', 'email'] as const;

/** Stands for a provider such as Stripe: it logs every request, and has one effect for each idempotency key. */
class Provider {
  readonly #log: string;
  constructor(readonly name: (typeof PROVIDERS)[number]) {
    this.#log = join(folder, name);
    writeFileSync(this.#log, '', { flag: 'a' });
  }
  call(idempotencyKey: string): string {
    appendFileSync(this.#log, `${idempotencyKey}\n`);
    return `${this.name} 1`;
  }
  get requests(): string[] {
    return readFileSync(this.#log, 'utf8').split('\n').slice(0, -1);
  }
}
const [charge, reserve, email] = PROVIDERS.map((name) => new Provider(name)) as [
  Provider,
  Provider,
  Provider,
];

if (process.send) await fulfil();
else await story();

async function fulfil(): Promise<void> {
  const idempotency = createIdempotency({
    store: new RedisStore(process.env['REDIS_URL'] ?? 'redis://localhost:6379'),
    name: 'fulfil',
    lease: '500ms',
  });
  const orderId = folder.slice(-6);
  const done = await idempotency.run(orderId, async ({ attempt, deriveKey, step }) => {
    const charged = await step('charge', async () => {
      const receipt = charge.call(deriveKey('charge'));
      // Killed after the provider has charged and before that is recorded: the provider recognises the key of the next attempt.
      await dieAfter('charge');
      return receipt;
    });
    const reserved = await step('reserve', () => reserve.call(deriveKey('reserve')));
    await dieAfter('reserve');
    const mailed = await step('email', () => email.call(deriveKey('email')));
    await dieAfter('email');
    return `${charged}, ${reserved}, ${mailed}; done by attempt ${attempt}`;
  });
  console.log(done);
  process.disconnect();
}

async function dieAfter(step: string): Promise<void> {
  if (killedAfter !== step) return;
  process.send?.('here');
  await new Promise(() => setInterval(() => undefined, 1_000));
}

async function story(): Promise<void> {
  const start = (...args: string[]) =>
    fork(fileURLToPath(import.meta.url), [folder, ...args], { execArgv: process.execArgv });
  for (const step of PROVIDERS) {
    const doomed = start(step);
    await once(doomed, 'message');
    const gone = once(doomed, 'exit');
    doomed.kill('SIGKILL');
    await gone;
    console.log(`killed after ${step}`);
  }
  await once(start(), 'exit');
  for (const { name, requests } of [charge, reserve, email])
    console.log(`${name}: ${requests.length} requests, ${new Set(requests).size} effect`);
  console.log(`the key of the charge: ${charge.requests[0]}, also after the crash: ${charge.requests[1]}`);
  rmSync(folder, { recursive: true });
}
