import { UsageError } from '../core/errors.js';

/** How instances of one class are written and come back. Subclasses need a codec of their own. */
export interface ClassCodec<T = unknown> {
  /** Stands in every record: keep it when the class is renamed. */
  readonly name: string;
  readonly type: abstract new (...args: never[]) => T;
  /** The data that `decode` needs; it may hold Dates, Maps, and instances of registered classes. */
  encode(value: T): unknown;
  decode(data: unknown): T;
}

/** A class codec with the type of its values inferred from `type`. */
export function classCodec<T>(codec: ClassCodec<T>): ClassCodec<T> {
  return codec;
}

/** @throws UsageError `INVALID_OPTIONS` for an incomplete codec, or two for one name or class. */
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
