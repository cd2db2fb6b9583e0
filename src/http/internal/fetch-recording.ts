import { BodyCopy, isBodiless, type Handled } from './answer.js';
import type { HttpSettings } from './options.js';

type Settings = Pick<HttpSettings<never>, 'keepsHeader' | 'maxBodyBytes'>;
type Chunk = Uint8Array<ArrayBuffer>;

/**
 * Follows a handler's Response. One whose body is there at once is kept until it is recorded. Any other passes through
 * as it comes, but for its end, which waits for {@link release}. The body is read on when the client has left.
 */
export class FetchRecording {
  readonly ended: Promise<Handled>;
  /** Given when the answer begins before it has ended. */
  readonly streamed: Promise<Response>;
  readonly #copy: BodyCopy;
  #settle!: (handled: Handled) => void;
  #begin!: (response: Response) => void;
  #release!: () => void;
  #fail!: (error: unknown) => void;
  readonly #mayEnd: Promise<void>;
  /** Of the answer that ended at once; what was thrown, where there is none. */
  #whole: (() => Response) | undefined;

  constructor(private readonly settings: Settings) {
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    this.streamed = new Promise((resolve) => (this.#begin = resolve));
    this.#mayEnd = new Promise((resolve, reject) => {
      this.#release = resolve;
      this.#fail = reject;
    });
    // Nobody may be waiting for it.
    this.#mayEnd.catch(() => undefined);
    this.#copy = new BodyCopy(settings.maxBodyBytes);
  }

  async follow(handler: () => Response | Promise<Response>): Promise<void> {
    try {
      await this.#follow(await handler());
    } catch (error) {
      this.#whole ??= () => {
        throw error;
      };
      this.#settle({ error });
    }
  }

  /** The handler's own answer, or what it threw, when it ended at once; or lets the streamed one end. */
  release(): Response {
    this.#release();
    if (!this.#whole) throw new Error('the answer was streamed');
    return this.#whole();
  }

  /** Another outcome is recorded: an answer that is on its way breaks. */
  cut(): void {
    this.#fail(new Error('the lease was lost, and another answer is recorded'));
  }

  async #follow(response: Response): Promise<void> {
    // First: some servers' Response is complete, with its default headers, only when its body is asked for.
    const source = response.body;
    const { status, headers } = response;
    const init = { status, statusText: response.statusText, headers };
    if (!source) {
      this.#whole = () => response;
      return this.#end(response);
    }
    const reader = source.getReader() as ReadableStreamDefaultReader<Chunk>;
    const body = new HeldBody(reader, this.#copy, Number(headers.get('content-length') ?? NaN), this.#mayEnd);
    const isThere = await Promise.race([
      body.read.then(
        () => true,
        () => true,
      ),
      nextTurn(),
    ]);
    if (isThere) await body.read;
    const bytes = isThere && body.chunks <= 1 ? this.#copy.bytes() : undefined;
    if (bytes) {
      this.#whole = () => new Response(bytes as Chunk, init);
      return this.#end(response);
    }
    this.#begin(new Response(body.stream, init));
    await body.read;
    this.#end(response);
  }

  #end({ status, headers }: Response): void {
    const kept: Record<string, string> = {};
    headers.forEach((value, name) => {
      if (this.settings.keepsHeader(name)) kept[name] = value;
    });
    const body = isBodiless(status) ? '' : this.#copy.toSave();
    this.#settle({ answer: { status, headers: kept, body } });
  }
}

/** A body that passes through and is copied; its last byte waits. */
class HeldBody {
  readonly stream: ReadableStream<Chunk>;
  /** Ends when all of it has been read; rejects with what the handler's stream broke with. */
  readonly read: Promise<void>;
  /** A body that was text or bytes comes in one, and goes out in one, so that the server still knows its length. */
  chunks = 0;
  #controller!: ReadableStreamDefaultController<Chunk>;
  #isWanted: (() => void) | undefined;
  #hasLeft = false;
  #size = 0;

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
    this.mayEnd.catch((error: unknown) => this.#breakOff(error));
    this.read = this.#pump();
  }

  async #pump(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.reader.read();
        if (done) break;
        this.chunks++;
        this.copy.add(value);
        this.#pass(value);
        // What is copied may be read ahead of the client; what is not is read as fast as it takes it.
        if (!this.copy.isWhole) await this.#untilWanted();
      }
    } catch (error) {
      this.#breakOff(error);
      throw error;
    }
    this.mayEnd.then(
      () => this.#hasLeft || this.#controller.close(),
      () => undefined,
    );
  }

  /** The client hears no more of it; it is read to its end all the same. */
  #breakOff(error: unknown): void {
    if (!this.#hasLeft) this.#controller.error(error);
    this.#leave();
  }

  #leave(): void {
    this.#hasLeft = true;
    this.#isWanted?.();
  }

  #pass(bytes: Chunk): void {
    if (this.#hasLeft) return;
    this.#size += bytes.length;
    if (bytes.length === 0) return;
    if (!(this.#size >= this.contentLength)) return this.#controller.enqueue(bytes);
    // The client knows the length: with the last byte it would have all of it.
    if (bytes.length > 1) this.#controller.enqueue(bytes.subarray(0, -1));
    const last = bytes.slice(-1);
    this.mayEnd.then(
      () => this.#hasLeft || this.#controller.enqueue(last),
      () => undefined,
    );
  }

  async #untilWanted(): Promise<void> {
    while (!this.#hasLeft && (this.#controller.desiredSize ?? 0) <= 0) {
      await new Promise<void>((resolve) => (this.#isWanted = resolve));
    }
  }
}

function nextTurn(): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, 0, false));
}
