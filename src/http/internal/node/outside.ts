import { ServerResponse } from 'node:http';
import { isInside } from '../../../idempotency/current-attempt.js';
import type { Attempt } from '../../../core/attempt/attempt.js';

/** Whether a timeout or error middleware before the handler may have sent this status in place of the handler. */
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
 * An answer that comes from outside of the attempt while the handler works, for example from a timeout middleware. It goes to
 * the client unchanged. The handler sees a response on which nothing was sent, and can still answer: its answer is recorded for
 * the retry, and is not sent now.
 *
 * The async context shows who calls. Some callbacks lose it (those of connection pools, for example), so after the answer from
 * outside has ended, every caller counts as the handler.
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

  /** Whether the caller is probably the handler. */
  isHandler(): boolean {
    return isInside(this.attempt) || this.#hasEnded;
  }

  /** Starts a new late response, because what was written on it was not the handler's answer either. */
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
    const accessor = findAccessor(res, name);
    let value: unknown = accessor ? undefined : Reflect.get(res, name);
    // After the answer was sent, only the handler sees the late response: an access log gets what the client got.
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

function findAccessor(target: object, name: string): PropertyDescriptor | undefined {
  for (let at: object | null = target; at; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, name);
    if (found) return found.get ? found : undefined;
  }
  return undefined;
}
