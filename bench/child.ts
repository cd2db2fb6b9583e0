/** The other process of the bench: runs the keys it is told, says when it waits and when it was answered. */
import { createIdempotency } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

const [url = '', lease = '20s'] = process.argv.slice(2);
const idempotency = createIdempotency({ store: new RedisStore(url), name: 'bench', lease });
/** Milliseconds on a clock that both processes share. */
const nowMs = () => performance.timeOrigin + performance.now();

idempotency.on('wait', () => process.send?.({ waiting: true }));
process.on('message', (message: { key: string; hang?: boolean }) => {
  const work = () => {
    process.send?.({ running: true });
    return message.hang ? new Promise<string>(() => undefined) : 'ran';
  };
  void idempotency.run(message.key, work).then(() => process.send?.({ answeredAtMs: nowMs() }));
});
process.send?.({ ready: true });
