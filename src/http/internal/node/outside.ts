import { ServerResponse } from 'node:http';
import { isInside } from '../../../idempotency/current-attempt.js';
import type { Attempt } from '../../../core/attempt/attempt.js';

/** What a timer or an error handler in front says when it has given up on the handler. */
export function saysGivenUp(status: number): boolean {
  return status === 408 || status >= 500;
}

const METHODS = [
  ...['setHeader', 'setHeaders', 'appendHeader', 'removeHeader', 'flushHeaders', 'addTrailers'],
  ...['getHeader', 'getHeaders', 'getHeaderNames', 'getRawHeaderNames', 'hasHeader'],
  ...['writeContinue', 'writeProcessing', 'writeEarlyHints'],
];
const PROPERTIES = ['statusCode', 'statusMessage', 'headersSent', 'writableEnded'];

/**
 * An answer that somebody outside of the attempt gives while the handler works: a timer in front, say. It goes to the
 * client as it is. The handler meets a response on which nothing was sent, so that it can still answer: what it says is
 * recorded for the retry, and reaches nobody now.
 *
 * Callers are told apart by their async context. Some callbacks lose it (those of connection pools, for example), so
 * whoever comes when the answer from outside has ended is taken for the handler as well.
 */
export class OutsideAnswer {
  #late: ServerResponse;
  #isFinished = false;

  constructor(
    private readonly res: ServerResponse,
    private readonly attempt: Attempt,
  ) {
    this.#late = new ServerResponse(res.req);
    for (const event of ['finish', 'close']) res.once(event, () => (this.#isFinished = true));
    for (const name of METHODS) this.#shareMethod(name);
    for (const name of PROPERTIES) this.#shareProperty(name);
  }

  /** The response that the handler answers on. */
  get late(): ServerResponse {
    return this.#late;
  }

  /** Whether the caller is the handler, as far as one can tell. */
  isHandler(): boolean {
    return isInside(this.attempt) || this.#hasEnded;
  }

  /** What was said on it was not the handler's either. */
  forgetLate(): void {
    this.#late = new ServerResponse(this.res.req);
  }

  get #hasEnded(): boolean {
    return Reflect.get(Object.getPrototypeOf(this.res) as object, 'writableEnded', this.res) === true;
  }

  #shareMethod(name: string): void {
    const { res } = this;
    const own: unknown = Reflect.get(res, name);
    if (typeof own !== 'function') return;
    const shared = (...args: unknown[]): unknown => {
      const { late } = this;
      if (!this.isHandler()) return Reflect.apply(own, res, args);
      const method: unknown = Reflect.get(late, name);
      const result: unknown = typeof method === 'function' ? Reflect.apply(method, late, args) : undefined;
      return result === late ? res : result;
    };
    Object.defineProperty(res, name, { value: shared, configurable: true, writable: true });
  }

  #shareProperty(name: string): void {
    const { res } = this;
    const accessor = accessorOf(res, name);
    let value: unknown = accessor ? undefined : Reflect.get(res, name);
    // A log that looks at it when the answer has been sent finds what the client got.
    const isLate = () => isInside(this.attempt) || this.#isFinished;
    Object.defineProperty(res, name, {
      configurable: true,
      get: (): unknown => {
        if (isLate()) return Reflect.get(this.#late, name);
        return accessor ? (accessor.get?.call(res) as unknown) : value;
      },
      set: (given: unknown) => {
        if (isLate()) Reflect.set(this.#late, name, given);
        else if (accessor) accessor.set?.call(res, given);
        else value = given;
      },
    });
  }
}

function accessorOf(target: object, name: string): PropertyDescriptor | undefined {
  for (let at: object | null = target; at; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, name);
    if (found) return found.get ? found : undefined;
  }
  return undefined;
}
