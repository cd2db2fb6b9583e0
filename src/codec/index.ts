export { createCodec, type Codec, type CodecOptions } from './codec.js';
export { classCodec, type ClassCodec } from './class-codec.js';
export { DroppedMembers } from './dropped.js';
export { encodeFailure } from './failure.js';
export { UnencodableError } from './unencodable.js';
export type { Redact, RedactFacts } from './redact.js';
