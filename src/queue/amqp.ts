import { createHash } from 'node:crypto';
import { invalid, errorMessage } from '../core/check.js';
import { CLOSE_TIMEOUT_MS } from '../core/options.js';
import { unrefTimeout } from '../core/timers.js';
import { warnThrough, type Logger } from '../idempotency/logging.js';
import { makeConsumer, type Closable, type Consumer } from './internal/consume.js';
import type { Delivery } from './internal/delivery.js';
import type { ConsumerOptions, WithDefaults } from './internal/options.js';

/** The members of an AMQP message that are used here. */
export interface AmqpMessage {
  readonly properties: { readonly messageId?: unknown };
  readonly content: Uint8Array;
}

/** The methods of an amqplib Channel that are called here. */
export interface AmqpChannel<M extends AmqpMessage> {
  consume(queue: string, onMessage: (message: M | null) => void): Promise<{ readonly consumerTag: string }>;
  cancel(consumerTag: string): Promise<unknown>;
  ack(message: M): void;
  nack(message: M, allUpTo?: boolean, requeue?: boolean): void;
}

/**
 * The options of {@link consumeIdempotently}: those of a consumer. By default `name` is the queue, and `key` is the `message-id`
 * property; a message without one is dropped. With the default key, the content is the default `payload`: a message that reuses
 * the id of another one is dropped with KEY_REUSED, and not acknowledged as if it had been processed.
 */
export type AmqpOptions<M extends AmqpMessage, R> = WithDefaults<ConsumerOptions<M, R>> & {
  /**
   * After this many attempts, failed or crashed, a message is dropped. Required because AMQP does not count attempts: a message
   * that always fails would be requeued for ever.
   */
  maxAttempts: number;
};

/** A running consumer. */
export interface AmqpConsumer extends Closable {
  readonly consumerTag: string;
  /**
   * Cancels the consumer, requeues the messages that are held back, and waits at most 10 s for running ones. The channel stays
   * open. When it is closed, the broker delivers messages that still run again.
   */
  close(): Promise<void>;
}

/** The longest that a message is held back: much shorter than the 30 minutes after which the broker closes the channel. */
const LONGEST_HOLD_MS = 60_000;

/**
 * Consumes a queue and runs each message once. A message is acknowledged after it has finished and its outcome is recorded. A
 * message that failed, or runs elsewhere, is held back and then requeued; meanwhile it counts towards the channel's prefetch,
 * which you set. A dropped message is rejected without requeueing: **the queue needs a dead-letter exchange**, or the broker
 * discards it.
 *
 * @throws UsageError INVALID_OPTIONS
 */
export async function consumeIdempotently<M extends AmqpMessage, R>(
  channel: AmqpChannel<M>,
  queue: string,
  options: AmqpOptions<M, R>,
): Promise<AmqpConsumer> {
  const where = 'consumeIdempotently()';
  const key = (message: M) => message.properties.messageId as string | undefined;
  const consume = makeConsumer<M, R>(where, options as ConsumerOptions<M, R>, {
    name: queue,
    key,
    // A digest, because a message may be larger than a payload may be.
    payload: ({ content }) => createHash('sha256').update(content).digest('hex'),
    check({ maxAttempts }) {
      if (maxAttempts === undefined)
        throw invalid(`${where} needs maxAttempts: after so many attempts a message is dead-lettered`);
    },
  });
  const consumption = new Consumption(channel, consume, consume.logger);
  const { consumerTag } = await channel.consume(queue, (message) => consumption.take(message));
  const { idempotency } = consume;
  let closed: Promise<void> | undefined;
  return { consumerTag, idempotency, close: () => (closed ??= consumption.close(consumerTag)) };
}

class Consumption<M extends AmqpMessage, R> {
  readonly #running = new Set<Promise<void>>();
  readonly #held = new Map<M, ReturnType<typeof setTimeout>>();
  #isClosing = false;

  constructor(
    private readonly channel: AmqpChannel<M>,
    private readonly consume: Consumer<M, R>,
    private readonly logger: Logger | undefined,
  ) {}

  take(message: M | null): void {
    if (message === null)
      return this.#warn(
        'the broker cancelled the consumer (for example because its queue was deleted): no messages are consumed any more',
      );
    if (this.#isClosing) return this.#requeue(message);
    const run = this.consume(message).then((delivery) => this.#finish(message, delivery));
    this.#running.add(run);
    void run.finally(() => this.#running.delete(run));
  }

  async close(consumerTag: string): Promise<void> {
    this.#isClosing = true;
    // Fails on a channel that is closed already. Then there is nothing to cancel.
    await this.channel.cancel(consumerTag).catch(() => undefined);
    for (const message of [...this.#held.keys()]) this.#requeue(message);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const bound = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)));
    await Promise.race([Promise.all(this.#running), bound]);
    clearTimeout(timer);
    // The broker handles a channel in order. Acknowledgements get no answer, but after the answer to this call they were read.
    await this.channel.cancel(consumerTag).catch(() => undefined);
    await this.consume.close();
  }

  #finish(message: M, delivery: Delivery<R>): void {
    switch (delivery.action) {
      case 'ack':
        return this.#tell(() => this.channel.ack(message));
      case 'drop':
        return this.#tell(() => this.channel.nack(message, false, false));
      case 'retry':
        return this.#hold(message, delivery.delayMs);
    }
  }

  // By a timer, because AMQP has no delay. A delay queue would need a second copy of the message, published and acknowledged in
  // two steps. If this process dies, the broker delivers the message again at once.
  #hold(message: M, delayMs: number): void {
    if (this.#isClosing) return this.#requeue(message);
    const timer = unrefTimeout(() => this.#requeue(message), Math.min(delayMs, LONGEST_HOLD_MS));
    this.#held.set(message, timer);
  }

  #requeue(message: M): void {
    clearTimeout(this.#held.get(message));
    this.#held.delete(message);
    this.#tell(() => this.channel.nack(message, false, true));
  }

  #tell(command: () => void): void {
    try {
      command();
    } catch (error) {
      // The channel is closed: the broker delivers the message again, and the record says that it was processed.
      this.#warn(`the broker could not be reached: ${errorMessage(error)}`);
    }
  }

  #warn(message: string): void {
    warnThrough(this.logger)(`twiceshy: ${message}`);
  }
}
