/** What a consumer process does where the test will kill it. Settings come in the environment. */
import { appendFileSync } from 'node:fs';
import type { Attempt } from '../../src/index.js';

export type KillPoint = 'before-effect' | 'before-record' | 'before-ack' | 'never';

const { EFFECTS = '', KILL_AT = 'never' } = process.env;

export const say = (line: string) => process.stdout.write(`${line}\n`);

/** Says where it is and stays there, when this is where it is to be killed. */
export async function reach(point: KillPoint): Promise<void> {
  if (KILL_AT !== point) return;
  say(point);
  await new Promise(() => setInterval(() => undefined, 1_000));
}

/** The handler of all consumer processes: one effect, which a provider would know again by its derived key. */
export async function charge(orderId: string, { attempt, deriveKey }: Attempt): Promise<string> {
  await reach('before-effect');
  appendFileSync(EFFECTS, `${orderId} ${deriveKey('charge')}\n`);
  await reach('before-record');
  return `charged by attempt ${attempt}`;
}
