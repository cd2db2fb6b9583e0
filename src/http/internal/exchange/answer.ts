import { Buffer } from 'node:buffer';

/** An HTTP answer as it is recorded and replayed. */
export interface SavedAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** A text if the bytes are UTF-8, so that it is readable in the store. Undefined if the body was too large to keep. */
  readonly body: string | Uint8Array | undefined;
  /** The Origin of the first request, if the answer has CORS headers. */
  readonly origin?: string;
}

/** An answer that is sent in place of the handler's: a replay or a problem. */
export interface Answered extends SavedAnswer {
  readonly body: string | Uint8Array;
}

/** How the handler ended: with an answer, with an error, or in a way that leaves the outcome unknown. */
export type Handled =
  | {
      readonly answer: SavedAnswer;
      /** The error that the framework answered, if it is known. */
      readonly error?: unknown;
    }
  | { readonly error: unknown }
  /** It is not known whether the work took effect. */
  | { readonly unclear: Error };

/** Replayed by default: headers that describe the body, say what the client should do next, or what it may do with the body. */
const SAFE_HEADERS: readonly string[] = [
  ...['content-type', 'content-encoding', 'content-language', 'content-disposition', 'content-location'],
  ...['content-range', 'accept-ranges', 'content-digest', 'repr-digest', 'etag', 'last-modified', 'vary'],
  ...['link', 'location', 'refresh', 'retry-after', 'allow', 'preference-applied', 'deprecation', 'sunset'],
  // Security headers, so that a browser protects a replayed page like the first one.
  ...['content-security-policy', 'content-security-policy-report-only', 'x-content-type-options'],
  ...['x-frame-options', 'x-xss-protection', 'x-download-options', 'x-permitted-cross-domain-policies'],
  ...['referrer-policy', 'permissions-policy', 'strict-transport-security', 'origin-agent-cluster'],
  ...['cross-origin-opener-policy', 'cross-origin-embedder-policy', 'cross-origin-resource-policy'],
  ...['x-robots-tag', 'expires', 'pragma', 'no-vary-search'],
];
/** Headers for caches: the standard one, those for a single cache (RFC 9213), and older proprietary ones. */
const CACHE_CONTROL =
  /^(?:[a-z0-9-]+-)?cache-control$|^(?:surrogate-control|edge-control|x-accel-expires|cache-tag|surrogate-key)$/;
/** Never replayed: they belong to one connection, one moment or one person, or are computed again. */
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

/** CORS headers are valid for one Origin. */
export const isCorsHeader = (name: string): boolean => name.startsWith('access-control-');

/** A function that says which headers are recorded. @param more lower-case names, besides the default ones */
export function headerFilter(more: readonly string[]): (name: string) => boolean {
  const kept = new Set([...SAFE_HEADERS, ...more]);
  return (name) => kept.has(name) || isCorsHeader(name) || CACHE_CONTROL.test(name);
}

type HeaderValue = string | readonly string[];

/** The headers of an answer that are recorded. @param all lower-case names */
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
 * Adds `Cache-Control: private`. Shared caches do not store an answer that sets a cookie. A replay lacks the cookie, so without
 * this they would store it.
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

/** Answers with these statuses have no body, whatever the handler wrote. */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** Whether a recorded value is an HTTP answer. The headers may be missing if the key was resolved by hand. */
export function isSavedAnswer(value: unknown): value is Omit<SavedAnswer, 'headers'> & Partial<SavedAnswer> {
  return typeof value === 'object' && value !== null && 'status' in value && typeof value.status === 'number';
}

const TEXT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A copy of a body up to a limit. If the body is longer, nothing is kept. */
export class BodyCopy {
  #chunks: Uint8Array[] | undefined = [];
  #size = 0;

  constructor(private readonly maxBytes: number) {}

  /** Whether everything so far was copied. */
  get isWhole(): boolean {
    return this.#chunks !== undefined;
  }

  add(bytes: Uint8Array): void {
    if (!this.#chunks) return;
    this.#size += bytes.length;
    if (this.#size > this.maxBytes) this.#chunks = undefined;
    // Copied, because the writer may reuse the buffer.
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
