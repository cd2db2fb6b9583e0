import type { Idempotency } from '../../idempotency/api.js';
import { answerOf, LateAnswer } from '../../core/ask.js';
import { messageOf, show, something } from '../../core/check.js';
import { isIdempotencyError, UsageError } from '../../core/errors.js';
import type { Answer } from '../../core/outcome.js';
import { inLogs, warnThrough, type Logger } from '../../idempotency/logging.js';
import { reconcileOf, workOf } from '../../idempotency/outcomes.js';
import { afterRefusal, deliveryOf, type Delivery, type Terms } from './delivery.js';
import { consumerSettings, type ConsumerOptions, type OfBroker } from './options.js';

/** Runs a message, or does not, and says what is to become of it. Never rejects. */
export interface Consumer<M, R> extends Closable {
  (message: M): Promise<Delivery<R>>;
}

export interface Closable {
  /** The engine: `get`, `resolve`, `forget`, `stats`, `on`. */
  readonly idempotency: Idempotency;
  /**
   * Refuses new messages (they come again), and waits for running ones and unrecorded results, 10 s at most. Where
   * `idempotency` was given, that one is yours to close, and this does nothing.
   */
  close(): Promise<void>;
}

/** For the adapters: with the logger that its options came to. */
interface LoggingConsumer<M, R> extends Consumer<M, R> {
  readonly logger: Logger | undefined;
}

/**
 * @param where whose options these are, for messages
 * @throws UsageError INVALID_OPTIONS
 */
export function makeConsumer<M, R>(
  where: string,
  given: ConsumerOptions<M, R>,
  broker: OfBroker<M> = {},
): LoggingConsumer<M, R> {
  const settings = consumerSettings(where, given, broker);
  const { options, idempotency, adapter, isOwn, policy, rule, remember, retryDelayMs } = settings;
  const { handler, onAbandoned: reconcile } = options;
  const { leaseMs, maxAttempts } = policy;
  const terms: Terms = {
    ...{ leaseMs, retryDelayMs, maxAttempts },
    decode: (record) => adapter.decode(record),
  };

  const ask = async (message: M): Promise<Answer<R>> => {
    const identity = await identityOf(message, options);
    return adapter.answer<R>({
      ...identity,
      policy,
      onDuplicate: 'replay',
      onAbandoned: rule,
      signal: undefined,
      work: workOf<R>((attempt) => handler(message, attempt), remember, rule),
      reconcile:
        typeof reconcile === 'function'
          ? reconcileOf<R>((attempt) => reconcile(message, attempt))
          : undefined,
    });
  };
  const deliver = async (message: M): Promise<Delivery<R>> => {
    try {
      return deliveryOf(await ask(message), terms);
    } catch (error) {
      // The next time it may answer.
      const isHopeless = isIdempotencyError(error) && !(error instanceof LateAnswer);
      return afterRefusal(isHopeless ? error.code : undefined, error, terms);
    }
  };
  const consume = async (message: M): Promise<Delivery<R>> => {
    const delivery = await deliver(message);
    if (delivery.action !== 'drop') return delivery;
    try {
      await announceDrop(where, options, message, delivery.error);
      return delivery;
    } catch (error) {
      // Whoever was to keep it could not: it must not be lost.
      return { action: 'retry', delayMs: retryDelayMs, failed: false, error };
    }
  };
  const close = async () => (isOwn ? idempotency.close() : undefined);
  return Object.assign(consume, { idempotency, close, logger: options.logger });
}

/**
 * Which record a message is about. All of it comes from functions of the user's.
 * @throws UsageError INVALID_KEY when one of them throws: the same message would make it throw again
 */
async function identityOf<M, R>(message: M, { key, name, scope, prefix, payload }: ConsumerOptions<M, R>) {
  try {
    return {
      key: await answerOf('key()', () => key(message)),
      name: typeof name === 'function' ? name(message) : name,
      // A tenant that is missing must not become the one without a tenant.
      scope: typeof scope === 'function' ? something('scope', scope(message)) : scope,
      prefix,
      payload: payload && something('payload', payload(message)),
    };
  } catch (error) {
    if (isIdempotencyError(error)) throw error;
    const why = `a function that says which record a message is about threw: ${messageOf(error)}`;
    throw new UsageError('INVALID_KEY', why, { cause: error });
  }
}

async function announceDrop<M, R>(
  where: string,
  options: ConsumerOptions<M, R>,
  message: M,
  error: unknown,
): Promise<void> {
  const { onDrop, logger, keysInLogs } = options;
  if (onDrop) return void (await answerOf('onDrop()', () => onDrop(message, error)));
  const { name, key } = await labelOf(message, options);
  const told = inLogs({ name, key: typeof key === 'string' ? key : show(key), error }, keysInLogs);
  const what = `the message ${show(told.key)} of ${show(told.name)}`;
  warnThrough(logger)(`twiceshy: ${where}: ${what} is given up: ${messageOf(told.error)}`, told);
}

/** Which message it is, as far as the functions that say so do not throw. */
async function labelOf<M, R>(message: M, { key, name }: ConsumerOptions<M, R>) {
  const told = async (ask: () => unknown): Promise<unknown> => {
    try {
      return await answerOf('it', ask);
    } catch {
      return undefined;
    }
  };
  return {
    name: await told(() => (typeof name === 'function' ? name(message) : name)),
    key: await told(() => key(message)),
  };
}
