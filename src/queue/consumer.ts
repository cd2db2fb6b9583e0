import { makeConsumer, type Consumer } from './internal/consume.js';
import type { ConsumerOptions } from './internal/options.js';

export type { Closable, Consumer } from './internal/consume.js';
export type { Delivery } from './internal/delivery.js';
export type { ConsumerOptions } from './internal/options.js';

/**
 * Makes a consumer for a broker that has no adapter here. It runs the handler once for a message's key, and returns what the
 * caller must do with the delivery: acknowledge it, let it come again later, or drop it.
 *
 * @example
 * const consume = idempotentConsumer({ store, name: 'orders', key: (m: Order) => m.id, handler: charge });
 * const delivery = await consume(message); // { action: 'ack' | 'retry' | 'drop', ... }
 * @throws UsageError INVALID_OPTIONS at once; the consumer itself never rejects
 */
export function idempotentConsumer<M, R>(options: ConsumerOptions<M, R>): Consumer<M, R> {
  return makeConsumer('idempotentConsumer()', options);
}
