import { BodyRefused } from '../problem/body-refused.js';
import { isMultipart, unknownBody, unsupportedBody } from '../node/body.js';

/** The methods that read a body. All return promises. */
const READERS = new Set<PropertyKey>(['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text']);

/**
 * The body of a request for everything except the handler. It is read once, from a clone, up to a limit, so that the handler's
 * request stays unread.
 */
export class FetchBody<Req extends Request> {
  #bytes: Promise<Uint8Array<ArrayBuffer>> | undefined;
  #isReading = false;

  constructor(
    private readonly request: Req,
    private readonly maxBytes: number,
  ) {}

  /** Whether the client is still sending what somebody reads. */
  get isReading(): boolean {
    return this.#isReading;
  }

  /**
   * The body in the form that is compared: JSON is parsed, so that spaces and the order of members make no difference; any other
   * type as bytes.
   * @throws UsageError INVALID_OPTIONS if it was read before
   * @throws BodyRefused if it is multipart, or too long
   */
  async compared(): Promise<unknown> {
    const { request } = this;
    if (!request.body) return undefined;
    const type = request.headers.get('content-type');
    if (!request.bodyUsed && isMultipart(type)) throw unsupportedBody('is multipart');
    const bytes = await this.read();
    if (bytes.length === 0) return undefined;
    if (!/[/+]json\b/i.test(type ?? '')) return bytes;
    try {
      return { json: JSON.parse(new TextDecoder().decode(bytes)) as unknown };
    } catch {
      return bytes;
    }
  }

  /**
   * The request for functions in the options: the same request with a copy of the body. It is not a clone, because a clone would
   * lack what frameworks add to a request, and would copy bodies that are never read.
   */
  copy(): Req {
    let isUsed = false;
    const whole = async (): Promise<Response> => {
      if (isUsed) throw new TypeError('the body of this copy was read before');
      isUsed = true;
      const type = this.request.headers.get('content-type');
      return new Response(await this.read(), type === null ? {} : { headers: { 'content-type': type } });
    };
    return new Proxy(this.request, {
      get: (target, name) => {
        if (READERS.has(name)) return () => this.#asAsked(whole, name as 'text');
        if (name === 'bodyUsed') return isUsed;
        if (name === 'body') return target.body && lazyStream(whole);
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  /** Reads the body as requested. If it is not what its content type says, that is the client's error. */
  async #asAsked(whole: () => Promise<Response>, reader: 'text'): Promise<unknown> {
    const response = await whole();
    try {
      return await response[reader]();
    } catch (error) {
      throw new BodyRefused(
        'IDEMPOTENCY_BODY_INVALID',
        `a body could not be read as ${reader}: ${String(error)}`,
      );
    }
  }

  private read(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#bytes) return this.#bytes;
    this.#isReading = true;
    return (this.#bytes = this.#read().finally(() => (this.#isReading = false)));
  }

  async #read(): Promise<Uint8Array<ArrayBuffer>> {
    const { request, maxBytes } = this;
    if (!request.body) return new Uint8Array();
    if (request.bodyUsed) throw unknownBody('was read before the handler');
    if (Number(request.headers.get('content-length')) > maxBytes) throw tooLong(maxBytes);
    const reader = request.clone().body!.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    const chunks: Uint8Array[] = [];
    for (let size = 0; ;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      size += value.length;
      if (size <= maxBytes) continue;
      // Not awaited: the cancellation of a clone ends only when the original was read too.
      reader.cancel().catch(() => undefined);
      throw tooLong(maxBytes);
    }
    return joined(chunks);
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(chunks.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function tooLong(maxBytes: number): BodyRefused {
  const detail = `The body is longer than ${maxBytes} bytes. Nothing was processed.`;
  const message = `a body was longer than maxRequestBytes (${maxBytes}), and was refused`;
  return new BodyRefused('PAYLOAD_TOO_LARGE', message, detail);
}

function lazyStream(whole: () => Promise<Response>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        controller.enqueue(new Uint8Array(await (await whole()).arrayBuffer()));
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}
