import { ServerResponse } from 'node:http';
import { isInside } from '../../../idempotency/current-attempt.js';
import type { Attempt } from '../../../core/attempt/attempt.js';
import { unrefTimeout } from '../../../core/timers.js';
import { BodyCopy, isBodiless, savedHeaders, type Answered, type Handled } from '../exchange/answer.js';
import {
  asSent,
  namedHeaders,
  originalMethods,
  readArguments,
  refuseLate,
  toBytes,
  type Callback,
  type Originals,
} from './arguments.js';
import { writeAnswer } from './answer.js';
import { createOutput, type Output } from './output.js';
import { OutsideAnswer, saysGivenUp } from './outside.js';
import { watchSocket } from './socket.js';
import type { HttpSettings } from '../options.js';

type Settings = Pick<HttpSettings<never>, 'keepsHeader' | 'maxBodyBytes' | 'lateAnswerMs'>;

interface Head {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** The length of the body, if the client is told it in advance. */
  readonly length: number | undefined;
}

/**
 * Records the handler's answer on a response of Node's HTTP server. Every call of the handler is passed on unchanged and at
 * once, so that the answer is the same as without protection, also for middlewares that hook the response. Only the last bytes
 * are held back, until {@link release}: so the client never has a complete answer that is not recorded.
 *
 * Outer middlewares (compression, sessions) change the answer after this point. Their changes are not recorded; they make them
 * to a replay too.
 */
export class NodeRecording {
  readonly ended: Promise<Handled>;
  #copy: BodyCopy;
  readonly #original: Originals;
  readonly #output: Output;
  #settle!: (handled: Handled) => void;
  #head: Head | undefined;
  #written = 0;
  #hasEnded = false;
  #isClosed = false;
  /** Whether calls are passed on without being recorded, because the outcome is known. */
  #isOpen = false;
  /** Whether the client gets another answer instead of this one. */
  #isCut = false;
  #outside: OutsideAnswer | undefined;
  /** Whether the handler destroyed the connection after it ended the answer: then what is held back is sent first. */
  #isToBeDestroyed = false;
  #unwatch!: () => void;
  /** While `end` runs: whether it called `write` with its chunk, as it does over HTTP/2. Undefined otherwise. */
  #wroteInEnd: boolean | undefined;

  constructor(
    private readonly res: ServerResponse,
    private readonly attempt: Attempt,
    private readonly settings: Settings,
  ) {
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    this.#copy = new BodyCopy(settings.maxBodyBytes);
    this.#output = createOutput(res);
    this.#original = originalMethods(res);
    res.write = (...args: unknown[]) => this.#onWrite(args);
    res.end = (...args: unknown[]) => this.#onEnd(args);
    res.writeHead = (...args: unknown[]) => this.#onWriteHead(args);
    this.#watchForBreaks();
  }

  /** Lets the answer end, after it was recorded or the store's deadline has passed. */
  release(): void {
    this.#isOpen = true;
    this.#unwatch();
    this.#output.release();
    if (this.#isToBeDestroyed) this.res.socket?.destroySoon();
  }

  /**
   * Sends another answer, because the handler's attempt lost its lease and another outcome is recorded. The handler continues
   * on a response that is not sent. If some bytes were sent already, the connection is closed, so that the client retries.
   */
  replaceBy(answer: Answered | undefined): void {
    const { res } = this;
    const { socket } = res;
    this.#unwatch();
    // The client already has an answer from outside of the handler, and may use the connection for its next request.
    if (this.#outside) return;
    this.#isCut = true;
    if (!answer || this.#output.hasLeft || !socket || res.req.httpVersionMajor !== 1)
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

  #onWriteHead(args: unknown[]): ServerResponse {
    const status = typeof args[0] === 'number' ? args[0] : this.res.statusCode;
    if (this.#isOpen || this.#isFromOutside(status)) return this.#original.writeHead(...args);
    const hadHead = this.#head !== undefined;
    if (!hadHead) this.#takeHead(args);
    try {
      if (this.#outside) this.#outside.late.writeHead(...(args as [number]));
      else {
        // Without a body, the head is the complete answer.
        if (this.#head?.length === 0) this.#output.hold();
        this.#original.writeHead(...args);
      }
      return this.res;
    } catch (error) {
      // For example a header value that HTTP does not allow. The handler gets the error, and another answer follows.
      if (!hadHead) this.#head = undefined;
      if (!this.#hasEnded) this.#output.release();
      throw error;
    }
  }

  #onWrite(args: unknown[]): boolean {
    const { res } = this;
    const { chunk, encoding, callback } = readArguments(args);
    const bytes = toBytes(chunk, encoding);
    // For a chunk that can't be written, the original throws, as it does without protection.
    if (!bytes || this.#isOpen) return this.#original.write(...args);
    if (this.#hasEnded) return refuseLate(callback);
    if (this.#isFromOutside(res.statusCode)) return this.#original.write(...args);
    if (this.#wroteInEnd !== undefined) this.#wroteInEnd = true;
    if (this.#outside || this.#isCut || this.#isClosed || res.destroyed) {
      this.#copyUnheard(bytes);
      if (callback) process.nextTick(callback);
      return true;
    }
    // The head is needed first: it says whether the client knows the length.
    if (!this.#head && res.hasHeader('content-length')) res.writeHead(res.statusCode);
    this.#written += bytes.length;
    const isLastHere = this.#isLastByteHere(bytes);
    if (isLastHere) this.#output.sendHeadBefore(chunk, encoding);
    const goesOn = isLastHere ? this.#writeButLast(bytes, callback) : this.#original.write(...args);
    this.#copy.add(bytes);
    return goesOn;
  }

  #isLastByteHere(bytes: Buffer): boolean {
    const length = this.#head?.length;
    return (
      length !== undefined && this.#written >= length && bytes.length > 0 && this.#wroteInEnd === undefined
    );
  }

  /** Holds the last byte back: the client knows the length, so with the last byte the answer would be complete. */
  #writeButLast(bytes: Buffer, callback: unknown): boolean {
    if (bytes.length > 1) this.#original.write(bytes.subarray(0, -1));
    this.#output.hold();
    return this.#original.write(bytes.subarray(-1), callback);
  }

  /** Copies what the client no longer receives: a retry gets it. */
  #copyUnheard(bytes: Buffer): void {
    this.#outside?.late.flushHeaders();
    this.#takeHead([]);
    this.#copy.add(bytes);
    // Neither the client nor a retry can get the rest, so the answer counts as ended.
    if (!this.#copy.isWhole) this.#answered();
  }

  #onEnd(args: unknown[]): ServerResponse {
    const { res } = this;
    const { chunk, encoding, callback } = readArguments(args);
    if (this.#isOpen) return this.#original.end(...args);
    if (this.#hasEnded) {
      if (callback) res.once('finish', callback);
      return res;
    }
    if (this.#isFromOutside(res.statusCode)) return this.#original.end(...args);
    const bytes = toBytes(chunk ?? '', encoding);
    if (this.#outside) return this.#endLate(this.#outside, bytes, callback);
    this.#wroteInEnd = false;
    let fault: { readonly error: unknown } | undefined;
    try {
      this.#output.end(() => this.#original.end(...args));
    } catch (error) {
      fault = { error };
    }
    const isCopied = this.#wroteInEnd as boolean;
    this.#wroteInEnd = undefined;
    if (fault && !res.writableEnded) {
      // The response was not ended: the handler gets the error, and may try again.
      this.#output.release();
      throw fault.error;
    }
    // If the client has left, no head was written yet.
    this.#takeHead([]);
    if (bytes && !isCopied) this.#copy.add(bytes);
    this.#hasEnded = true;
    this.#answered();
    if (fault) throw fault.error;
    return res;
  }

  #endLate(
    { late }: OutsideAnswer,
    bytes: Buffer | undefined,
    callback: Callback | undefined,
  ): ServerResponse {
    this.#takeHead([]);
    late.end();
    if (bytes) this.#copy.add(bytes);
    if (callback) process.nextTick(callback);
    if (saysGivenUp(this.#head!.status) && !isInside(this.attempt)) return this.#forgetLate();
    this.#hasEnded = true;
    this.#answered();
    return this.res;
  }

  #forgetLate(): ServerResponse {
    this.#outside?.forgetLate();
    this.#head = undefined;
    this.#copy = new BodyCopy(this.settings.maxBodyBytes);
    return this.res;
  }

  /**
   * Whether this call belongs to an answer from outside of the handler, for example from a timeout middleware. Callbacks of the
   * handler may have lost their async context, so a call without it counts as the handler's, unless its status is 408 or 5xx.
   */
  #isFromOutside(status: number): boolean {
    if (this.#outside) return !this.#outside.isHandler();
    if (this.#head || this.#wroteInEnd !== undefined || !saysGivenUp(status) || isInside(this.attempt))
      return false;
    this.#outside = new OutsideAnswer(this.res, this.attempt);
    const timer = unrefTimeout(() => this.#giveUp(status), this.settings.lateAnswerMs);
    void this.ended.then(() => clearTimeout(timer));
    return true;
  }

  #giveUp(status: number): void {
    const error = new Error(
      `the client was answered with ${status} from outside of the handler, and the handler did not answer in time`,
    );
    this.#end({ unclear: error });
  }

  /** Records status and headers as the handler set them, before outer middlewares change them. */
  #takeHead(args: unknown[]): void {
    if (this.#head) return;
    const from = this.#outside ? this.#outside.late : this.res;
    const given = args.find((arg) => typeof arg === 'object' && arg !== null);
    const all = { ...from.getHeaders(), ...namedHeaders(given) };
    const status = typeof args[0] === 'number' ? args[0] : from.statusCode;
    const length = all['transfer-encoding'] === undefined ? all['content-length'] : undefined;
    this.#head = {
      status,
      headers: savedHeaders(Object.entries(all), this.settings.keepsHeader),
      length: isBodiless(status) ? 0 : length === undefined ? undefined : Number(length),
    };
  }

  #answered(): void {
    const { status, headers: said } = this.#head!;
    const headers = this.#output.isHeadUtf8 ? asSent(said) : said;
    const body = isBodiless(status) ? '' : this.#copy.toSave();
    if (this.#hasEnded) this.#settle({ answer: { status, headers, body } });
    else this.#end({ answer: { status, headers, body } });
  }

  /** Settles with an outcome other than the answer's end. From now on nothing is recorded. */
  #end(handled: Handled): void {
    if (this.#hasEnded || this.#isOpen) return;
    this.#isOpen = true;
    this.#settle(handled);
  }

  /**
   * If the client leaves, the handler goes on. The answer is broken off if the handler itself destroys the connection, or if it
   * answers by a pipe, which ends with the connection.
   */
  #watchForBreaks(): void {
    const { res, attempt } = this;
    this.#unwatch = watchSocket(res, () => isInside(attempt) && this.#isDestroyedLater());
    res.destroy = (error) => {
      if (isInside(attempt)) return this.#isDestroyedLater() ? res : this.#original.destroy(error);
      if (!this.#outside) this.#break();
      return this.#original.destroy(error);
    };
    res.once('close', () => {
      this.#isClosed = true;
      // A handler that waits for a client that has left can go on: its answer is recorded for the retry.
      res.emit('drain');
    });
    res.on('unpipe', () => this.#isClosed && this.#break());
  }

  /** Called when the handler destroys the connection. Whether that must wait until the bytes that are held back were sent. */
  #isDestroyedLater(): boolean {
    this.#break();
    this.#isToBeDestroyed = this.#hasEnded && !this.#isOpen;
    return this.#isToBeDestroyed;
  }

  #break(): void {
    this.#end({ error: new Error('the connection was closed before the handler had answered') });
  }
}
