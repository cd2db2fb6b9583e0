import { isCluster, type RedisClient, type RedisPipeline } from './client.js';
import type { ScriptCall } from './script.js';

/** How many replicas must hold what is answered, and how long each answer may wait for them. */
export interface Replicas {
  readonly count: number;
  readonly timeoutMs: number;
}

/** An answer, and how many replicas are known to hold what it says. */
export interface Held {
  readonly answer: unknown;
  readonly copies: number;
}

interface Call extends ScriptCall {
  /** The server did not know the script by its digest. */
  asText: boolean;
  resolve(held: Held): void;
  reject(error: unknown): void;
}

type Reply = readonly [error: Error | null, answer: unknown];

/** Of one connection: more of them behind one WAIT would make the first of them late. */
const LARGEST_BATCH = 64;
/** Of a Cluster, whose nodes have a connection each: behind this many at most does any other command wait. */
const CLUSTER_IN_FLIGHT = 8;
const REDIRECTED = /^(MOVED|ASK) \d+ (\S+)$/;

/**
 * Scripts followed by WAIT on their own connection, which answers when the replicas have what was written before it.
 * WAIT holds up a connection: hence what is asked for meanwhile leaves together, behind one WAIT for all. In a Cluster
 * each script has its own, since keys of several nodes can't share one.
 */
export class ReplicatedCalls {
  readonly #queue: Call[] = [];
  #inFlight = 0;

  constructor(private readonly replicas: Replicas) {}

  run(client: RedisClient, { script, args, keys }: ScriptCall): Promise<Held> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ script, args, keys, asText: false, resolve, reject });
      // What is asked for in the same turn goes along.
      if (this.#queue.length === 1) queueMicrotask(() => this.#send(client));
    });
  }

  #send(client: RedisClient): void {
    const [batch, limit] = isCluster(client) ? [1, CLUSTER_IN_FLIGHT] : [LARGEST_BATCH, 1];
    while (this.#queue.length > 0 && this.#inFlight < limit) {
      this.#inFlight++;
      void this.#exchange(client, this.#queue.splice(0, batch)).finally(() => {
        this.#inFlight--;
        this.#send(client);
      });
    }
  }

  async #exchange(client: RedisClient, calls: Call[]): Promise<void> {
    let replies: Reply[];
    try {
      replies = await this.#execute(client.pipeline!(), calls);
    } catch (error) {
      return calls.forEach((call) => call.reject(error));
    }
    const copies = copyCount(replies.at(-1));
    await Promise.all(calls.map((call, index) => this.#answer(client, call, replies[index], copies)));
  }

  async #execute(pipeline: RedisPipeline, calls: readonly Call[]): Promise<Reply[]> {
    for (const { script, args, keys, asText } of calls) {
      if (asText) pipeline.eval(script.text, keys, ...args);
      else pipeline.evalsha(script.sha, keys, ...args);
    }
    pipeline.wait(this.replicas.count, this.replicas.timeoutMs);
    return (await pipeline.exec()) ?? [];
  }

  async #answer(client: RedisClient, call: Call, reply: Reply | undefined, copies: number): Promise<void> {
    const [error, answer] = reply ?? [new Error('Connection is closed.'), undefined];
    if (!error) return call.resolve({ answer, copies });
    if (/NOSCRIPT/.test(error.message) && !call.asText) {
      call.asText = true;
      return void this.#queue.unshift(call);
    }
    const [, how, address] = REDIRECTED.exec(error.message) ?? [];
    try {
      if (how === 'ASK') call.resolve(await this.#ask(client, call, address, error));
      else {
        // The client learns from it where the slot is now; whoever sends again finds it there.
        if (how === 'MOVED') await client.evalsha(call.script.sha, call.keys, ...call.args);
        call.reject(error);
      }
    } catch (failure) {
      call.reject(failure);
    }
  }

  /** A slot on its way to another node: that one is asked, on its own connection, as WAIT must be. */
  async #ask(client: RedisClient, call: Call, address: string | undefined, redirected: Error): Promise<Held> {
    const node = client.nodes?.('all').find((each) => nodeAddress(each) === address);
    const pipeline = node?.pipeline?.();
    if (!pipeline) throw redirected;
    pipeline.asking();
    const [, reply, waited] = await this.#execute(pipeline, [{ ...call, asText: true }]);
    const [error, answer] = reply ?? [redirected, undefined];
    if (error) throw error;
    return { answer, copies: copyCount(waited) };
  }
}

function copyCount(reply: Reply | undefined): number {
  return reply && !reply[0] ? Number(reply[1]) : 0;
}

function nodeAddress({ options }: RedisClient): string {
  const { host, port } = (options ?? {}) as { host?: unknown; port?: unknown };
  return `${String(host)}:${String(port)}`;
}
