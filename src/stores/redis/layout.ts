import { RECORD_FIELDS, type RecordField } from '../shared/record-fields.js';

/**
 * A record is one Redis string: a header of ASCII characters, then the steps, then the body. The header begins with the fields
 * of fixed width; the optional ones follow, `extra` characters of them in all. Where each field stands comes from
 * `record-fields.ts`.
 *
 * Every character counts: Redis rounds a value up to the next size of its allocator. With a payload of 20 bytes a record takes
 * about one and a half times the memory of a bare SET, and with 200 bytes a quarter more (`__tests__/stores/redis.test.ts`).
 *
 * The body of flag `p` is the prior's expiry (13 digits, ms) and the prior itself. Steps are lines of JSON,
 * `["name","payload"]`, or null without a value, between a line feed and an empty line.
 */
const fields: Readonly<Record<string, RecordField>> = RECORD_FIELDS;

type Fixed = {
  [Name in keyof typeof RECORD_FIELDS]: (typeof RECORD_FIELDS)[Name] extends { tag: string }
    ? never
    : (typeof RECORD_FIELDS)[Name] extends { redis: number }
      ? Name
      : never;
}[keyof typeof RECORD_FIELDS];

/** Where the fields of fixed width begin and end. */
export const PLACES = fieldPlaces();
/** How long they are together. */
export const FIXED_LENGTH = PLACES.extra[1];

/** Behind the fixed fields, where the previous attempt has ended somehow. */
export const PREVIOUS: readonly [number, number] = [
  FIXED_LENGTH,
  FIXED_LENGTH + RECORD_FIELDS.previous.redis,
];

/** The optional fields behind that, by their tags; undefined where three digits say how long it is. */
export const TAGS: Readonly<Record<string, number | undefined>> = Object.fromEntries(
  Object.values(fields).flatMap(({ tag, redis }) => (tag ? [[tag, redis]] : [])),
);
export const LENGTH_DIGITS = 3;
/** The longest optional field. */
export const LONGEST_EXTRA = 10 ** LENGTH_DIGITS - 1;

export const NO_TOKEN = '-'.repeat(RECORD_FIELDS.token.redis);

function fieldPlaces(): Record<Fixed, readonly [start: number, end: number]> {
  const places: Record<string, readonly [number, number]> = {};
  let end = 0;
  for (const [name, { redis, tag }] of Object.entries(fields)) {
    if (redis === undefined || tag !== undefined) continue;
    places[name] = [end, end + redis];
    end += redis;
  }
  return places;
}
