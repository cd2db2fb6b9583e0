import type { BodyCopy } from '../exchange/answer.js';

type Chunk = Uint8Array<ArrayBuffer>;

/** A body that is passed through and copied. Its end is held back, and if the client knows the length, the last byte too. */
export class HeldBody {
  readonly stream: ReadableStream<Chunk>;
  /** Resolves when everything useful was read; rejects with the error of the handler's stream. */
  readonly read: Promise<void>;
  /** The number of chunks read. A body of text or bytes has one; it is passed on as one, so that the server knows its length. */
  chunks = 0;
  isBroken = false;
  #controller!: ReadableStreamDefaultController<Chunk>;
  #isWanted: (() => void) | undefined;
  #hasLeft = false;
  #isCut = false;
  #size = 0;
  /** The last byte, held back when all others were passed on. */
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
      // The client has left. The handler goes on, and its answer is recorded for the retry.
      cancel: () => this.#leave(),
    });
    this.mayEnd.catch((error: unknown) => {
      this.#isCut = true;
      this.#breakOff(error);
    });
    this.read = this.#pump();
    // Its user may look at it only later.
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
        // While the body is copied, it is read ahead of the client. Afterwards it is read at the client's speed.
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

  /** Whether neither the client nor the record can get the rest. Then the handler's stream is cancelled. */
  #isUseless(): boolean {
    return this.#isCut || (this.#hasLeft && !this.copy.isWhole);
  }

  #close(): void {
    if (this.#hasLeft) return;
    if (this.#last) this.#controller.enqueue(this.#last);
    this.#controller.close();
  }

  /** Ends the client's stream with an error. */
  #breakOff(error: unknown): void {
    if (!this.#hasLeft) this.#controller.error(error);
    this.#leave();
  }

  #leave(): void {
    this.#hasLeft = true;
    this.#isWanted?.();
    // The reader may be waiting for a chunk that never comes.
    if (this.#isUseless()) void this.reader.cancel().catch(() => undefined);
  }

  #pass(bytes: Chunk): void {
    if (this.#hasLeft || bytes.length === 0) return;
    this.#size += bytes.length;
    if (!(this.#size >= this.contentLength)) return this.#controller.enqueue(bytes);
    // With the last byte the client would have the complete body. If the body is longer than announced, the byte that is held
    // back was not the last one, and is passed on first.
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
