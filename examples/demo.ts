/** The story in a terminal: npm run demo. On the in-memory store, or on Redis where REDIS_URL is set. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { currentAttempt, IdempotencyMiddleware, InMemoryStore } from 'twiceshy';
import { required, Task, type MiddlewareDefinition } from 'twiceshy/pipeline';

const url = process.env['REDIS_URL'];
const idempotency = new IdempotencyMiddleware({
  ...(url ? { redis: url } : { store: new InMemoryStore() }),
  lease: '1s',
  // In one process a crash is played by a run that hangs: nobody may renew its lease.
  ...(!url && { maxHold: '1ms' }),
  onDuplicate: 'return-cached',
  logger: {},
});
const [story = `${Date.now()}`, role] = process.argv.slice(2);
let charges = 0;
let provider: () => Promise<void> = () => Promise.resolve();

class ChargeCard extends Task {
  static override middlewares: MiddlewareDefinition[] = [
    idempotency.with<ChargeCard>({ key: (task) => `demo-${story}-${task.orderId}` }),
  ];
  orderId = required('string');

  async work() {
    await provider();
    charges++;
    this.context.set('receipt', `${this.orderId} charged by attempt ${currentAttempt()?.attempt}`);
  }
}

const show = (title: string, lines: string[]) =>
  console.log(`\n${title}\n${lines.map((line) => `  ${line}`).join('\n')}`);
const pay = async (orderId: string) => {
  const { status, reason, context } = await ChargeCard.execute({ orderId });
  return `${status}: ${context.has('receipt') ? String(context.get('receipt')) : String(reason)}`;
};

if (role === 'doomed') {
  provider = () => {
    process.send?.('charging');
    return new Promise(() => setInterval(() => undefined, 1_000));
  };
  await pay('order-4');
}

console.log(`twiceshy on ${url ? 'Redis' : 'the in-memory store'}`);
show('1. A first run', [await pay('order-1')]);
show('2. A duplicate gets the same answer', [await pay('order-1'), `charges so far: ${charges}`]);

const ten = await Promise.all(Array.from({ length: 10 }, () => pay('order-2')));
show('3. Ten at once', [
  `${new Set(ten).size} answer for ${ten.length} callers: ${ten[0] ?? ''}`,
  `charges so far: ${charges}`,
]);

provider = () => Promise.reject(new Error('provider timed out'));
const failed = await pay('order-3');
provider = () => Promise.resolve();
show('4. A failing run is not kept: the retry runs', [failed, await pay('order-3')]);

await crash();
const startedMs = performance.now();
show('5. A crash is taken over when its lease (1 s) has run out', [
  await pay('order-4'),
  `after ${((performance.now() - startedMs) / 1_000).toFixed(1)} s of waiting, at the first try`,
]);

/** With Redis, another process is killed while it charges. Without, a run hangs that does not renew its lease. */
async function crash(): Promise<void> {
  if (url) {
    const doomed = fork(fileURLToPath(import.meta.url), [story, 'doomed'], { execArgv: process.execArgv });
    await once(doomed, 'message');
    const gone = once(doomed, 'exit');
    doomed.kill('SIGKILL');
    await gone;
    return;
  }
  provider = () => new Promise(() => undefined);
  void pay('order-4');
  // It has claimed the key, and hangs in its provider, before the next one comes.
  await new Promise((resolve) => setImmediate(resolve));
  provider = () => Promise.resolve();
}
