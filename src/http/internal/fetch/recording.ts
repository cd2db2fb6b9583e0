import { BodyCopy, isBodiless, savedHeaders, type Handled } from '../exchange/answer.js';
import { HeldBody } from './held-body.js';
import type { HttpSettings } from '../options.js';

type Settings = Pick<HttpSettings<never>, 'keepsHeader' | 'maxBodyBytes'>;
type Chunk = Uint8Array<ArrayBuffer>;

/**
 * Records a handler's Response. A Response whose body is available at once is held back until it is recorded. Any other is
 * passed through as it comes, except for its end, which waits for {@link release}. If the client leaves, the body is read to its
 * end all the same.
 */
export class FetchRecording {
  readonly ended: Promise<Handled>;
  /** Resolves with an answer that is streamed, when it begins. */
  readonly streamed: Promise<Response>;
  readonly #copy: BodyCopy;
  #settle!: (handled: Handled) => void;
  #begin!: (response: Response) => void;
  #release!: () => void;
  #fail!: (error: unknown) => void;
  readonly #mayEnd: Promise<void>;
  /** Returns the answer that ended at once, or throws what the handler threw. */
  #whole: (() => Response) | undefined;

  constructor(private readonly settings: Settings) {
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    this.streamed = new Promise((resolve) => (this.#begin = resolve));
    this.#mayEnd = new Promise((resolve, reject) => {
      this.#release = resolve;
      this.#fail = reject;
    });
    // Nothing may be waiting for it.
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

  /** Lets the answer end. Returns an answer that ended at once, or throws what the handler threw. */
  release(): Response {
    this.#release();
    if (!this.#whole) throw new Error('the answer was streamed');
    return this.#whole();
  }

  /** Breaks off an answer that is being streamed, because another outcome is recorded. */
  cut(): void {
    this.#fail(new Error('the lease was lost, and another answer is recorded'));
  }

  async #follow(response: Response): Promise<void> {
    // Read the body first: in some servers a Response gets its default headers only then.
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
