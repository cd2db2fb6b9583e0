import { ServerResponse } from 'node:http';
import { isInside } from '../../../idempotency/current-attempt.js';
import type { Attempt } from '../../../core/attempt/attempt.js';
import { unrefTimeout } from '../../../core/timers.js';
import { BodyCopy, isBodiless, savedHeaders, type Answered, type Handled } from '../exchange/answer.js';
import {
  asSent,
  namedHeaders,
  originalsOf,
  readArguments,
  refuseLate,
  toBytes,
  type Callback,
  type Originals,
} from './arguments.js';
import { writeAnswer } from './answer.js';
import { outputOf, type Output } from './output.js';
import { OutsideAnswer, saysGivenUp } from './outside.js';
import { watchSocket } from './socket.js';
import type { HttpSettings } from '../options.js';

type Settings = Pick<HttpSettings<never>, 'keepsHeader' | 'maxBodyBytes' | 'lateAnswerMs'>;

interface Head {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Of the body, where the client knows it beforehand. */
  readonly length: number | undefined;
}

/**
 * Follows the handler's answer on a response of Node's HTTP server. Every call of the handler is passed on as it is, at
 * once, so that the answer is what it is without us, also for middlewares before and behind us that hook the response.
 * Only the last bytes wait on their way to the connection, until {@link release}: so the client never has a whole answer
 * that is not recorded.
 *
 * What middlewares around us add (compression, sessions) comes after us and is not recorded; they add it to a replay too.
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
  /** Whether all that comes goes on unseen: the outcome is known. */
  #isOpen = false;
  /** Whether the client gets another answer than this one. */
  #isCut = false;
  #outside: OutsideAnswer | undefined;
  /** Whether the handler destroyed the connection after its end: what waits would have left before. */
  #isToBeDestroyed = false;
  #unwatch!: () => void;
  /** Inside of `end`: whether it called `write` with its chunk, as it does over HTTP/2. */
  #wroteInEnd: boolean | undefined;

  constructor(
    private readonly res: ServerResponse,
    private readonly attempt: Attempt,
    private readonly settings: Settings,
  ) {
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    this.#copy = new BodyCopy(settings.maxBodyBytes);
    this.#output = outputOf(res);
    this.#original = originalsOf(res);
    res.write = (...args: unknown[]) => this.#onWrite(args);
    res.end = (...args: unknown[]) => this.#onEnd(args);
    res.writeHead = (...args: unknown[]) => this.#onWriteHead(args);
    this.#watchForBreaks();
  }

  /** Lets the answer end: it is recorded, or the store has had its deadline. */
  release(): void {
    this.#isOpen = true;
    this.#unwatch();
    this.#output.release();
    if (this.#isToBeDestroyed) this.res.socket?.destroySoon();
  }

  /**
   * Answers the client in the handler's place, whose lease was lost: another outcome is recorded. The handler goes on,
   * into a response that leads nowhere. If something has left already, the connection breaks: the retry gets it right.
   */
  replaceBy(answer: Answered | undefined): void {
    const { res } = this;
    const { socket } = res;
    this.#unwatch();
    // The client has an answer already, and may use the connection for its next request.
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
        // A head without a body is the whole answer.
        if (this.#head?.length === 0) this.#output.hold();
        this.#original.writeHead(...args);
      }
      return this.res;
    } catch (error) {
      // A value that HTTP can't carry, say: the handler is told, and what answers now is another one.
      if (!hadHead) this.#head = undefined;
      if (!this.#hasEnded) this.#output.release();
      throw error;
    }
  }

  #onWrite(args: unknown[]): boolean {
    const { res } = this;
    const { chunk, encoding, callback } = readArguments(args);
    const bytes = toBytes(chunk, encoding);
    // What can't be written is not for us to judge: it throws, as it does without us.
    if (!bytes || this.#isOpen) return this.#original.write(...args);
    if (this.#hasEnded) return refuseLate(callback);
    if (this.#isFromOutside(res.statusCode)) return this.#original.write(...args);
    if (this.#wroteInEnd !== undefined) this.#wroteInEnd = true;
    if (this.#outside || this.#isCut || this.#isClosed || res.destroyed) {
      this.#copyUnheard(bytes);
      if (callback) process.nextTick(callback);
      return true;
    }
    // Whether the client will know the length has to be known before.
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

  /** The client knows the length: with the last byte it would have all of it. */
  #writeButLast(bytes: Buffer, callback: unknown): boolean {
    if (bytes.length > 1) this.#original.write(bytes.subarray(0, -1));
    this.#output.hold();
    return this.#original.write(bytes.subarray(-1), callback);
  }

  /** Nobody hears it now, but the retry will. */
  #copyUnheard(bytes: Buffer): void {
    this.#outside?.late.flushHeaders();
    this.#takeHead([]);
    this.#copy.add(bytes);
    // What comes can neither be heard nor kept any more: no work is done for it.
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
      // Not an end: the handler is told, and may try again.
      this.#output.release();
      throw fault.error;
    }
    // No head was written where the client has left.
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
   * Whether this call belongs to an answer that somebody else gives while the handler works. Only one that says so by
   * its status is not taken for the handler's, since callbacks of the handler may have lost their async context.
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
      `the client was answered with ${status} from outside of the handler, which has not answered since`,
    );
    this.#end({ unclear: error });
  }

  /** Status and headers as the handler leaves them, before those around us change them. */
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

  /** The outcome is known, and is not the end of the answer: from now on, nothing is followed. */
  #end(handled: Handled): void {
    if (this.#hasEnded || this.#isOpen) return;
    this.#isOpen = true;
    this.#settle(handled);
  }

  /**
   * A client that leaves is no break: the handler goes on. It is one when the handler itself destroys the connection,
   * or answers by a pipe, which ends with the connection.
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
      // Whoever waits for a client that has left goes on: its answer is recorded for the retry.
      res.emit('drain');
    });
    res.on('unpipe', () => this.#isClosed && this.#break());
  }

  /** Whether the connection that the handler destroys stays until all is sent that would have left before. */
  #isDestroyedLater(): boolean {
    this.#break();
    this.#isToBeDestroyed = this.#hasEnded && !this.#isOpen;
    return this.#isToBeDestroyed;
  }

  #break(): void {
    this.#end({ error: new Error('the connection was closed before the handler had answered') });
  }
}
