import { StoreError, toStoreError, wasNeverSent, type IdempotencyError } from './errors.js';
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
    // Of all its sendings so far, the one under way included.
    let neverSent = true;
    let isUnderWay = false;
    const deadline = setTimeout(() => {
      clearTimeout(resend);
      const why = lastError === undefined ? '' : `: ${lastError.message}`;
      const message = `the store did not ${operation} within ${timeoutMs} ms${why}`;
      const details = { cause: lastError, transient: true, neverSent: neverSent && !isUnderWay };
      reject(new StoreError('STORE_UNAVAILABLE', message, details));
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
      isUnderWay = false;
      const wasSentBefore = !neverSent;
      neverSent &&= wasNeverSent(error);
      if (!(error instanceof StoreError && error.transient)) {
        clearTimeout(deadline);
        reject(wasSentBefore && wasNeverSent(error) ? maybeSent(error) : error);
      } else if (resendMs < Infinity) {
        resend = setTimeout(send, resendMs);
        resendMs = Math.min(resendMs * 2, LONGEST_RESEND_MS);
      }
    };
    const send = () => {
      isUnderWay = true;
      try {
        command().then(succeed, fail);
      } catch (error) {
        fail(error);
      }
    };
    send();
  });
}

/** The last sending was never sent, but one before it may have been. */
function maybeSent(error: IdempotencyError): StoreError {
  return new StoreError('STORE_UNAVAILABLE', error.message, { cause: error });
}
