import { anotherIdentity, StoreError, UsageError } from '../../core/errors.js';
import {
  NO_STEPS,
  type AbandonedRule,
  type Grant,
  type Lease,
  type RecordedStep,
  type StoredRecord,
  type StoreKey,
} from '../../core/record.js';
import type { ClaimAnswer, ClaimRequest, Settlement } from '../../core/store.js';

/**
 * A record is one Redis string: a header of 114 ASCII characters in fixed places, then the payload.
 *
 * | field | width | content |
 * |---|---|---|
 * | version | 1 | `1` |
 * | status | 1 | `P` in progress, `C` completed, `F` failed and final, `R` failed and retryable, `T` tombstone |
 * | rule | 1 | onAbandoned: `r` retry, `c` reconcile, `b` block |
 * | flags | 1 | the body: `v` payload, `n` nothing, `p` (on `P`) the prior record; upper case with steps in front of it |
 * | ended | 1 | how the previous attempt ended: `-` none, `s` settled, `a` abandoned, `w` withdrawn |
 * | digest | 6 | of the namespace: tells apart identities whose addresses read the same |
 * | fence | 16 | decimal |
 * | attempt | 4 | decimal, stops at 9999 |
 * | failures | 3 | base 36 |
 * | token, previous | 16, 16 | owner tokens; dashes for none |
 * | time | 13 | ms: the lease's end while `P`, else when it was settled |
 * | created | 13 | ms |
 * | hits | 6 | decimal, stops at 999999 |
 * | fingerprint | 16 | dashes for none |
 *
 * 114 is no accident: with a payload of 200 bytes the value just fits jemalloc's class of 320 bytes, which keeps a
 * record within 1.3 times a bare SET. The body of flag `p` is the prior's expiry (13 digits, ms) and the prior itself.
 * Steps are lines of JSON, `["name","payload"]`, or null without a value, between a line feed and an empty line.
 */
export const FIELDS = {
  version: [0, 1],
  status: [1, 2],
  rule: [2, 3],
  flags: [3, 4],
  ended: [4, 5],
  digest: [5, 11],
  fence: [11, 27],
  attempt: [27, 31],
  failures: [31, 34],
  token: [34, 50],
  previous: [50, 66],
  time: [66, 79],
  created: [79, 92],
  hits: [92, 98],
  fingerprint: [98, 114],
} as const;
export const HEADER_LENGTH = 114;
export const NO_TOKEN = '-'.repeat(16);

const WELL_FORMED = /^1[PCFRT][rcb][vnpVNP][-saw][\w-]{6}\d{20}[\da-z]{3}[\w-]{32}\d{32}[\w-]{16}/;
const CLAIM_HEAD = /^1P[rcb][\w-]{38}$/;
const RULE_OF: Record<string, AbandonedRule> = { r: 'retry', c: 'reconcile', b: 'block' };
const RULE_CHAR: Record<AbandonedRule, string> = { retry: 'r', reconcile: 'c', block: 'b' };
const NO_HITS = '000000';

/** In the place of the hits of an answer, where none was counted. */
export const NOT_COUNTED = '------';
/** Where the fields of an answer about a record end: `E`, the server's clock in µs, PTTL, hits; then the value. */
const CLOCK_END = 17;
const TTL_END = 30;
const VALUE_AT = 36;

/** What the claim script puts in its places: the parts of a new header, and the token to replace; undefined where they don't fit. */
export function claimHead(key: StoreKey, request: ClaimRequest): string | undefined {
  const { onAbandoned, token, replacing, fingerprint } = request;
  const head = '1P' + RULE_CHAR[onAbandoned] + key.digest + (fingerprint ?? NO_TOKEN) + token;
  if (key.digest.length !== 6 || token.length !== 16 || !CLAIM_HEAD.test(head)) return undefined;
  return replacing === undefined ? head : head + replacing;
}

/** The refusal of identifiers that would break the header. */
export function misfit(): UsageError {
  return new UsageError(
    'INVALID_OPTIONS',
    'RedisStore needs a token of 16, a digest of 6 and a fingerprint of 16 characters of A-Z a-z 0-9 - _',
  );
}

/** The header up to its `time` field, which only the server can fill in. */
export function leaseHead(
  key: StoreKey,
  lease: Lease,
  status: string,
  flags: string,
  failures: number,
): string {
  const ended = lease.previousEnd === undefined ? '-' : lease.previousEnd === 'settled' ? 's' : 'a';
  return (
    '1' +
    status +
    RULE_CHAR[lease.onAbandoned] +
    flags +
    ended +
    key.digest +
    padded(lease.fence, 16) +
    padded(Math.min(lease.attempt, 9999), 4) +
    (failures === 0 ? '000' : Math.min(failures, 46_655).toString(36).padStart(3, '0')) +
    lease.token +
    (lease.previousToken ?? NO_TOKEN)
  );
}

/** The header from `created` on. */
export function leaseTail(lease: Lease): string {
  return padded(lease.createdAtMs, 13) + NO_HITS + (lease.fingerprint ?? NO_TOKEN);
}

/** How the line of a step of that name begins. */
export const stepStart = (name: string): string => `[${JSON.stringify(name)},`;

export const stepLine = ({ name, payload }: RecordedStep): string =>
  `${stepStart(name)}${JSON.stringify(payload ?? null)}]`;

/** Steps as they stand in front of the body. */
export function stepsText(steps: readonly RecordedStep[]): string {
  return steps.length === 0 ? '' : `\n${steps.map(stepLine).join('\n')}\n\n`;
}

function parseSteps(text: string): readonly RecordedStep[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [name, payload] = parseLine(line);
    return { name, payload: payload ?? undefined };
  });
}

/** @throws StoreError CORRUPT_RECORD */
function parseLine(line: string): [string, string | null] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    parsed = undefined;
  }
  if (Array.isArray(parsed) && typeof parsed[0] === 'string' && isPayload(parsed[1]))
    return [parsed[0], parsed[1]];
  const message = "a recorded step can't be read: look at the record, then forget() or resolve() the key";
  throw new StoreError('CORRUPT_RECORD', message);
}

const isPayload = (value: unknown): value is string | null => value === null || typeof value === 'string';

const ZEROS = Array.from({ length: 17 }, (_, count) => '0'.repeat(count));

/** padStart is slow for what every settling does four times. */
export function padded(value: number, width: number): string {
  const text = String(value);
  return ZEROS[width - text.length]! + text;
}

/** The status character of a settlement. */
export function statusChar(settlement: Pick<Settlement, 'status' | 'final'>): string {
  if (settlement.status === 'COMPLETED') return 'C';
  if (settlement.status === 'IN_PROGRESS') return 'P';
  return settlement.final ? 'F' : 'R';
}

/** Reads what the claim script answered. */
export function parseClaim(key: StoreKey, answer: string): ClaimAnswer {
  if (isGrant(answer)) return { kind: 'acquired', grant: parseGrant(answer) };
  return { kind: 'existing', record: parseRecord(key, answer) };
}

/** Reads a grant out of the header that the claim script wrote. */
function parseGrant(header: string): Grant {
  const ended = header[4];
  const known = ended === 's' || ended === 'a';
  return {
    token: header.slice(34, 50),
    fence: Number(header.slice(11, 27)),
    attempt: Number(header.slice(27, 31)),
    failures: parseInt(header.slice(31, 34), 36),
    previousToken: known ? header.slice(50, 66) : undefined,
    previousEnd: known ? (ended === 's' ? 'settled' : 'abandoned') : undefined,
    createdAtMs: Number(header.slice(79, 92)),
    leaseEndsAtMs: Number(header.slice(66, 79)),
    steps: header.length === HEADER_LENGTH ? NO_STEPS : parseSteps(header.slice(HEADER_LENGTH)),
  };
}

/**
 * Reads a record out of a script's reply.
 *
 * A tombstone reads as a failure without a value that the next caller runs again: only a claim whose token was
 * withdrawn is ever answered with one.
 *
 * @throws StoreError CORRUPT_RECORD where the value is not a record of this or an older version.
 * @throws UsageError INVALID_KEY where another identity's record stands at the address.
 */
export function parseRecord(key: StoreKey, reply: string): StoredRecord {
  const raw = reply.slice(VALUE_AT);
  if (raw.startsWith('{')) return recipeRecord(raw, expiry(reply));
  if (!WELL_FORMED.test(raw)) throw corrupt(key, raw);
  if (raw.slice(5, 11) !== key.digest) throw anotherIdentity(key.address);
  const status = raw[1]!;
  const fingerprint = raw.slice(98, 114);
  const running = status === 'P';
  const timeMs = Number(raw.slice(66, 79));
  return {
    status: running ? 'IN_PROGRESS' : status === 'C' ? 'COMPLETED' : 'FAILED',
    final: status === 'C' || status === 'F',
    token: raw.slice(34, 50),
    fence: Number(raw.slice(11, 27)),
    attempt: Number(raw.slice(27, 31)),
    failures: parseInt(raw.slice(31, 34), 36),
    fingerprint: fingerprint === NO_TOKEN ? undefined : fingerprint,
    onAbandoned: RULE_OF[raw[2]!]!,
    leaseRemainingMs: running ? timeMs - nowMs(reply) : 0,
    createdAtMs: Number(raw.slice(79, 92)),
    settledAtMs: running ? undefined : timeMs,
    expiresAtMs: expiry(reply),
    hitCount: reply[TTL_END] === '-' ? Number(raw.slice(92, 98)) : Number(reply.slice(TTL_END, VALUE_AT)),
    payload: payloadOf(raw),
    format: 'twiceshy',
  };
}

function payloadOf(raw: string): string | undefined {
  if (raw[3] === 'v') return raw.slice(HEADER_LENGTH);
  return raw[3] === 'V' ? raw.slice(raw.indexOf('\n\n', HEADER_LENGTH) + 2) : undefined;
}

/** Whether the answer to a claim is the header it wrote: the lease was won. */
function isGrant(reply: string): boolean {
  return reply.charCodeAt(0) === 0x31;
}

/** Whether the value is a tombstone, which reads as absence. */
export function isTombstone(key: StoreKey, reply: string): boolean {
  const raw = reply.slice(VALUE_AT, VALUE_AT + HEADER_LENGTH);
  return raw.startsWith('1T') && raw.slice(5, 11) === key.digest && WELL_FORMED.test(raw);
}

function recipeRecord(payload: string, expiresAtMs: number): StoredRecord {
  return {
    status: 'COMPLETED',
    final: true,
    token: NO_TOKEN,
    fence: 0,
    attempt: 1,
    failures: 0,
    fingerprint: undefined,
    onAbandoned: 'retry',
    leaseRemainingMs: 0,
    createdAtMs: 0,
    settledAtMs: undefined,
    expiresAtMs,
    hitCount: 0,
    payload,
    format: 'recipe',
  };
}

/** A value without an expiry (the recipe always sets one; a person may not) never goes away by itself. */
function expiry(reply: string): number {
  const ttlMs = Number(reply.slice(CLOCK_END, TTL_END));
  return ttlMs < 0 ? Number.POSITIVE_INFINITY : nowMs(reply) + ttlMs;
}

function nowMs(reply: string): number {
  return Number(reply.slice(1, CLOCK_END - 3));
}

function corrupt(key: StoreKey, raw: string): StoreError {
  const version = raw.charCodeAt(0);
  const newer = version > 0x31 && version <= 0x39 && /^\d[A-Z]/.test(raw);
  return new StoreError(
    'CORRUPT_RECORD',
    newer
      ? `the record at ${shown(key)} was written by a newer version of twiceshy (format ${raw[0]!}): upgrade this process`
      : `the value at ${shown(key)} is not a record of twiceshy: look at it, then forget() or resolve() the key`,
  );
}

const shown = (key: StoreKey): string => JSON.stringify(key.address);
