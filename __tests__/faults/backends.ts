import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { Wire } from './wire.js';
import type { Breakage, StoreConfig } from './worker-config.js';

/** A Redis of the run's own, with the wire that its workers use. */
export class RedisBackend {
  private constructor(
    readonly server: PrivateRedis,
    readonly wire: Wire,
    private readonly folder: string,
  ) {}

  /** @param keeps whether it still has its data after a crash */
  static async start({ keeps }: { keeps: boolean }): Promise<RedisBackend> {
    const folder = mkdtempSync(join(tmpdir(), 'twiceshy-redis-'));
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', folder];
    const server = await startRedis(...(keeps ? durable : []));
    return new RedisBackend(server, await Wire.to(server.port), folder);
  }

  config(broken?: Breakage): StoreConfig {
    return { kind: 'redis', url: `redis://127.0.0.1:${this.wire.port}`, broken };
  }

  /** One command of the nemesis' own. */
  async command(name: string, ...args: string[]): Promise<void> {
    const redis = new Redis(this.server.url);
    redis.on('error', () => undefined);
    await redis.call(name, ...args);
    redis.disconnect();
  }

  async stop(): Promise<void> {
    await this.wire.close();
    await this.server.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Making a table, on a machine that is busy. */
const START_TIMEOUT_MS = 30_000;

/** A PostgreSQL of the run's own. */
export class PostgresBackend {
  private constructor(
    readonly server: PrivatePostgres,
    readonly wire: Wire,
  ) {}

  static async start(): Promise<PostgresBackend> {
    const server = await startPostgres();
    try {
      const pool = server.pool({ max: 1 });
      await new PostgresStore(pool, { listen: false, timeoutMs: START_TIMEOUT_MS }).createSchema();
      return new PostgresBackend(server, await Wire.to(Number(new URL(server.url).port || 5432)));
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  config(poolMax: number, isolation: string): StoreConfig {
    const url = new URL(this.server.url);
    url.host = `127.0.0.1:${this.wire.port}`;
    return { kind: 'postgres', url: url.href, poolMax, isolation };
  }

  /** Ends a share of the sessions, whatever they are doing. */
  async terminate(share: number): Promise<void> {
    const pool = this.server.pool({ max: 1 });
    const others = 'pid <> pg_backend_pid() AND backend_type = $1 AND random() < $2';
    await pool.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${others}`, [
      'client backend',
      share,
    ]);
    await pool.end();
  }

  async stop(): Promise<void> {
    await this.wire.close();
    await this.server.stop();
  }
}
