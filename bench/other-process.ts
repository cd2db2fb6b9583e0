import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createIdempotency } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';
import { percentile } from './harness.js';

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));
interface Message {
  ready?: true;
  waiting?: true;
  running?: true;
  answeredAtMs?: number;
}

async function startChild(url: string, lease: string) {
  const child = fork(CHILD, [url, lease]);
  const said: Message[] = [];
  child.on('message', (message) => said.push(message as Message));
  const hear = async () => {
    while (said.length === 0) await once(child, 'message');
    return said.shift() ?? {};
  };
  await hear();
  return { child, hear };
}

/** How long after the owner began to settle a duplicate that waits in another process has its answer. */
export async function waiting(url: string, count: number): Promise<{ p50Ms: number; p99Ms: number }> {
  const { child, hear } = await startChild(url, '20s');
  const idempotency = createIdempotency({ store: new RedisStore(url), name: 'bench' });
  const delaysMs: number[] = [];
  for (let i = 0; i < count; i++) {
    let settle: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (settle = resolve));
    const started = new Promise<void>((resolve) => {
      void idempotency.run(`wait:${i}`, () => (resolve(), gate)).catch(() => undefined);
    });
    await started;
    child.send({ key: `wait:${i}` });
    await hear();
    // Until it has subscribed.
    await new Promise((resolve) => setTimeout(resolve, 10));
    const settledAtMs = performance.timeOrigin + performance.now();
    settle();
    delaysMs.push(((await hear()).answeredAtMs ?? NaN) - settledAtMs);
  }
  child.kill();
  // The first ones pay for connections and compilation.
  const warm = delaysMs.slice(20);
  return { p50Ms: percentile(warm, 0.5), p99Ms: percentile(warm, 0.99) };
}

/** How long after SIGKILL of an owner with a lease of 1 s a retry has succeeded, at its first attempt. */
export async function takeover(url: string, count: number): Promise<{ p50Ms: number; maxMs: number }> {
  const idempotency = createIdempotency({ store: new RedisStore(url), name: 'bench', lease: '1s' });
  const delaysMs: number[] = [];
  for (let i = 0; i < count; i++) {
    const { child, hear } = await startChild(url, '1s');
    child.send({ key: `crash:${i}`, hang: true });
    await hear();
    const gone = once(child, 'exit');
    const killedAtMs = performance.now();
    child.kill('SIGKILL');
    await gone;
    await idempotency.run(`crash:${i}`, () => 'taken over');
    delaysMs.push(performance.now() - killedAtMs);
  }
  return { p50Ms: percentile(delaysMs, 0.5), maxMs: Math.max(...delaysMs) };
}
