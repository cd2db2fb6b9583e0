import { isCorsHeader, type SavedAnswer } from './answer.js';

/** The answer with the Origin of its request, if it has CORS headers, which are valid for that Origin only. */
export function forOrigin(answer: SavedAnswer, origin: string | undefined): SavedAnswer {
  if (origin === undefined || !Object.keys(answer.headers).some(isCorsHeader)) return answer;
  return { ...answer, origin };
}

/** The recorded headers that a replay to this Origin may have. */
export function headersFor(
  { headers, origin: first }: Pick<SavedAnswer, 'headers' | 'origin'>,
  origin: string | undefined,
): SavedAnswer['headers'] {
  if (first === origin) return headers;
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isCorsHeader(name)));
}
