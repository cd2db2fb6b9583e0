import { StoreError, toStoreError } from './errors.js';
import { timerMs } from './timers.js';

const FIRST_RESEND_MS = 10;
const LONGEST_RESEND_MS = 250;

/**
 * One store call with its deadline (G8). A command whose connection broke is sent again until then, which is
 * safe because every command is idempotent by owner token (G2).
 * @throws IdempotencyError STORE_UNAVAILABLE at the deadline, or what the store said for certain
 */
export function callStore<T>(operation: string, command: () => Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let resendMs = FIRST_RESEND_MS;
    let resend: ReturnType<typeof setTimeout> | undefined;
    let lastError: Error | undefined;
    const deadline = setTimeout(() => {
      clearTimeout(resend);
      const why = lastError === undefined ? '' : `: ${lastError.message}`;
      const message = `the store did not ${operation} within ${timeoutMs} ms${why}`;
      reject(new StoreError('STORE_UNAVAILABLE', message, { cause: lastError, transient: true }));
      // Whatever fails from now on fails for nobody.
      resendMs = Infinity;
    }, timerMs(timeoutMs));
    const succeed = (value: T) => {
      clearTimeout(deadline);
      resolve(value);
    };
    const fail = (cause: unknown) => {
      const error = toStoreError(cause, operation);
      lastError = error;
      if (!(error instanceof StoreError && error.transient)) {
        clearTimeout(deadline);
        reject(error);
      } else if (resendMs < Infinity) {
        resend = setTimeout(send, resendMs);
        resendMs = Math.min(resendMs * 2, LONGEST_RESEND_MS);
      }
    };
    const send = () => {
      try {
        command().then(succeed, fail);
      } catch (error) {
        fail(error);
      }
    };
    send();
  });
}
