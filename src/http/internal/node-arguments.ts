export type Callback = (error?: Error | null) => void;

/** The arguments of `write` and `end`: (chunk?, encoding?, callback?), each of which may be left out. */
export function readArguments(args: readonly unknown[]): {
  chunk: unknown;
  encoding: BufferEncoding | undefined;
  callback: Callback | undefined;
} {
  const callback = args.find((arg) => typeof arg === 'function') as Callback | undefined;
  const [chunk, encoding] = args.filter((arg) => typeof arg !== 'function');
  return { chunk, encoding: (encoding ?? undefined) as BufferEncoding | undefined, callback };
}

/** Undefined for what can't be written. */
export function toBytes(chunk: unknown, encoding: BufferEncoding | undefined): Buffer | undefined {
  if (typeof chunk === 'string') return Buffer.from(chunk, encoding);
  if (Buffer.isBuffer(chunk)) return chunk;
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return undefined;
}
