import { Buffer } from 'node:buffer';
import type { Notes } from '../../core/record.js';
import { RECORD_FIELDS } from '../shared/record-fields.js';
import { FIXED_LENGTH, LENGTH_DIGITS, LONGEST_EXTRA, PLACES, PREVIOUS, TAGS } from './layout.js';

/** The optional fields of a header. */
export interface Extras extends Notes {
  readonly previous?: string | undefined;
  readonly fingerprint?: string | undefined;
  readonly started?: number | undefined;
  readonly created?: number | undefined;
}

const NONE: Extras = {};
const { fingerprint, started, created, traceparent, holder, facts } = RECORD_FIELDS;
const ASCII = /^[ -~]*$/;

/** The optional fields as text; undefined where one of them is too long. */
export function extrasText(
  extras: Pick<Extras, 'previous' | 'fingerprint' | 'started' | 'created'> & { notes?: Notes | undefined },
): string | undefined {
  let text = extras.previous ?? '';
  if (extras.fingerprint !== undefined) text += fingerprint.tag + extras.fingerprint;
  if (extras.started !== undefined) text += started.tag + time(extras.started);
  if (extras.created !== undefined) text += created.tag + time(extras.created);
  return extras.notes ? withNotes(text, extras.notes) : text;
}

function withNotes(text: string, notes: Notes): string | undefined {
  const given: [string, string | undefined][] = [
    [traceparent.tag, notes.traceparent],
    [holder.tag, notes.holder],
    [facts.tag, notes.facts],
  ];
  let all = text;
  for (const [tag, note] of given) {
    if (note === undefined) continue;
    // The scripts count bytes and we count characters: what is not ASCII is written as base64, under the tag in lower case.
    const isAscii = ASCII.test(note);
    const written = isAscii ? note : Buffer.from(note).toString('base64url');
    if (written.length > LONGEST_EXTRA) return undefined;
    all +=
      (isAscii ? tag : tag.toLowerCase()) + String(written.length).padStart(LENGTH_DIGITS, '0') + written;
  }
  return all;
}

const time = (ms: number): string => String(ms).padStart(started.redis, '0');

/** Reads the optional fields of a record or of a header. A tag that is not known is passed over. */
export function readExtras(raw: string): Extras {
  const end = FIXED_LENGTH + Number(raw.slice(PLACES.extra[0], PLACES.extra[1]));
  if (end === FIXED_LENGTH) return NONE;
  const found: Record<string, string> = {};
  const hasPrevious = raw[PLACES.ended[0]] !== '-';
  let at = hasPrevious ? PREVIOUS[1] : FIXED_LENGTH;
  while (at < end) {
    const tag = raw[at]!;
    const width = TAGS[tag];
    const from = width === undefined ? at + 1 + LENGTH_DIGITS : at + 1;
    const to = from + (width ?? Number(raw.slice(at + 1, from)));
    // A length that is no number would never end.
    if (!(to > at)) break;
    found[tag] = raw.slice(from, to);
    at = to;
  }
  return {
    previous: hasPrevious ? raw.slice(PREVIOUS[0], PREVIOUS[1]) : undefined,
    fingerprint: found[fingerprint.tag],
    started: parseNumber(found[started.tag]),
    created: parseNumber(found[created.tag]),
    traceparent: readNote(found, traceparent.tag),
    holder: readNote(found, holder.tag),
    facts: readNote(found, facts.tag),
  };
}

const parseNumber = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Number(text);

function readNote(found: Readonly<Record<string, string>>, tag: string): string | undefined {
  const coded = found[tag.toLowerCase()];
  return found[tag] ?? (coded === undefined ? undefined : Buffer.from(coded, 'base64url').toString());
}
