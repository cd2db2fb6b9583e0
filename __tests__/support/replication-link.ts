import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/**
 * What lies between a master and its replica: it delays, and it can fail, and then whatever is on its way is lost. On the
 * loopback itself nothing ever is: the kernel delivers what a killed process has written.
 */
export class Link {
  readonly #sockets = new Set<Socket>();
  #failed = false;
  #target = 0;
  readonly #server = createServer((replica) => this.#forward(replica));

  constructor(private readonly delayMs: number) {}

  /** Its port, behind which the server on `target` is found. */
  async open(target: number): Promise<number> {
    this.#target = target;
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as { port: number }).port;
  }

  fail(): void {
    this.#failed = true;
  }

  async close(): Promise<void> {
    this.#failed = true;
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  #forward(replica: Socket): void {
    const master = connect(this.#target, '127.0.0.1');
    for (const [from, to] of [
      [replica, master],
      [master, replica],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on('data', (bytes) => {
        if (this.#failed) return;
        setTimeout(() => !this.#failed && !to.destroyed && to.write(bytes), this.delayMs);
      });
    }
  }
}
