import type { PostgresBackend, RedisBackend } from './backends.js';
import type { Crew } from './crew.js';
import { sharedMs, type Recorder } from './history.js';
import type { Random } from './random.js';

/** What the nemesis acts on. */
export interface World<Backend> {
  readonly random: Random;
  readonly crew: Crew;
  readonly backend: Backend;
  readonly recorder: Recorder;
  readonly leaseMs: number;
}

/** One act. It undoes itself: when it has ended, all is well again. */
export type Act<Backend> = (world: World<Backend>) => Promise<void>;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Mostly beyond the lease, now and then within it. */
const aWhile = ({ random, leaseMs }: World<unknown>) => random.between(0.5, 2.5) * leaseMs;
const moment = ({ random }: World<unknown>) => random.between(10, 150);

const someone = ({ random, crew }: World<unknown>) => random.pick(crew.alive);

export const onWorkers = {
  async kill(world) {
    await someone(world).kill();
    await world.crew.hire();
  },
  async stop(world) {
    const worker = someone(world);
    worker.stop();
    await sleep(aWhile(world));
    worker.resume();
  },
  async block(world) {
    const ms = aWhile(world);
    someone(world).order({ do: 'block', ms });
    await sleep(ms);
  },
  async 'set the clock'(world) {
    const offsetMs = world.random.pick([-3_600_000, -5_000, -300, 300, 5_000, 3_600_000]);
    someone(world).order({ do: 'set the clock', offsetMs });
    await sleep(moment(world));
  },
} satisfies Record<string, Act<unknown>>;

export const onRedis = {
  async restart({ backend }) {
    await backend.server.restart();
  },
  async wipe({ backend, recorder }) {
    const from = sharedMs();
    await backend.server.restart();
    recorder.note({ is: 'loss', from });
  },
  async freeze(world) {
    world.backend.server.freeze();
    await sleep(aWhile(world));
    world.backend.server.thaw();
  },
  async 'flush scripts'(world) {
    await world.backend.command('SCRIPT', 'FLUSH');
    await sleep(moment(world) / 4);
  },
  async 'run out of memory'(world) {
    await world.backend.command('CONFIG', 'SET', 'maxmemory', '1');
    await sleep(aWhile(world));
    await world.backend.command('CONFIG', 'SET', 'maxmemory', '0');
  },
  /** A replica of a master that is not there refuses writes, as a master does that was demoted. */
  async 'become read-only'(world) {
    await world.backend.command('REPLICAOF', '127.0.0.1', '1');
    await sleep(aWhile(world));
    await world.backend.command('REPLICAOF', 'NO', 'ONE');
  },
} satisfies Record<string, Act<RedisBackend>>;

type Wired = RedisBackend | PostgresBackend;

export const onWire = {
  async cut({ backend }) {
    backend.wire.cut();
  },
  async delay(world) {
    const { wire } = world.backend;
    wire.delayMs = () => world.random.between(0, 120);
    await sleep(aWhile(world));
    wire.delayMs = () => 0;
  },
  async deafen({ backend }) {
    backend.wire.deafen();
  },
  async 'lose answers'({ backend, random }) {
    backend.wire.loseAnswers(random.pick(['break', 'silence']));
  },
} satisfies Record<string, Act<Wired>>;

export const onPostgres = {
  async terminate({ backend, random }) {
    await backend.terminate(random.pick([0.3, 1]));
  },
  async crash({ backend }) {
    await backend.server.restart();
  },
} satisfies Record<string, Act<PostgresBackend>>;
