/** An HTTP answer as it is recorded and replayed. */
export interface SavedAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Text where the bytes are UTF-8, which is readable in the store; undefined when it was too large to keep. */
  readonly body: string | Uint8Array | undefined;
}

/** An answer that we write ourselves: a replay, or a problem. */
export interface Answered extends SavedAnswer {
  readonly body: string | Uint8Array;
}

/** What the handler came to: its answer, or what it broke off with. */
export type Handled = { readonly answer: SavedAnswer } | { readonly error: unknown };

/** Replayed unless told otherwise: what describes the body, and what the client is to do next. */
const SAFE_HEADERS: readonly string[] = [
  ...['content-type', 'content-encoding', 'content-language', 'content-disposition', 'content-location'],
  ...['cache-control', 'etag', 'expires', 'last-modified', 'link', 'location', 'retry-after', 'vary'],
];
/** Never replayed: they belong to one connection, one moment or one person, or are computed anew. */
export const NEVER_REPLAYED: readonly string[] = [
  ...[
    'set-cookie',
    'set-cookie2',
    'authorization',
    'proxy-authorization',
    'www-authenticate',
    'proxy-authenticate',
  ],
  ...[
    'authentication-info',
    'proxy-authentication-info',
    'connection',
    'keep-alive',
    'proxy-connection',
    'te',
  ],
  ...['trailer', 'transfer-encoding', 'upgrade', 'content-length', 'date', 'idempotency-replayed'],
];

/** Which headers are recorded. @param more lower-case names besides the safe ones */
export function headerFilter(more: readonly string[]): (name: string) => boolean {
  const kept = new Set([...SAFE_HEADERS, ...more]);
  return (name) => kept.has(name);
}

/** Answers with these have no body, whatever the handler gave. */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** A person who resolves a key by hand may leave the headers out. */
export function isSavedAnswer(value: unknown): value is Omit<SavedAnswer, 'headers'> & Partial<SavedAnswer> {
  return typeof value === 'object' && value !== null && 'status' in value && typeof value.status === 'number';
}

const TEXT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A copy of a body, up to a limit; over it, nothing is kept. */
export class BodyCopy {
  #chunks: Uint8Array[] | undefined = [];
  #size = 0;

  constructor(private readonly maxBytes: number) {}

  /** Whether all of it is here so far. */
  get isWhole(): boolean {
    return this.#chunks !== undefined;
  }

  add(bytes: Uint8Array): void {
    if (!this.#chunks) return;
    this.#size += bytes.length;
    if (this.#size > this.maxBytes) this.#chunks = undefined;
    // Copied: whoever wrote it may use the buffer again.
    else if (bytes.length > 0) this.#chunks.push(Uint8Array.from(bytes));
  }

  bytes(): Uint8Array | undefined {
    return this.#chunks && Buffer.concat(this.#chunks);
  }

  toSave(): string | Uint8Array | undefined {
    const bytes = this.bytes();
    if (!bytes) return undefined;
    try {
      return TEXT.decode(bytes);
    } catch {
      return bytes;
    }
  }
}
