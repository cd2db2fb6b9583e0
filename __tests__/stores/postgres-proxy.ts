import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A wire between a pool and the server that the test can cut, freeze, and make lose what it likes. */
export interface Proxy {
  readonly url: string;
  /** Swallows what both sides say from now on, on every connection; the connections stay. */
  freeze(): void;
  /** Says all that was swallowed, and goes on. */
  thaw(): void;
  /** Breaks every connection. */
  cut(): void;
  /** Takes no new connections, or takes them again. */
  refuse(refuses: boolean): void;
  /**
   * The next time a client says `text`: `answer` lets the server do it and cuts the connection in the place of the answer,
   * `question` cuts the client's side before the server has heard of it, and leaves the server waiting (until `stop`).
   */
  lose(what: 'answer' | 'question', text: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startProxy(url: string): Promise<Proxy> {
  const target = new URL(url);
  const pairs = new Set<Pair>();
  let isFrozen = false;
  let refuses = false;
  let loss: { what: 'answer' | 'question'; text: string; done: () => void } | undefined;

  const server = createServer((client) => {
    if (refuses) return void client.destroy();
    const pair = new Pair(client, connect(Number(target.port), target.hostname));
    pairs.add(pair);
    pair.onEnd = () => pairs.delete(pair);
    pair.isFrozen = isFrozen;
    pair.onQuestion = (chunk) => {
      if (!loss || !chunk.includes(loss.text)) return 'pass';
      const { what, done } = loss;
      loss = undefined;
      if (what === 'question') {
        client.destroy();
        done();
        return 'drop';
      }
      pair.onAnswer = () => {
        pair.end();
        done();
      };
      return 'pass';
    };
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const proxied = new URL(url);
  proxied.host = `127.0.0.1:${address.port}`;
  return {
    url: proxied.href,
    freeze() {
      isFrozen = true;
      for (const pair of pairs) pair.isFrozen = true;
    },
    thaw() {
      isFrozen = false;
      for (const pair of pairs) pair.thaw();
    },
    cut: () => pairs.forEach((pair) => pair.end()),
    refuse: (now) => void (refuses = now),
    lose: (what, text) => new Promise((done) => void (loss = { what, text, done })),
    async stop() {
      for (const pair of pairs) pair.end();
      server.close();
      await once(server, 'close');
    },
  };
}

class Pair {
  isFrozen = false;
  onEnd: () => void = () => undefined;
  onQuestion: (chunk: Buffer) => 'pass' | 'drop' = () => 'pass';
  onAnswer: (() => void) | undefined;
  readonly #held: (() => void)[] = [];

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
  ) {
    client.on('data', (chunk) => {
      if (this.onQuestion(chunk) === 'pass') this.#pass(() => void server.write(chunk));
    });
    server.on('data', (chunk) => {
      if (this.onAnswer) this.onAnswer();
      else this.#pass(() => void client.write(chunk));
    });
    client.on('end', () => this.#pass(() => void server.end()));
    server.on('close', () => this.#pass(() => this.end()));
    for (const socket of [client, server]) socket.on('error', () => undefined);
  }

  thaw(): void {
    this.isFrozen = false;
    for (const say of this.#held.splice(0)) say();
  }

  end(): void {
    this.client.destroy();
    this.server.destroy();
    this.onEnd();
  }

  #pass(say: () => void): void {
    if (this.isFrozen) this.#held.push(say);
    else say();
  }
}
