import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A wire between workers and their server, on which the nemesis acts. */
export class Wire {
  /** How long each piece of data is under way. */
  delayMs: () => number = () => 0;
  readonly #pairs = new Set<Pair>();
  readonly #server: Server;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      const pair = new Pair(client, connect(targetPort, '127.0.0.1'), () => this.delayMs());
      this.#pairs.add(pair);
      pair.onEnd = () => this.#pairs.delete(pair);
    });
  }

  static async to(targetPort: number): Promise<Wire> {
    const wire = new Wire(targetPort);
    wire.#server.listen(0, '127.0.0.1');
    await once(wire.#server, 'listening');
    return wire;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return address.port;
  }

  /** Breaks every connection. */
  cut(): void {
    for (const pair of this.#pairs) pair.end();
  }

  /** Every connection there is swallows all that is said on it, and stays open; new ones are well. */
  deafen(): void {
    for (const pair of this.#pairs) pair.isDeaf = true;
  }

  /** The next answer on each connection is dropped, after its command was executed: the connection breaks, or goes silent. */
  loseAnswers(how: 'break' | 'silence'): void {
    for (const pair of this.#pairs) pair.loses = how;
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

class Pair {
  isDeaf = false;
  loses: 'break' | 'silence' | undefined;
  onEnd: () => void = () => undefined;
  #isOver = false;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    private readonly delayMs: () => number,
  ) {
    this.#carry(client, (chunk) => server.write(chunk));
    this.#carry(server, (chunk) => {
      if (this.loses === 'break') this.end();
      else if (this.loses === 'silence') this.isDeaf = true;
      else client.write(chunk);
    });
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => this.end());
    }
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.client.destroy();
    this.server.destroy();
    this.onEnd();
  }

  /** One piece after the other: what is delayed keeps its order. */
  #carry(from: Socket, say: (chunk: Buffer) => void): void {
    let last = Promise.resolve();
    from.on('data', (chunk: Buffer) => {
      const delayMs = this.delayMs();
      const arrived = delayMs > 0 ? new Promise<void>((resolve) => setTimeout(resolve, delayMs)) : undefined;
      last = last.then(async () => {
        await arrived;
        if (!this.isDeaf && !this.#isOver) say(chunk);
      });
    });
  }
}
