/**
 * npx tsx bench/postgres.ts: what a run and a duplicate cost on a private PostgreSQL (without fsync), beside a round trip that
 * does nothing; with the statements prepared, and planned anew each time.
 */
import { startPostgres } from '../__tests__/support/postgres-server.js';
import { createIdempotency } from '../src/index.js';
import { PostgresStore } from '../src/stores/postgres/store.js';
import { compare, type System } from './harness.js';

const server = await startPostgres();
const pool = server.pool({ max: 10 });
await new PostgresStore(pool, { listen: false }).createSchema();
const floor: System = { name: 'SELECT 1', operation: () => pool.query('SELECT 1') };
const engineOf = (prepare: boolean) =>
  createIdempotency({
    store: new PostgresStore(pool, { listen: false, prepare }),
    name: prepare ? 'prepared' : 'planned',
  });

for (const inFlight of [1, 16]) {
  const systems = [true, false].flatMap((prepare): System[] => {
    const engine = engineOf(prepare);
    const title = prepare ? 'prepared' : 'prepare: false';
    return [
      {
        name: `first run, ${title}`,
        operation: (round, i) => engine.run(`first:${inFlight}:${round}:${i}`, () => 'done'),
      },
      {
        name: `duplicate, ${title}`,
        prepare: async (_, count) => {
          for (let i = 0; i < count; i++) await engine.run(`again:${i}`, () => 'done');
        },
        operation: (_, i) => engine.run(`again:${i}`, () => 'done'),
      },
    ];
  });
  console.log(`${inFlight} in flight`);
  for (const { name, ratio, perSecond } of await compare(floor, systems, {
    rounds: 5,
    count: 300,
    inFlight,
  })) {
    console.log(
      `  ${name.padEnd(28)} ${(1 / ratio).toFixed(1)} x SELECT 1, ${Math.round(perSecond)} a second`,
    );
  }
}
await server.stop();
process.exit(0);
