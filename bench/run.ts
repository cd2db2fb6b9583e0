/** npm run bench [-- --quick]: the table of the README, on a private Redis. */
import { cpus } from 'node:os';
import { startRedis } from '../__tests__/support/redis-server.js';
import { memory } from './memory.js';
import { takeover, waiting } from './other-process.js';
import { speed, type SpeedRow } from './speed.js';

const isQuick = process.argv.includes('--quick');
const redis = await startRedis();
try {
  console.log(
    `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}\n`,
  );
  console.log(
    '| against bare ioredis, the median of the ratios of rounds | 1 in flight | 64 in flight | the same commands in scripts, 1 | 64 |\n|---|---|---|---|---|',
  );
  const rows = await speed(redis.url, isQuick ? { rounds: 5, count: 2_000 } : { rounds: 15, count: 4_000 });
  for (const bytes of [200, 4_096]) {
    for (const what of ['first run', 'duplicate'] as const) {
      const cells = (of: 'ratio' | 'scripted') =>
        [1, 64]
          .map((inFlight) => rows.find((row) => isRow(row, what, bytes, inFlight))?.[of].toFixed(2))
          .join(' | ');
      const floor = what === 'first run' ? '`SET NX GET PX` + `SET PX`' : '`GET`';
      console.log(`| ${what}, ${bytes} bytes, of ${floor} | ${cells('ratio')} | ${cells('scripted')} |`);
    }
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

function isRow(row: SpeedRow, what: string, bytes: number, inFlight: number): boolean {
  return row.what === what && row.bytes === bytes && row.inFlight === inFlight;
}
