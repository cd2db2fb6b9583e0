import { PostgresBackend, RedisBackend } from './backends.js';
import { onPostgres, onRedis, onWire, onWorkers, type Act } from './nemesis.js';
import type { Breakage, StoreConfig, WorkerConfig } from './worker-config.js';

/** A backend that has been started, with what the nemesis may do to it. */
export interface Stage {
  readonly store: StoreConfig;
  /** Does one of the acts of this scenario, on `world.backend`. */
  readonly acts: readonly Act<never>[];
  readonly backend: unknown;
  stop(): Promise<void>;
}

export interface Scenario {
  readonly name: string;
  /** What the nemesis leaves between two acts, at most; undefined where there is no nemesis. */
  readonly gapMs: number | undefined;
  /** Nothing here pauses or crashes anybody: exactly one effect a key. */
  readonly calm: boolean;
  readonly settings: Partial<
    Pick<WorkerConfig, 'leaseMs' | 'storeTimeoutMs' | 'waitTimeoutMs' | 'workMs' | 'onAbandoned'>
  >;
  setTheStage(): Promise<Stage>;
}

interface Given {
  gapMs?: number;
  calm?: boolean;
  settings?: Scenario['settings'];
}

/** Long leases and deadlines, so that a busy machine is neither a pause nor an outage. */
const UNDISTURBED: Given = {
  calm: true,
  settings: { leaseMs: 5_000, storeTimeoutMs: 4_000, waitTimeoutMs: 4_000, workMs: 300 },
};

function scenario(name: string, setTheStage: Scenario['setTheStage'], given: Given): Scenario {
  const { gapMs, calm = false, settings = {} } = given;
  return { name, setTheStage, gapMs, calm, settings };
}

export interface OnRedis extends Given {
  keeps?: boolean;
  broken?: Breakage;
}

export function onRedisStore(
  name: string,
  acts: readonly Act<RedisBackend>[],
  given: OnRedis = {},
): Scenario {
  const setTheStage = async (): Promise<Stage> => {
    const backend = await RedisBackend.start({ keeps: given.keeps ?? false });
    return { backend, acts, store: backend.config(given.broken), stop: () => backend.stop() };
  };
  return scenario(name, setTheStage, { gapMs: 300, ...given });
}

interface OnPostgres extends Given {
  poolMax?: number;
  isolation?: string;
}

/** A session of PostgreSQL takes far longer to start than a connection to Redis. */
const ON_POSTGRES: Scenario['settings'] = { leaseMs: 800, storeTimeoutMs: 600, waitTimeoutMs: 5_000 };

function onPostgresStore(
  name: string,
  acts: readonly Act<PostgresBackend>[],
  given: OnPostgres = {},
): Scenario {
  const { poolMax = 5, isolation = 'read committed' } = given;
  const setTheStage = async (): Promise<Stage> => {
    const backend = await PostgresBackend.start();
    return { backend, acts, store: backend.config(poolMax, isolation), stop: () => backend.stop() };
  };
  return scenario(name, setTheStage, { gapMs: 300, settings: ON_POSTGRES, ...given });
}

const wires = Object.values(onWire);
const workers = Object.values(onWorkers);
const { wipe, restart, ...others } = onRedis;

/** Each fault alone, and mixed. */
export const SCENARIOS: readonly Scenario[] = [
  onRedisStore('Redis: nothing at all', [], UNDISTURBED),
  onRedisStore('worker: SIGKILL', [onWorkers.kill]),
  onRedisStore('worker: SIGKILL, and reconcile asks the provider', [onWorkers.kill], {
    settings: { onAbandoned: 'reconcile' },
  }),
  onRedisStore('worker: SIGSTOP, beyond the lease', [onWorkers.stop]),
  onRedisStore('worker: event loop blocked, beyond the lease', [onWorkers.block]),
  onRedisStore('worker: its clock jumps', [onWorkers['set the clock']], UNDISTURBED),
  onRedisStore('Redis: killed and restarted, with its data', [onRedis.restart], { keeps: true, gapMs: 600 }),
  onRedisStore('Redis: killed and restarted, without data', [wipe], { gapMs: 600 }),
  onRedisStore('Redis: frozen', [onRedis.freeze], { gapMs: 600 }),
  onRedisStore('wire: connections cut', [onWire.cut]),
  onRedisStore('wire: delays', [onWire.delay]),
  onRedisStore('wire: half-open connections', [onWire.deafen], { gapMs: 900 }),
  onRedisStore('wire: answers dropped after execution', [onWire['lose answers']]),
  onRedisStore('Redis: SCRIPT FLUSH', [onRedis['flush scripts']], { ...UNDISTURBED, gapMs: 40 }),
  onRedisStore('Redis: out of memory', [onRedis['run out of memory']], { gapMs: 600 }),
  onRedisStore('Redis: READONLY', [onRedis['become read-only']], { gapMs: 600 }),
  onRedisStore(
    'Redis: all of these mixed, data kept',
    [restart, ...Object.values(others), ...wires, ...workers],
    {
      keeps: true,
    },
  ),
  onRedisStore('Redis: all of these mixed, data lost', [
    wipe,
    ...Object.values(others),
    ...wires,
    ...workers,
  ]),
  onPostgresStore('Postgres: nothing at all', [], UNDISTURBED),
  onPostgresStore('Postgres: serializable by default', [], { ...UNDISTURBED, isolation: 'serializable' }),
  onPostgresStore('Postgres: pool exhausted', [], { ...UNDISTURBED, poolMax: 1 }),
  onPostgresStore('Postgres: backends terminated', [onPostgres.terminate]),
  onPostgresStore('Postgres: server crashed and restarted', [onPostgres.crash], { gapMs: 800 }),
  onPostgresStore('Postgres: all of these and the wire mixed', [
    ...Object.values(onPostgres),
    ...wires,
    ...workers,
  ]),
];
