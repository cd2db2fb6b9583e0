import { ServerResponse } from 'node:http';

/**
 * The way from a response of Node's HTTP server to its connection. It lies below everything that hooks `write`, `end`
 * and `writeHead`, so that these run when the handler calls them, as they do without us, while the bytes wait.
 */
export interface Output {
  /** Whether anything may have left for the client. */
  readonly hasLeft: boolean;
  /** Whether the head is in UTF-8, and not in Latin-1: Node writes it so where a text follows. */
  readonly isHeadUtf8: boolean;
  /** Sends the head alone, as it goes where this chunk follows: other bytes than those of the chunk are to follow it. */
  sendHeadBefore(chunk: unknown, encoding: BufferEncoding | undefined): void;
  /** From now on, nothing leaves. */
  hold(): void;
  /** Ends the response by this call, so that nothing of its end leaves. */
  end(call: () => unknown): void;
  /** Sends what waits, and all that comes later at once. */
  release(): void;
}

export function outputOf(res: ServerResponse): Output {
  if (res.req.httpVersionMajor !== 1) return new Http2Output(res);
  const end: unknown = Reflect.get(Object.getPrototypeOf(res) as object, 'end');
  const isNodes =
    end === Reflect.get(ServerResponse.prototype, 'end') &&
    !('bun' in process.versions || 'deno' in process.versions);
  return isNodes ? new Http1Output(res) : new OtherOutput(res);
}

/** Every byte of a response over HTTP/1, its head included, is given to `_send`, the one place below `write` and `end`. */
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
      // Node takes a response for finished, and gives the connection to the next one, when it has nothing more to write.
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
    // In one packet, as it is without us.
    const { socket } = this.#res;
    socket?.cork();
    for (const args of held) this.#send(...args);
    socket?.uncork();
  }
}

const isUtf8 = (chunk: unknown, encoding: unknown): boolean =>
  typeof chunk === 'string' && (encoding === 'utf8' || !encoding);

/** A response that is sent in another way, as by `inject()` of Fastify and in other runtimes: its end itself waits. */
class OtherOutput implements Output {
  readonly hasLeft = true;
  readonly isHeadUtf8 = false;
  #end: (() => unknown) | undefined;

  constructor(private readonly res: ServerResponse) {}

  sendHeadBefore(): void {
    // It is no bytes here.
  }

  hold(): void {
    // Nothing can be held but the end.
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

/** As far as Node's own HTTP/2 response uses it. */
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
      // Else the head could be given a second time.
      if (this.#held) Object.defineProperty(stream, 'headersSent', { value: true, configurable: true });
    };
    stream.write = (...args) => {
      const isChunk = typeof args[0] === 'string' || args[0] instanceof Uint8Array;
      // What is no chunk is refused to the caller, at once.
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
    // The client may have gone meanwhile.
    for (const call of held) if (!this.#stream.destroyed) this.#pass(call);
  }

  #pass(call: () => unknown): unknown {
    if (this.#held) return void this.#held.push(call);
    this.hasLeft = true;
    return call();
  }
}
