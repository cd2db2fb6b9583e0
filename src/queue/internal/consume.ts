import type { Idempotency } from '../../idempotency/api.js';
import { answerInTime, LateAnswer } from '../../core/ask.js';
import { errorMessage, show, something } from '../../core/check.js';
import { isIdempotencyError, UsageError } from '../../core/errors.js';
import type { Answer } from '../../core/outcome.js';
import { inLogs, warnThrough, type Logger } from '../../idempotency/logging.js';
import { toReconcile, toWork } from '../../idempotency/outcomes.js';
import { afterRefusal, toDelivery, type Delivery, type Terms } from './delivery.js';
import { consumerSettings, type ConsumerOptions, type BrokerDefaults } from './options.js';

/** Runs a message unless it was processed before, and returns what to do with it. Never rejects. */
export interface Consumer<M, R> extends Closable {
  (message: M): Promise<Delivery<R>>;
}

export interface Closable {
  /** For `get`, `resolve`, `forget`, `stats` and `on`. */
  readonly idempotency: Idempotency;
  /**
   * Refuses new messages (they come again), and waits at most 10 s for running ones and unrecorded results. If you passed
   * `idempotency`, this does nothing: close that instance yourself.
   */
  close(): Promise<void>;
}

/** For the adapters: with the logger that is in effect. */
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
  broker: BrokerDefaults<M> = {},
): LoggingConsumer<M, R> {
  const settings = consumerSettings(where, given, broker);
  const { options, idempotency, runtime, isOwn, policy, rule, remember, retryDelayMs } = settings;
  const { handler, onAbandoned: reconcile } = options;
  const { leaseMs, maxAttempts } = policy;
  const terms: Terms = {
    ...{ leaseMs, retryDelayMs, maxAttempts },
    decode: (record) => runtime.decode(record),
  };

  const ask = async (message: M): Promise<Answer<R>> => {
    const identity = await messageIdentity(message, options);
    return runtime.answer<R>({
      ...identity,
      policy,
      onDuplicate: 'replay',
      onAbandoned: rule,
      signal: undefined,
      work: toWork<R>((attempt) => handler(message, attempt), remember, rule),
      reconcile:
        typeof reconcile === 'function'
          ? toReconcile<R>((attempt) => reconcile(message, attempt))
          : undefined,
    });
  };
  const deliver = async (message: M): Promise<Delivery<R>> => {
    try {
      return toDelivery(await ask(message), terms);
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
      // onDrop failed to keep the message: it comes again, so that it is not lost.
      return { action: 'retry', delayMs: retryDelayMs, failed: false, error };
    }
  };
  const close = async () => (isOwn ? idempotency.close() : undefined);
  return Object.assign(consume, { idempotency, close, logger: options.logger });
}

/**
 * What identifies the record of a message. All parts come from the user's functions.
 * @throws UsageError INVALID_KEY if one of them throws, because it would throw for the same message again
 */
async function messageIdentity<M, R>(
  message: M,
  { key, name, scope, prefix, payload }: ConsumerOptions<M, R>,
) {
  try {
    return {
      key: await answerInTime('key()', () => key(message)),
      name: typeof name === 'function' ? name(message) : name,
      // A missing tenant is refused, so that its messages do not share records with those that have no tenant.
      scope: typeof scope === 'function' ? something('scope', scope(message)) : scope,
      prefix,
      payload: payload && something('payload', payload(message)),
    };
  } catch (error) {
    if (isIdempotencyError(error)) throw error;
    const why = `a function for key, name, scope or payload threw: ${errorMessage(error)}`;
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
  if (onDrop) return void (await answerInTime('onDrop()', () => onDrop(message, error)));
  const { name, key } = await messageLabel(message, options);
  const told = inLogs({ name, key: typeof key === 'string' ? key : show(key), error }, keysInLogs);
  const what = `the message ${show(told.key)} of ${show(told.name)}`;
  warnThrough(logger)(`twiceshy: ${where}: ${what} is dropped: ${errorMessage(told.error)}`, told);
}

/** The name and the key of a message for a warning. A function that throws gives undefined. */
async function messageLabel<M, R>(message: M, { key, name }: ConsumerOptions<M, R>) {
  const told = async (ask: () => unknown): Promise<unknown> => {
    try {
      return await answerInTime('it', ask);
    } catch {
      return undefined;
    }
  };
  return {
    name: await told(() => (typeof name === 'function' ? name(message) : name)),
    key: await told(() => key(message)),
  };
}
