import { createHash } from 'node:crypto';
import { invalid, messageOf } from '../core/check.js';
import { CLOSE_TIMEOUT_MS } from '../core/options.js';
import { unrefTimeout } from '../core/timers.js';
import { warnThrough, type Logger } from '../idempotency/logging.js';
import { makeConsumer, type Closable, type Consumer } from './internal/consume.js';
import type { Delivery } from './internal/delivery.js';
import type { ConsumerOptions, WithDefaults } from './internal/options.js';

/** The part of an AMQP message that we use. */
export interface AmqpMessage {
  readonly properties: { readonly messageId?: unknown };
  readonly content: Uint8Array;
}

/** The part of an amqplib Channel that we call. */
export interface AmqpChannel<M extends AmqpMessage> {
  consume(queue: string, onMessage: (message: M | null) => void): Promise<{ readonly consumerTag: string }>;
  cancel(consumerTag: string): Promise<unknown>;
  ack(message: M): void;
  nack(message: M, allUpTo?: boolean, requeue?: boolean): void;
}

/**
 * The options of {@link consumeIdempotently}: a consumer's, where `name` is the queue by default, and `key` the
 * `message-id` property, without which a message is dropped. With that key the content is the `payload` by default: a message
 * that reuses the id of another one is dropped with KEY_REUSED, and not acknowledged as if it had been done.
 */
export type AmqpOptions<M extends AmqpMessage, R> = WithDefaults<ConsumerOptions<M, R>> & {
  /**
   * After this many attempts, failed and crashed ones, a message is dropped. AMQP counts none by itself, so that a
   * message that always fails would stay for ever.
   */
  maxAttempts: number;
};

/** A running consumer. */
export interface AmqpConsumer extends Closable {
  readonly consumerTag: string;
  /**
   * Cancels the consumer, gives back what waits to be given back, and waits for running messages, 10 s at most. The
   * channel stays open; what is still running then comes again when it is closed.
   */
  close(): Promise<void>;
}

/** A message is given back long before the broker (30 minutes) holds its consumer dead. */
const LONGEST_HOLD_MS = 60_000;

/**
 * Consumes a queue, and runs each message once: it is acknowledged when it is finished and recorded. One that failed,
 * or is running elsewhere, is held back and then requeued; meanwhile it counts for the channel's prefetch, which is
 * yours to set. One that is dropped is rejected without requeueing: **the queue needs a dead-letter exchange**, since
 * the broker discards it otherwise.
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
    // The digest, since a message may be larger than what is compared otherwise.
    payload: ({ content }) => createHash('sha256').update(content).digest('hex'),
    check({ maxAttempts }) {
      if (maxAttempts === undefined)
        throw invalid(`${where} needs maxAttempts: then a message goes to the dead letters`);
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
        'the broker cancelled the consumer, as when its queue is deleted: nothing is consumed any more',
      );
    if (this.#isClosing) return this.#requeue(message);
    const run = this.consume(message).then((delivery) => this.#finish(message, delivery));
    this.#running.add(run);
    void run.finally(() => this.#running.delete(run));
  }

  async close(consumerTag: string): Promise<void> {
    this.#isClosing = true;
    // Fails on a channel that is closed already, and then there is nothing to cancel.
    await this.channel.cancel(consumerTag).catch(() => undefined);
    for (const message of [...this.#held.keys()]) this.#requeue(message);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const bound = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)));
    await Promise.race([Promise.all(this.#running), bound]);
    clearTimeout(timer);
    // The broker answers on a channel in order: when it does, it has read our acknowledgements, which are not answered.
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

  // By a timer of ours, since AMQP has no delay: a delay queue would be a second copy of the message, published and
  // acknowledged in two steps. Should this process die, the message comes again at once.
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
      // A closed channel: the broker delivers again, and the record knows.
      this.#warn(`the broker could not be told: ${messageOf(error)}`);
    }
  }

  #warn(message: string): void {
    warnThrough(this.logger)(`twiceshy: ${message}`);
  }
}
