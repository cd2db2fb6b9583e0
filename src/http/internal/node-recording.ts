import { ServerResponse, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { currentAttempt } from '../../attempt.js';
import type { Attempt } from '../../core/attempt.js';
import { BodyCopy, isBodiless, type Answered, type Handled, type SavedAnswer } from './answer.js';
import type { HttpSettings } from './options.js';
import { readArguments, toBytes, type Callback } from './node-arguments.js';
import { watchSocket } from './node-socket.js';

type Head = Pick<SavedAnswer, 'status' | 'headers'> & { readonly contentLength: number | undefined };

/**
 * Follows the handler's answer on a response of Node's HTTP server: all of it passes through as it is written, but for
 * its end, which waits for {@link release}. So the client never has a whole answer that is not recorded.
 *
 * Middlewares around us (compression, sessions) hooked the response before: they see what the handler does, its end
 * later. What they add is not recorded; they add it again to a replay.
 */
export class NodeRecording {
  readonly ended: Promise<Handled>;
  readonly #copy: BodyCopy;
  readonly #original: Originals;
  #settle!: (handled: Handled) => void;
  #head: Head | undefined;
  #written = 0;
  /** Whether anything may have left for the client. */
  #hasLeft = false;
  /** The last byte of a body whose length the client knows. */
  #lastByte: Buffer | undefined;
  /** What the handler ended with. */
  #end: { readonly bytes: Buffer; readonly callback: Callback | undefined } | undefined;
  /** Whether all that comes goes straight on: it has broken off, or may end (which may call `write` in turn). */
  #isOpen = false;
  #isCut = false;

  constructor(
    private readonly res: ServerResponse,
    private readonly attempt: Attempt,
    private readonly settings: Pick<HttpSettings<never>, 'keepsHeader' | 'maxBodyBytes'>,
  ) {
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    this.#copy = new BodyCopy(settings.maxBodyBytes);
    this.#original = originalsOf(res);
    res.write = (...args: unknown[]) => this.#onWrite(args);
    res.end = (...args: unknown[]) => this.#onEnd(args);
    res.writeHead = (...args: unknown[]) => {
      this.#takeHead(args);
      return this.#original.writeHead(...args);
    };
    this.#watchForBreaks();
  }

  /** Lets the answer end: it is recorded, or the store has had its deadline. */
  release(): void {
    if (!this.#end) return;
    const { bytes, callback } = this.#end;
    this.#isOpen = true;
    Reflect.deleteProperty(this.res, 'writableEnded');
    this.#original.end(bytes, 'utf8', callback);
  }

  /**
   * Answers the client in the handler's place, whose lease was lost: another outcome is recorded. The handler goes on,
   * into a response that leads nowhere. If something has left already, the connection breaks: the retry gets it right.
   */
  replaceBy(answer: Answered | undefined): void {
    const { res } = this;
    const { socket } = res;
    this.#isCut = true;
    if (!answer || this.#hasLeft || !socket || res.req.httpVersionMajor !== 1)
      return void this.#original.destroy();
    res.detachSocket(socket);
    const other = new ServerResponse(res.req);
    other.shouldKeepAlive = false;
    other.assignSocket(socket);
    other.once('finish', () => {
      socket.destroySoon();
      res.emit('close');
    });
    writeAnswer(other, answer);
  }

  #onWrite(args: unknown[]): boolean {
    const { res } = this;
    const { chunk, encoding, callback } = readArguments(args);
    const bytes = toBytes(chunk, encoding);
    // Not for us to judge: it throws, as it does without us.
    if (!bytes || this.#isOpen) return this.#forward(args);
    if (this.#end) {
      if (callback) process.nextTick(callback, new Error('write after end'));
      return false;
    }
    this.#takeHead([]);
    this.#copy.add(bytes);
    const now = this.#keepLastByte(bytes);
    const isHeard = !this.#isCut && !res.destroyed;
    if (now === bytes && isHeard) return this.#forward(args);
    if (now.length > 0 && isHeard) {
      this.#hasLeft = true;
      return this.#original.write(now, 'utf8', callback);
    }
    if (callback) process.nextTick(callback);
    return true;
  }

  #forward(args: unknown[]): boolean {
    this.#hasLeft = true;
    return this.#original.write(...args);
  }

  #onEnd(args: unknown[]): ServerResponse {
    const { res } = this;
    const { chunk, encoding, callback } = readArguments(args);
    if (this.#end) {
      if (callback) res.once('finish', callback);
      return res;
    }
    const bytes = toBytes(chunk ?? '', encoding);
    if (!bytes || this.#isOpen) return this.#original.end(...args);
    this.#takeHead([]);
    const rest = this.#lastByte ? Buffer.concat([this.#lastByte, bytes]) : bytes;
    this.#freezeHead(rest.length);
    this.#copy.add(bytes);
    this.#end = { bytes: rest, callback };
    // As it is without us: Fastify, and careful handlers, look at it.
    Object.defineProperty(res, 'writableEnded', { value: true, configurable: true });
    const { status, headers } = this.#head!;
    this.#settle({ answer: { status, headers, body: isBodiless(status) ? '' : this.#copy.toSave() } });
    return res;
  }

  /** Status and headers as the handler leaves them, before those around us change them. */
  #takeHead(args: unknown[]): void {
    if (this.#head) return;
    const given = args.find((arg) => typeof arg === 'object' && arg !== null);
    const all = { ...this.res.getHeaders(), ...namedHeaders(given) };
    const headers: Record<string, string | string[]> = {};
    for (const [name, value] of Object.entries(all)) {
      if (value !== undefined && this.settings.keepsHeader(name))
        headers[name] = Array.isArray(value) ? value.map(String) : String(value);
    }
    const length = all['transfer-encoding'] === undefined ? all['content-length'] : undefined;
    const status = typeof args[0] === 'number' ? args[0] : this.res.statusCode;
    this.#head = { status, headers, contentLength: length === undefined ? undefined : Number(length) };
  }

  /** From its end on, the handler can change neither status nor headers, although nothing has left yet. */
  #freezeHead(length: number): void {
    const { res } = this;
    if (res.headersSent) return;
    const isLengthSaid = ['content-length', 'transfer-encoding', 'trailer'].some((name) =>
      res.hasHeader(name),
    );
    if (!isLengthSaid && !isBodiless(res.statusCode)) res.setHeader('Content-Length', length);
    try {
      this.#original.writeHead(res.statusCode);
    } catch (error) {
      // A status that is none, say: the handler is told, and may try again.
      this.#head = undefined;
      throw error;
    }
  }

  #keepLastByte(bytes: Buffer): Buffer {
    const contentLength = this.#head?.contentLength;
    this.#written += bytes.length;
    if (contentLength === undefined || this.#written < contentLength || bytes.length === 0) return bytes;
    const all = this.#lastByte ? Buffer.concat([this.#lastByte, bytes]) : bytes;
    this.#lastByte = all.subarray(-1);
    return all.subarray(0, -1);
  }

  /**
   * A client that leaves is no break: the handler goes on. It is one when the handler itself destroys the connection,
   * or answers by a pipe, which ends with the connection.
   */
  #watchForBreaks(): void {
    const { res, attempt } = this;
    let isClosed = false;
    const unwatch = watchSocket(res, () => currentAttempt() === attempt && this.#break());
    res.destroy = (error) => {
      this.#break();
      return this.#original.destroy(error);
    };
    res.once('close', () => {
      isClosed = true;
      // Whoever waits for a client that has left goes on: its answer is recorded for the retry.
      res.emit('drain');
    });
    res.on('unpipe', () => isClosed && this.#break());
    void this.ended.then(unwatch);
  }

  #break(): void {
    if (this.#end || this.#isOpen) return;
    this.#isOpen = true;
    this.#settle({ error: new Error('the connection was closed before the handler had answered') });
  }
}

interface Originals {
  readonly write: (...args: unknown[]) => boolean;
  readonly end: (...args: unknown[]) => ServerResponse;
  readonly writeHead: (...args: unknown[]) => ServerResponse;
  readonly destroy: (...args: unknown[]) => ServerResponse;
}

function originalsOf(res: ServerResponse): Originals {
  const { write, end, writeHead, destroy } = res as unknown as Originals;
  const bound = <R>(method: (...args: unknown[]) => R): ((...args: unknown[]) => R) => method.bind(res);
  return { write: bound(write), end: bound(end), writeHead: bound(writeHead), destroy: bound(destroy) };
}

/** Headers as writeHead takes them, by lower-case name. */
function namedHeaders(given: unknown): OutgoingHttpHeaders {
  if (given === undefined) return {};
  const pairs: [string, OutgoingHttpHeaders[string]][] = [];
  if (Array.isArray(given)) {
    const flat = given.flat() as string[];
    for (let at = 0; at < flat.length; at += 2) pairs.push([flat[at]!, flat[at + 1]]);
  } else pairs.push(...Object.entries(given as OutgoingHttpHeaders));
  return Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
}

/** Writes an answer of ours. */
export function writeAnswer(res: ServerResponse<IncomingMessage>, { status, headers, body }: Answered): void {
  res.statusCode = status;
  res.removeHeader('content-length');
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  if (isBodiless(status) || body.length === 0) res.end();
  else res.end(body);
}
