/** What of an answer depends on the Origin that it was given to. */
export interface OfOrigin {
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** The Origin that the first request named, where the answer has CORS headers. */
  readonly origin?: string;
}

const PREFIX = 'access-control-';
export const isCorsHeader = (name: string): boolean => name.startsWith(PREFIX);

/** The answer with the Origin that it was given to, where that matters: its CORS headers are for this Origin alone. */
export function forOrigin<Saved extends OfOrigin>(answer: Saved, origin: string | undefined): Saved {
  if (origin === undefined || !Object.keys(answer.headers).some(isCorsHeader)) return answer;
  return { ...answer, origin };
}

/** The recorded headers that a replay to this Origin may carry. */
export function headersFor(
  { headers, origin: first }: OfOrigin,
  origin: string | undefined,
): OfOrigin['headers'] {
  if (first === origin) return headers;
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isCorsHeader(name)));
}
