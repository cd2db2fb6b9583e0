import { UsageError } from '../core/errors.js';

/** How instances of one class are recorded and restored. Subclasses need their own codec. */
export interface ClassCodec<T = unknown> {
  /** Part of every record that holds an instance: keep it when you rename the class. */
  readonly name: string;
  readonly type: abstract new (...args: never[]) => T;
  /** Returns the data that `decode` needs. It may contain Dates, Maps and instances of registered classes. */
  encode(value: T): unknown;
  decode(data: unknown): T;
}

/**
 * Declares a class codec. It returns what it is given, with the type of the values inferred from `type`.
 *
 * @example
 * const money = classCodec({
 *   name: 'Money',
 *   type: Money,
 *   encode: (value) => ({ cents: value.cents, currency: value.currency }),
 *   decode: (data) => Money.from(data as { cents: number; currency: string }),
 * });
 * createIdempotency({ store, codec: { classes: [money] } });
 */
export function classCodec<T>(codec: ClassCodec<T>): ClassCodec<T> {
  return codec;
}

/** @throws UsageError `INVALID_OPTIONS` for an incomplete codec, or two codecs with one name or class */
export function checkClassCodecs(codecs: readonly ClassCodec[]): void {
  for (const [index, codec] of codecs.entries()) {
    const { name, type, encode, decode } = (codec ?? {}) as Partial<ClassCodec>;
    const complete = name && [type, encode, decode].every((part) => typeof part === 'function');
    const first = codecs.findIndex((other) => other?.name === name || other?.type === type);
    if (complete && typeof name === 'string' && first === index) continue;
    throw new UsageError(
      'INVALID_OPTIONS',
      `classes[${index}] lacks its name, type (the class), encode or decode, or repeats a name or type`,
    );
  }
}
