/** npm run bench [-- --quick]: the table of docs/benchmarks.md, on a private Redis. */
import { cpus } from 'node:os';
import { startRedis } from '../__tests__/support/redis-server.js';
import { memory } from './memory.js';
import { takeover, waiting } from './other-process.js';
import { MEASURED, speed } from './speed.js';

const isQuick = process.argv.includes('--quick');
const redis = await startRedis();
try {
  console.log(
    `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}\n`,
  );
  const columns = MEASURED.flatMap((who) => [`${who}, 1 in flight`, '64']);
  console.log(`| of the speed of bare ioredis | ${columns.join(' | ')} |`);
  console.log(`|---|${columns.map(() => '---|').join('')}`);
  const rows = await speed(redis.url, isQuick ? { rounds: 5, count: 2_000 } : { rounds: 15, count: 4_000 });
  for (const one of rows.filter(({ inFlight }) => inFlight === 1)) {
    const many = rows.find((row) => row.inFlight === 64 && row.what === one.what && row.bytes === one.bytes)!;
    const cells = one.ratios.flatMap((ratio, who) => [ratio.toFixed(2), many.ratios[who]!.toFixed(2)]);
    console.log(`| ${one.what}, ${one.bytes} bytes, of ${one.floor} | ${cells.join(' | ')} |`);
  }
  const kept = await memory(redis.url, isQuick ? 5_000 : 20_000);
  console.log(
    `\nmemory of a record with a 200-byte result: ${kept.ratio.toFixed(2)} of a bare SET PX (${Math.round(kept.bytes)} / ${Math.round(kept.bareBytes)} bytes)`,
  );
  const waited = await waiting(redis.url, isQuick ? 50 : 300);
  console.log(
    `a duplicate that waits in another process has its answer after: p50 ${waited.p50Ms.toFixed(1)} ms, p99 ${waited.p99Ms.toFixed(1)} ms`,
  );
  const taken = await takeover(redis.url, isQuick ? 2 : 5);
  console.log(
    `after SIGKILL of an owner with a 1 s lease, a retry has succeeded after: p50 ${taken.p50Ms.toFixed(0)} ms, at most ${taken.maxMs.toFixed(0)} ms`,
  );
} finally {
  await redis.stop();
}
process.exit(0);
