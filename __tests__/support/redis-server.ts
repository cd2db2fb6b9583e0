import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { findRedisServer } from '../../scripts/find-redis.mjs';

export interface PrivateRedis {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  /** SIGSTOP: the server accepts bytes and answers nothing. */
  freeze(): void;
  thaw(): void;
  /** Stops it (without saving) and starts it again, empty, on the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a Redis of this test's own, on a free port of the loopback, keeping nothing on disk. */
export async function startRedis(...extraArgs: string[]): Promise<PrivateRedis> {
  const port = await freePort();
  let server = await launch(port, extraArgs);
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get pid() {
      return server.pid!;
    },
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    async restart() {
      await kill(server);
      server = await launch(port, extraArgs);
    },
    stop: () => kill(server),
  };
}

async function launch(port: number, extraArgs: string[]): Promise<ChildProcess> {
  const binary = findRedisServer();
  if (!binary) throw new Error('no redis-server or valkey-server on PATH: run "npm run setup"');
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    ...extraArgs,
  ];
  const server = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    let log = '';
    server.stdout.on('data', (chunk: Buffer) => {
      log += chunk.toString();
      if (/Ready to accept connections|Server initialized.*sentinel/i.test(log)) resolve();
    });
    server.once('exit', (code) => reject(new Error(`${binary} exited with ${String(code)}: ${log}`)));
  });
  server.stdout.resume();
  return server;
}

async function kill(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = once(server, 'exit');
  server.kill('SIGCONT');
  server.kill('SIGKILL');
  await gone;
}

export async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
