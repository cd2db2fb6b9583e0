import { BodyCopy, isBodiless, savedHeaders, type Handled } from '../exchange/answer.js';
import { HeldBody } from './held-body.js';
import type { HttpSettings } from '../options.js';

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
    const length = Number(headers.get('content-length') ?? NaN);
    const body = new HeldBody(reader, this.#copy, length, this.#mayEnd);
    const isThere = await Promise.race([
      body.read.then(
        () => true,
        () => true,
      ),
      nextTurn(),
    ]);
    const bytes = isThere && !body.isBroken && body.chunks <= 1 ? this.#copy.bytes() : undefined;
    if (bytes) {
      this.#whole = () => new Response(bytes as Chunk, init);
      return this.#end(response);
    }
    this.#begin(new Response(body.stream, init));
    await body.read;
    this.#end(response);
  }

  #end({ status, headers }: Response): void {
    const kept = savedHeaders(headers, this.settings.keepsHeader);
    const body = isBodiless(status) ? '' : this.#copy.toSave();
    this.#settle({ answer: { status, headers: kept, body } });
  }
}

function nextTurn(): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, 0, false));
}
