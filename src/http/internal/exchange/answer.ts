import { Buffer } from 'node:buffer';

/** An HTTP answer as it is recorded and replayed. */
export interface SavedAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Text where the bytes are UTF-8, which is readable in the store; undefined when it was too large to keep. */
  readonly body: string | Uint8Array | undefined;
  /** The Origin that the first request named, where the answer has CORS headers. */
  readonly origin?: string;
}

/** An answer that we write ourselves: a replay, or a problem. */
export interface Answered extends SavedAnswer {
  readonly body: string | Uint8Array;
}

/** What the handler came to: its answer, what it broke off with, or that nobody can say. */
export type Handled =
  | {
      readonly answer: SavedAnswer;
      /** What the framework made this answer of, where it tells. */
      readonly error?: unknown;
    }
  | { readonly error: unknown }
  /** Whether there was an effect is not known. */
  | { readonly unclear: Error };

/** Replayed unless told otherwise: what describes the body, what the client is to do next, and what it may do with it. */
const SAFE_HEADERS: readonly string[] = [
  ...['content-type', 'content-encoding', 'content-language', 'content-disposition', 'content-location'],
  ...['content-range', 'accept-ranges', 'content-digest', 'repr-digest', 'etag', 'last-modified', 'vary'],
  ...['link', 'location', 'refresh', 'retry-after', 'allow', 'preference-applied', 'deprecation', 'sunset'],
  // A browser protects a replayed page as it does the first one.
  ...['content-security-policy', 'content-security-policy-report-only', 'x-content-type-options'],
  ...['x-frame-options', 'x-xss-protection', 'x-download-options', 'x-permitted-cross-domain-policies'],
  ...['referrer-policy', 'permissions-policy', 'strict-transport-security', 'origin-agent-cluster'],
  ...['cross-origin-opener-policy', 'cross-origin-embedder-policy', 'cross-origin-resource-policy'],
  ...['x-robots-tag', 'expires', 'pragma', 'no-vary-search'],
];
/** What tells caches what they may keep: the standard one, those for one cache (RFC 9213), and what came before it. */
const CACHE_CONTROL =
  /^(?:[a-z0-9-]+-)?cache-control$|^(?:surrogate-control|edge-control|x-accel-expires|cache-tag|surrogate-key)$/;
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
  ...['trailer', 'transfer-encoding', 'upgrade', 'content-length', 'date'],
  ...['idempotency-key', 'idempotency-replayed', 'idempotent-replayed'],
];

/** They are for one Origin. */
export const isCorsHeader = (name: string): boolean => name.startsWith('access-control-');

/** Which headers are recorded. @param more lower-case names besides the safe ones */
export function headerFilter(more: readonly string[]): (name: string) => boolean {
  const kept = new Set([...SAFE_HEADERS, ...more]);
  return (name) => kept.has(name) || isCorsHeader(name) || CACHE_CONTROL.test(name);
}

type HeaderValue = string | readonly string[];

/** The headers that are recorded of all that an answer has. @param all lower-case names */
export function savedHeaders(
  all: Iterable<readonly [string, number | HeaderValue | undefined]>,
  keeps: (name: string) => boolean,
): Record<string, HeaderValue> {
  const saved: Record<string, HeaderValue> = {};
  let hasCookie = false;
  for (const [name, value] of all) {
    if (value === undefined) continue;
    if (name === 'set-cookie') hasCookie = true;
    if (keeps(name)) saved[name] = Array.isArray(value) ? value.map(String) : String(value);
  }
  return hasCookie ? keptPrivate(saved) : saved;
}

/**
 * Shared caches do not keep an answer that sets a cookie. Without its cookie, they would keep the replay: so it says in
 * words that it is for one person.
 */
function keptPrivate(headers: Readonly<Record<string, HeaderValue>>): Record<string, HeaderValue> {
  const others = Object.entries(headers).filter(
    ([name]) => name === 'cache-control' || !CACHE_CONTROL.test(name),
  );
  const said = String(headers['cache-control'] ?? '');
  if (/(?:^|[\s,])(?:no-store|private)(?:$|[\s,])/i.test(said)) return Object.fromEntries(others);
  const kept = said.split(',').filter((part) => !/^\s*(?:public|s-maxage=.*)?\s*$/i.test(part));
  const words = [...kept.map((part) => part.trim()), 'private'].join(', ');
  return { ...Object.fromEntries(others), 'cache-control': words };
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
