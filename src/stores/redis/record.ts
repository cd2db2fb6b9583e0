import { anotherIdentity, StoreError, tooNew, UsageError } from '../../core/errors.js';
import {
  settledNotes,
  type AbandonedRule,
  type Grant,
  type Lease,
  type Notes,
  type StoredRecord,
  type StoreKey,
} from '../../core/record.js';
import type { ClaimAnswer, ClaimRequest, Settlement } from '../../core/store.js';
import { FORMAT_VERSION, isNewer, RECORD_FIELDS } from '../shared/record-fields.js';
import { FIXED_LENGTH, NO_TOKEN, PLACES } from './layout.js';
import { extrasText, readExtras, type Extras } from './extras.js';
import { parseSteps } from './steps.js';

const VERSION = String(FORMAT_VERSION);
const NO_HITS = '0'.repeat(RECORD_FIELDS.hits.redis);
const WELL_FORMED = new RegExp(
  `^${VERSION}[PCFRT][rcb][vnpVNP][-saw][\\w-]{6}\\d{20}[\\da-z]{3}[\\w-]{16}\\d{13}[\\da-z]{7}\\d{10}`,
);
const CLAIM_HEAD = new RegExp(`^${VERSION}P[rcb]n-[\\w-]{22}[\\da-z]{7}${NO_HITS}\\d{4}$`);
const RULE_OF: Record<string, AbandonedRule> = { r: 'retry', c: 'reconcile', b: 'block' };
const RULE_CHAR: Record<AbandonedRule, string> = { retry: 'r', reconcile: 'c', block: 'b' };
const FINGERPRINT = /^[\w-]{22}$/;

/** In the place of the hits of an answer, where none was counted. */
export const NOT_COUNTED = '------';
/** An answer about a final record of ours: `F`, the hits, the value. */
const FINAL_VALUE_AT = 7;
/** Any other answer about a record: `E`, the server's clock in µs, PTTL, hits; then the value. */
const CLOCK_END = 17;
const TTL_END = 30;
const VALUE_AT = 36;

type Field = keyof typeof PLACES;

/** The text of a field of fixed width. */
const field = (raw: string, name: Field): string => raw.slice(PLACES[name][0], PLACES[name][1]);

/** Where the steps begin, or the body where there are none. */
const bodyAt = (raw: string): number => FIXED_LENGTH + Number(field(raw, 'extra'));

/**
 * A new header without what only the server knows, with its optional fields; undefined where they don't fit.
 */
export function claimHead(key: StoreKey, request: ClaimRequest): string | undefined {
  const { onAbandoned, token, fingerprint, notes } = request;
  if (fingerprint !== undefined && !FINGERPRINT.test(fingerprint)) return undefined;
  const extras = extrasText({ fingerprint, notes });
  if (extras === undefined) return undefined;
  const head = VERSION + 'P' + RULE_CHAR[onAbandoned] + 'n-' + key.digest + token;
  const fixed = head + retentionText(request.unsettledRetentionMs) + NO_HITS + padded(extras.length, 4);
  if (key.digest.length !== 6 || token.length !== 16 || !CLAIM_HEAD.test(fixed)) return undefined;
  return fixed + extras;
}

/** The refusal of identifiers that would break the header. */
export function misfit(): UsageError {
  return new UsageError(
    'INVALID_OPTIONS',
    'RedisStore needs a token of 16, a digest of 6 and a fingerprint of 22 characters of A-Z a-z 0-9 - _, and short notes',
  );
}

/** The header up to its `time` field, which only the server can fill in. */
export function leaseHead(
  key: StoreKey,
  lease: Lease,
  status: string,
  body: string,
  failures: number,
): string {
  const ended = lease.previousEnd === undefined ? '-' : lease.previousEnd === 'settled' ? 's' : 'a';
  return (
    VERSION +
    status +
    RULE_CHAR[lease.onAbandoned] +
    body +
    ended +
    key.digest +
    padded(lease.fence, 16) +
    padded(Math.min(lease.attempt, 9999), 4) +
    (failures === 0 ? '000' : Math.min(failures, 46_655).toString(36).padStart(3, '0')) +
    lease.token
  );
}

/**
 * The header from `retention` on, with the optional fields.
 * @param settles whether the attempt ends with it, so that nobody holds the record any more
 */
export function leaseTail(lease: Lease, retentionMs: number, settles: boolean): string {
  const { fence, previousEnd, previousToken, fingerprint, startedAtMs, createdAtMs } = lease;
  // An attempt without a fence has no moment on the server's clock either: the server makes both.
  const isTimed = fence !== 0;
  const extras = extrasText({
    previous: previousEnd === undefined ? undefined : (previousToken ?? NO_TOKEN),
    fingerprint,
    started: isTimed && startedAtMs !== Math.floor(fence / 1_000) ? startedAtMs : undefined,
    created: isTimed && createdAtMs !== startedAtMs ? createdAtMs : undefined,
    notes: settles ? settledNotes(lease.notes) : lease.notes,
  });
  // It was short enough when it was claimed.
  if (extras === undefined) throw misfit();
  return retentionText(retentionMs) + NO_HITS + padded(extras.length, 4) + extras;
}

const ZEROS = Array.from({ length: 17 }, (_, count) => '0'.repeat(count));

/** padStart is slow for what every settling does several times. */
export function padded(value: number, width: number): string {
  const text = String(value);
  return ZEROS[width - text.length]! + text;
}

const LONGEST_RETENTION_MS = 36 ** RECORD_FIELDS.retention.redis - 1;

/** A retention in milliseconds, as base 36. */
export function retentionText(ms: number): string {
  const text = Math.min(Math.ceil(ms), LONGEST_RETENTION_MS).toString(36);
  return ZEROS[RECORD_FIELDS.retention.redis - text.length]! + text;
}

/** The status character of a settlement. */
export function statusChar(settlement: Pick<Settlement, 'status' | 'final'>): string {
  if (settlement.status === 'COMPLETED') return 'C';
  if (settlement.status === 'IN_PROGRESS') return 'P';
  return settlement.final ? 'F' : 'R';
}

/** Reads what the claim script answered. */
export function parseClaim(key: StoreKey, answer: string): ClaimAnswer {
  if (answer.startsWith(VERSION)) return { kind: 'acquired', grant: parseGrant(answer) };
  return { kind: 'existing', record: parseRecord(key, answer) };
}

/** Reads a grant out of the header that the claim script wrote, and the steps behind it. */
function parseGrant(header: string): Grant {
  const ended = field(header, 'ended');
  const isLinked = ended === 's' || ended === 'a';
  const fence = Number(field(header, 'fence'));
  const extras = readExtras(header);
  const startedAtMs = extras.started ?? Math.floor(fence / 1_000);
  return {
    token: field(header, 'token'),
    fence,
    attempt: Number(field(header, 'attempt')),
    failures: parseInt(field(header, 'failures'), 36),
    previousToken: isLinked ? extras.previous : undefined,
    previousEnd: isLinked ? (ended === 's' ? 'settled' : 'abandoned') : undefined,
    createdAtMs: extras.created ?? startedAtMs,
    startedAtMs,
    leaseEndsAtMs: Number(field(header, 'time')),
    steps: parseSteps(header.slice(bodyAt(header))),
  };
}

/**
 * Reads a record out of a script's reply.
 *
 * A tombstone reads as a failure without a value that the next caller runs again: only a claim whose token was
 * withdrawn is ever answered with one.
 *
 * @throws StoreError CORRUPT_RECORD where the value is not a record, RECORD_TOO_NEW where its format is newer than ours
 * @throws UsageError INVALID_KEY where another identity's record stands at the address.
 */
export function parseRecord(key: StoreKey, reply: string): StoredRecord {
  const isShort = reply.startsWith('F');
  const raw = reply.slice(isShort ? FINAL_VALUE_AT : VALUE_AT);
  if (raw.startsWith('{')) return recipeRecord(raw, expiry(reply));
  if (!WELL_FORMED.test(raw)) throw unreadable(key, raw);
  if (field(raw, 'digest') !== key.digest) throw anotherIdentity(key.address);
  const status = field(raw, 'status');
  const running = status === 'P';
  const timeMs = Number(field(raw, 'time'));
  const fence = Number(field(raw, 'fence'));
  const extras = readExtras(raw);
  const startedAtMs = extras.started ?? Math.floor(fence / 1_000);
  const hits = isShort ? reply.slice(1, FINAL_VALUE_AT) : reply.slice(TTL_END, VALUE_AT);
  return {
    status: running ? 'IN_PROGRESS' : status === 'C' ? 'COMPLETED' : 'FAILED',
    final: status === 'C' || status === 'F',
    token: field(raw, 'token'),
    fence,
    restored: field(raw, 'ended') === 'w',
    attempt: Number(field(raw, 'attempt')),
    failures: parseInt(field(raw, 'failures'), 36),
    fingerprint: extras.fingerprint,
    onAbandoned: RULE_OF[field(raw, 'rule')]!,
    leaseRemainingMs: running ? timeMs - nowMs(reply) : 0,
    createdAtMs: extras.created ?? startedAtMs,
    startedAtMs,
    settledAtMs: running ? undefined : timeMs,
    expiresAtMs: timeMs + parseInt(field(raw, 'retention'), 36),
    hitCount: Number(hits === NOT_COUNTED ? field(raw, 'hits') : hits),
    notes: readNotes(extras),
    payload: readPayload(raw),
    format: 'twiceshy',
  };
}

function readNotes({ traceparent, holder, facts }: Extras): Notes | undefined {
  if (traceparent === undefined && holder === undefined && facts === undefined) return undefined;
  return {
    ...(traceparent !== undefined && { traceparent }),
    ...(holder !== undefined && { holder }),
    ...(facts !== undefined && { facts }),
  };
}

function readPayload(raw: string): string | undefined {
  const body = field(raw, 'body');
  if (body === 'v') return raw.slice(bodyAt(raw));
  return body === 'V' ? raw.slice(raw.indexOf('\n\n', bodyAt(raw)) + 2) : undefined;
}

/** Whether the value is a tombstone, which reads as absence. */
export function isTombstone(key: StoreKey, reply: string): boolean {
  if (reply.startsWith('F')) return false;
  const raw = reply.slice(VALUE_AT, VALUE_AT + FIXED_LENGTH);
  return raw.startsWith(`${VERSION}T`) && field(raw, 'digest') === key.digest && WELL_FORMED.test(raw);
}

function recipeRecord(payload: string, expiresAtMs: number): StoredRecord {
  return {
    status: 'COMPLETED',
    final: true,
    token: NO_TOKEN,
    fence: 0,
    restored: false,
    attempt: 1,
    failures: 0,
    fingerprint: undefined,
    onAbandoned: 'retry',
    leaseRemainingMs: 0,
    createdAtMs: 0,
    startedAtMs: 0,
    settledAtMs: undefined,
    expiresAtMs,
    hitCount: 0,
    notes: undefined,
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

function unreadable(key: StoreKey, raw: string): StoreError {
  const version = Number(/^\d(?=[A-Z])/.exec(raw)?.[0]);
  if (isNewer(version)) return tooNew(key.address, version);
  const advice = 'look at it, then forget() or resolve() the key';
  return new StoreError(
    'CORRUPT_RECORD',
    `the value at ${JSON.stringify(key.address)} is not a record of twiceshy: ${advice}`,
  );
}
