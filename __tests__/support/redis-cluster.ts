/** Redis Cluster, and a replicated master with or without Sentinels, of a test's own, on the loopback. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { findRedisServer } from '../../scripts/find-redis.mjs';
import type { Link } from './replication-link.js';

export interface Node {
  readonly port: number;
  /** A client of the test's own for this node. */
  readonly admin: Redis;
  /** SIGKILL: nothing is said to anybody. */
  kill(): Promise<void>;
  freeze(): void;
  thaw(): void;
}

const HOST = '127.0.0.1';
const BUS = 10_000;
const PATIENCE_MS = 90_000;

/** Resolves when the condition holds; its errors are as if it did not. */
export async function until(
  what: string,
  condition: () => Promise<boolean>,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  while (!(await condition().catch(() => false))) {
    if (performance.now() > giveUpAt) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whatever is started in it is stopped with it, with its files. */
class Group {
  readonly #nodes: Node[] = [];
  readonly #children: ChildProcess[] = [];
  #folder: string | undefined;

  async folder(): Promise<string> {
    return (this.#folder ??= await mkdtemp(join(tmpdir(), 'twiceshy-redis-')));
  }

  async start(args: string[], port: number, asSentinel = false): Promise<Node> {
    const binary = findRedisServer();
    if (!binary) throw new Error('no redis-server or valkey-server on PATH: run "npm run setup"');
    const own = ['--port', String(port), '--bind', HOST, '--dir', await this.folder()];
    const data = ['--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0'];
    const child = spawn(binary, asSentinel ? args : [...own, ...data, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#children.push(child);
    child.stdout.resume();
    const admin = new Redis(port, HOST, {
      lazyConnect: true,
      maxRetriesPerRequest: 0,
      retryStrategy: () => 50,
      disconnectTimeout: 50,
    });
    admin.on('error', () => undefined);
    const node = {
      port,
      admin,
      kill: () => end(child),
      freeze: () => void child.kill('SIGSTOP'),
      thaw: () => void child.kill('SIGCONT'),
    };
    this.#nodes.push(node);
    void admin.connect().catch(() => undefined);
    await until(`redis on port ${port}`, async () => (await admin.ping()) === 'PONG');
    return node;
  }

  async stop(): Promise<void> {
    for (const { admin } of this.#nodes) admin.disconnect();
    await Promise.all(this.#children.map(end));
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGCONT');
  child.kill('SIGKILL');
  await gone;
}

export interface TestCluster {
  readonly masters: readonly Node[];
  readonly replicas: readonly Node[];
  readonly startupNodes: { host: string; port: number }[];
  /** Makes a slot's move begin: from now on its new keys are asked for at the target (ASK). */
  beginMove(slot: number, from: Node, to: Node): Promise<void>;
  /** Moves its keys, and ends the move: from now on MOVED. */
  endMove(slot: number, from: Node, to: Node): Promise<void>;
  /** Until one of the replicas has taken the place of a master that was killed. */
  promoted(gone: Node): Promise<void>;
  stop(): Promise<void>;
}

/** Three masters with a third of the slots each, and as many replicas for each as asked for. */
export async function startCluster(replicasPerMaster = 1): Promise<TestCluster> {
  const group = new Group();
  const nodes: Node[] = [];
  const size = 3 * (1 + replicasPerMaster);
  try {
    for (const port of await freePorts(size)) {
      const config = ['--cluster-config-file', `nodes-${port}.conf`, '--cluster-node-timeout', '1500'];
      nodes.push(await group.start(['--cluster-enabled', 'yes', ...config], port));
    }
    const masters = nodes.slice(0, 3);
    const replicas = nodes.slice(3);
    const ids = await Promise.all(nodes.map(async ({ admin }) => String(await admin.cluster('MYID'))));
    for (const { port } of nodes.slice(1)) await nodes[0]!.admin.cluster('MEET', HOST, port);
    await Promise.all(masters.map(({ admin }, index) => admin.cluster('ADDSLOTS', ...slotsOf(index))));
    const known = async ({ admin }: Node) => String(await admin.cluster('INFO'));
    const allKnow = (text: string) => async () =>
      (await Promise.all(nodes.map(known))).every((info) => info.includes(text));
    await until('the nodes know each other', allKnow(`cluster_known_nodes:${size}`));
    for (const [index, { admin }] of replicas.entries()) {
      await until(
        'a replica is accepted',
        async () => (await admin.cluster('REPLICATE', ids[index % 3]!)) === 'OK',
      );
    }
    await until('the cluster is ok', allKnow('cluster_state:ok'));
    for (const replica of replicas) await inSync(replica);
    const idOf = (node: Node): string => ids[nodes.indexOf(node)]!;
    return {
      masters,
      replicas,
      startupNodes: nodes.map(({ port }) => ({ host: HOST, port })),
      async beginMove(slot, from, to) {
        await to.admin.cluster('SETSLOT', slot, 'IMPORTING', idOf(from));
        await from.admin.cluster('SETSLOT', slot, 'MIGRATING', idOf(to));
      },
      async endMove(slot, from, to) {
        for (;;) {
          const keys = await from.admin.cluster('GETKEYSINSLOT', slot, 100);
          if (keys.length === 0) break;
          await from.admin.call('MIGRATE', HOST, to.port, '', 0, 5_000, 'KEYS', ...keys);
        }
        for (const { admin } of [to, from, ...masters.filter((each) => each !== to && each !== from)])
          await admin.cluster('SETSLOT', slot, 'NODE', idOf(to));
      },
      async promoted(gone) {
        const witness = masters.find((each) => each !== gone)!;
        await until('a replica is promoted', async () => {
          const slots = (await witness.admin.call('CLUSTER', 'SLOTS')) as [
            number,
            number,
            [string, number],
          ][];
          const isHeld = slots.every(([, , [, port]]) => port !== gone.port);
          return isHeld && (await known(witness)).includes('cluster_state:ok');
        });
      },
      stop: () => group.stop(),
    };
  } catch (error) {
    await group.stop();
    throw error;
  }
}

const slotsOf = (index: number): number[] =>
  Array.from({ length: 16_384 }, (_, slot) => slot).filter((slot) => Math.floor(slot / 5_462) === index);

async function inSync({ admin, port }: Node): Promise<void> {
  await until(`the replica on port ${port} is in sync`, async () =>
    (await admin.info('replication')).includes('master_link_status:up'),
  );
}

export interface Replicated {
  readonly master: Node;
  readonly replicas: readonly Node[];
  readonly sentinels: { host: string; port: number }[];
  readonly name: string;
  /** The port of the master, as the Sentinels see it. */
  masterPort(): Promise<number>;
  stop(): Promise<void>;
}

/** A master, its replicas, and Sentinels that agree by a majority. */
export async function startReplicated(options: {
  replicas: number;
  sentinels: number;
  /** Between them. */
  link?: Link;
}): Promise<Replicated> {
  const group = new Group();
  const name = 'twiceshy';
  try {
    const [masterPort, ...ports] = await freePorts(1 + options.replicas + options.sentinels);
    const master = await group.start([], masterPort!);
    const replicas: Node[] = [];
    const source = options.link ? await options.link.open(masterPort!) : masterPort!;
    for (const port of ports.splice(0, options.replicas))
      replicas.push(await group.start(['--replicaof', HOST, String(source)], port));
    for (const replica of replicas) await inSync(replica);
    const sentinels: Node[] = [];
    for (const port of ports) {
      const file = join(await group.folder(), `sentinel-${port}.conf`);
      const quorum = Math.floor(options.sentinels / 2) + 1;
      const monitor = `sentinel monitor ${name} ${HOST} ${masterPort} ${quorum}\n`;
      const times = `sentinel down-after-milliseconds ${name} 1000\nsentinel failover-timeout ${name} 5000\n`;
      await writeFile(file, `port ${port}\nbind ${HOST}\n${monitor}${times}`);
      sentinels.push(await group.start([file, '--sentinel'], port, true));
    }
    for (const { admin } of sentinels) {
      await until('the sentinels know all', async () => {
        const [state] = (await admin.call('SENTINEL', 'MASTERS')) as string[][];
        const told = (field: string) => Number(state![state!.indexOf(field) + 1]);
        return (
          told('num-slaves') === options.replicas && told('num-other-sentinels') === options.sentinels - 1
        );
      });
    }
    return {
      master,
      replicas,
      name,
      sentinels: sentinels.map(({ port }) => ({ host: HOST, port })),
      async masterPort() {
        const [, port] = (await sentinels[0]!.admin.call(
          'SENTINEL',
          'GET-MASTER-ADDR-BY-NAME',
          name,
        )) as string[];
        return Number(port);
      },
      stop: () => group.stop(),
    };
  } catch (error) {
    await group.stop();
    throw error;
  }
}

/** Ports whose cluster bus (10000 above) is free as well. */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count && tries < 1_000; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (!ports.includes(port) && (await isFree(port)) && (await isFree(port + BUS))) ports.push(port);
  }
  if (ports.length < count) throw new Error('no free ports');
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer().listen(port, HOST);
  try {
    await once(probe, 'listening');
  } catch {
    return false;
  }
  probe.close();
  await once(probe, 'close');
  return true;
}
