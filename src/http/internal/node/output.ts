import { ServerResponse } from 'node:http';

/**
 * Controls when the bytes of a response of Node's HTTP server are sent. It works below `write`, `end` and `writeHead`, so that
 * middlewares that hook these run when the handler calls them, as without protection, while the bytes are held back.
 */
export interface Output {
  /** Whether any bytes may have been sent to the client. */
  readonly hasLeft: boolean;
  /** Whether the head is in UTF-8, and not in Latin-1: Node writes it so if a text follows. */
  readonly isHeadUtf8: boolean;
  /** Sends the head alone, in the encoding that it would have before this chunk. Other bytes may follow it. */
  sendHeadBefore(chunk: unknown, encoding: BufferEncoding | undefined): void;
  /** Holds back all bytes from now on. */
  hold(): void;
  /** Ends the response by this call, and holds back the bytes of its end. */
  end(call: () => unknown): void;
  /** Sends the bytes that are held back. Later ones are sent at once. */
  release(): void;
}

export function createOutput(res: ServerResponse): Output {
  if (res.req.httpVersionMajor !== 1) return new Http2Output(res);
  const end: unknown = Reflect.get(Object.getPrototypeOf(res) as object, 'end');
  const isNodes =
    end === Reflect.get(ServerResponse.prototype, 'end') &&
    !('bun' in process.versions || 'deno' in process.versions);
  return isNodes ? new Http1Output(res) : new OtherOutput(res);
}

/** Over HTTP/1, every byte of a response passes through `_send`, its head included: the only method below `write` and `end`. */
interface Http1Response extends ServerResponse {
  _send(...args: unknown[]): boolean;
}

class Http1Output implements Output {
  hasLeft = false;
  isHeadUtf8 = false;
  #hasHead = false;
  readonly #res: Http1Response;
  readonly #send: (...args: unknown[]) => boolean;
  #held: unknown[][] | undefined;

  constructor(res: ServerResponse) {
    this.#res = res as Http1Response;
    this.#send = this.#res._send.bind(res);
    this.#res._send = (...args) => {
      this.#isHead(args);
      if (!this.#held) {
        this.hasLeft = true;
        return this.#send(...args);
      }
      this.#held.push(args);
      // Node considers a response finished, and uses the connection for the next one, when it has nothing more to write. So this
      // says that there is something.
      Object.defineProperty(res, 'writableLength', { value: 1, configurable: true });
      return true;
    };
  }

  hold(): void {
    this.#held ??= [];
  }

  /** The head goes with the first that is sent, as one text where that is a text. */
  #isHead([data, encoding]: unknown[]): void {
    if (this.#hasHead) return;
    this.#hasHead = true;
    this.isHeadUtf8 = isUtf8(data, encoding);
  }

  sendHeadBefore(chunk: unknown, encoding: BufferEncoding | undefined): void {
    if (!this.#hasHead && isUtf8(chunk, encoding)) this.#res._send('');
  }

  end(call: () => unknown): void {
    this.hold();
    call();
  }

  release(): void {
    const held = this.#held;
    if (!held) return;
    this.#held = undefined;
    if (held.length === 0) return;
    this.hasLeft = true;
    Reflect.deleteProperty(this.#res, 'writableLength');
    // In one packet, as without protection.
    const { socket } = this.#res;
    socket?.cork();
    for (const args of held) this.#send(...args);
    socket?.uncork();
  }
}

const isUtf8 = (chunk: unknown, encoding: unknown): boolean =>
  typeof chunk === 'string' && (encoding === 'utf8' || !encoding);

/** For responses that are sent in another way, as with Fastify's `inject()` and in other runtimes: the call of `end` waits. */
class OtherOutput implements Output {
  readonly hasLeft = true;
  readonly isHeadUtf8 = false;
  #end: (() => unknown) | undefined;

  constructor(private readonly res: ServerResponse) {}

  sendHeadBefore(): void {
    // It is no bytes here.
  }

  hold(): void {
    // Only the end can be held back.
  }

  end(call: () => unknown): void {
    const { res } = this;
    if (!res.headersSent) res.writeHead(res.statusCode);
    this.#end = call;
    Object.defineProperty(res, 'writableEnded', { value: true, configurable: true });
  }

  release(): void {
    const end = this.#end;
    this.#end = undefined;
    Reflect.deleteProperty(this.res, 'writableEnded');
    end?.();
  }
}

/** The methods of a stream that Node's HTTP/2 response uses. */
interface Http2Stream {
  readonly destroyed: boolean;
  respond(...args: unknown[]): void;
  write(...args: unknown[]): boolean;
  end(...args: unknown[]): unknown;
}

class Http2Output implements Output {
  hasLeft = false;
  readonly isHeadUtf8 = false;
  readonly #stream: Http2Stream;
  #held: (() => unknown)[] | undefined;

  constructor(res: ServerResponse) {
    const stream = (res as unknown as { stream: Http2Stream }).stream;
    this.#stream = stream;
    const respond = stream.respond.bind(stream);
    const write = stream.write.bind(stream);
    const end = stream.end.bind(stream);
    stream.respond = (...args) => {
      this.#pass(() => respond(...args));
      // Otherwise Node would allow a second head.
      if (this.#held) Object.defineProperty(stream, 'headersSent', { value: true, configurable: true });
    };
    stream.write = (...args) => {
      const isChunk = typeof args[0] === 'string' || args[0] instanceof Uint8Array;
      // Passed on at once if it is not a chunk, so that the caller gets the error.
      return isChunk ? this.#pass(() => write(...args)) !== false : write(...args);
    };
    stream.end = (...args) => {
      this.#pass(() => end(...args));
      return stream;
    };
  }

  sendHeadBefore(): void {
    // It goes in a frame of its own, in one encoding.
  }

  hold(): void {
    this.#held ??= [];
  }

  end(call: () => unknown): void {
    this.hold();
    call();
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    Reflect.deleteProperty(this.#stream, 'headersSent');
    // The client may have left meanwhile.
    for (const call of held) if (!this.#stream.destroyed) this.#pass(call);
  }

  #pass(call: () => unknown): unknown {
    if (this.#held) return void this.#held.push(call);
    this.hasLeft = true;
    return call();
  }
}
