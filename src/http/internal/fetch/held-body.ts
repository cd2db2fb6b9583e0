import type { BodyCopy } from '../exchange/answer.js';

type Chunk = Uint8Array<ArrayBuffer>;

/** A body that passes through and is copied; its end waits, and where the client knows its length, its last byte. */
export class HeldBody {
  readonly stream: ReadableStream<Chunk>;
  /** Ends when all of it has been read that is of use; rejects with what the handler's stream broke with. */
  readonly read: Promise<void>;
  /** A body that was text or bytes comes in one, and goes out in one, so that the server still knows its length. */
  chunks = 0;
  isBroken = false;
  #controller!: ReadableStreamDefaultController<Chunk>;
  #isWanted: (() => void) | undefined;
  #hasLeft = false;
  #isCut = false;
  #size = 0;
  /** The last byte that came, once the client may have all others. */
  #last: Chunk | undefined;

  constructor(
    private readonly reader: ReadableStreamDefaultReader<Chunk>,
    private readonly copy: BodyCopy,
    private readonly contentLength: number,
    private readonly mayEnd: Promise<void>,
  ) {
    this.stream = new ReadableStream<Chunk>({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.#isWanted?.(),
      // The handler goes on, and its answer is recorded for the retry.
      cancel: () => this.#leave(),
    });
    this.mayEnd.catch((error: unknown) => {
      this.#isCut = true;
      this.#breakOff(error);
    });
    this.read = this.#pump();
    // Whoever follows may look only later.
    this.read.catch(() => undefined);
  }

  async #pump(): Promise<void> {
    try {
      for (;;) {
        if (this.#isUseless()) return void this.reader.cancel().catch(() => undefined);
        const { done, value } = await this.reader.read();
        if (done) break;
        this.chunks++;
        this.copy.add(value);
        this.#pass(value);
        // What is copied may be read ahead of the client; what is not is read as fast as it takes it.
        if (!this.copy.isWhole) await this.#untilWanted();
      }
    } catch (error) {
      this.isBroken = true;
      this.#breakOff(error);
      throw error;
    }
    this.mayEnd.then(
      () => this.#close(),
      () => undefined,
    );
  }

  /** Nobody hears what still comes, and nothing of it can be kept: the handler's stream is told to stop. */
  #isUseless(): boolean {
    return this.#isCut || (this.#hasLeft && !this.copy.isWhole);
  }

  #close(): void {
    if (this.#hasLeft) return;
    if (this.#last) this.#controller.enqueue(this.#last);
    this.#controller.close();
  }

  /** The client hears no more of it. */
  #breakOff(error: unknown): void {
    if (!this.#hasLeft) this.#controller.error(error);
    this.#leave();
  }

  #leave(): void {
    this.#hasLeft = true;
    this.#isWanted?.();
    // It may be waiting for a chunk that never comes.
    if (this.#isUseless()) void this.reader.cancel().catch(() => undefined);
  }

  #pass(bytes: Chunk): void {
    if (this.#hasLeft || bytes.length === 0) return;
    this.#size += bytes.length;
    if (!(this.#size >= this.contentLength)) return this.#controller.enqueue(bytes);
    // With the last byte the client would have all of it. A body may also be longer than was said: then that byte was
    // not the last one, and goes first.
    if (this.#last) this.#controller.enqueue(this.#last);
    if (bytes.length > 1) this.#controller.enqueue(bytes.subarray(0, -1));
    this.#last = bytes.slice(-1);
  }

  async #untilWanted(): Promise<void> {
    while (!this.#hasLeft && (this.#controller.desiredSize ?? 0) <= 0) {
      await new Promise<void>((resolve) => (this.#isWanted = resolve));
    }
  }
}
