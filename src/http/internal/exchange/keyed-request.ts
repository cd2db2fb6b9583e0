import { answerInTime } from '../../../core/ask.js';
import { isNothing, show } from '../../../core/check.js';
import { UsageError } from '../../../core/errors.js';
import { checkScope, recordPlace, type RecordPlace } from './address.js';
import type { Facts } from './facts.js';
import { checkedKey, parseKeyHeader, type ParsedKey } from './header.js';
import type { HttpSettings } from '../options.js';
import type { ProblemCode } from '../problem/problem.js';

/** What identifies the operation of a request with a key. */
export interface Keyed {
  readonly key: string;
  /** The caller as `scope` returned it, for `admit`. */
  readonly caller: string | undefined;
  readonly place: RecordPlace;
  readonly payload: unknown;
}
/** Why a request can't be processed. */
export interface Unkeyed {
  readonly problem: ProblemCode;
  readonly detail?: string;
  readonly key?: string;
}

/**
 * Reads what identifies the operation from a request; `pass` if the request is not to be protected.
 * @throws UsageError INVALID_OPTIONS, or what a function in the options threw
 */
export async function readRequest<Req>(
  settings: HttpSettings<Req>,
  facts: Facts<Req>,
): Promise<Keyed | Unkeyed | 'pass'> {
  const { given } = settings;
  if (await isSkipped(settings, facts)) return 'pass';
  const found = await readKey(settings, facts);
  if (!found) return given.required === false ? 'pass' : { problem: 'IDEMPOTENCY_KEY_MISSING' };
  if ('fault' in found) return { problem: 'IDEMPOTENCY_KEY_INVALID', detail: found.fault };
  const { key } = found;
  const located = await locate(settings, facts);
  if ('problem' in located) return { ...located, key };
  const payload = await readPayload(settings, facts);
  if (payload !== undefined) return { key, payload, ...located };
  const detail = 'The request lacks the content by which a retry would be recognised.';
  return { problem: 'IDEMPOTENCY_KEY_INVALID', detail, key };
}

/** What a function in the options answers to a request, in time. */
export const asked = <Req, Result>(
  option: string,
  ask: (request: Req, ...further: unknown[]) => Result,
  facts: Facts<Req>,
): Promise<Awaited<Result>> => answerInTime(`${option}()`, () => ask(...facts.asked()), facts.isReading);

/** The caller, and the place of the record: caller, route and host. */
async function locate<Req>(
  settings: HttpSettings<Req>,
  facts: Facts<Req>,
): Promise<Pick<Keyed, 'caller' | 'place'> | Unkeyed> {
  const { given } = settings;
  const scope = given.scope === 'shared' ? undefined : checkScope(await asked('scope', given.scope, facts));
  if (scope === undefined && given.scope !== 'shared') return { problem: 'IDEMPOTENCY_SCOPE_MISSING' };
  const host = given.host ? await requestHost(given.host, facts) : undefined;
  if (given.host && isNothing(host)) {
    return {
      problem: 'IDEMPOTENCY_KEY_INVALID',
      detail: 'The request does not say which host it is for.',
    };
  }
  return { caller: scope, place: await locateRecord(settings, facts, { scope, host }) };
}

async function locateRecord<Req>(
  { given, profile, runtime }: HttpSettings<Req>,
  facts: Facts<Req>,
  { scope, host }: Record<'scope' | 'host', string | undefined>,
): Promise<RecordPlace> {
  const byDefault = profile.keysBelongToPath ? facts.path : facts.route;
  const tenant = runtime.given.scope;
  return recordPlace({
    method: facts.method,
    route: given.route ? await asked('route', given.route, facts) : byDefault,
    ...(scope !== undefined && { scope }),
    ...(tenant !== undefined && { tenant }),
    ...(host !== undefined && { host }),
  });
}

/** Accepts only `true` and `false`: a text such as `'false'` from a header would otherwise turn the protection off. */
async function isSkipped<Req>({ given: { skip } }: HttpSettings<Req>, facts: Facts<Req>): Promise<boolean> {
  const said: unknown = skip ? await asked('skip', skip, facts) : false;
  if (typeof said === 'boolean') return said;
  throw new UsageError('INVALID_OPTIONS', `skip() returned ${show(said)}: it must return true or false`);
}

/** The key from the option `key`, or else from the header. A key that can't be used is the client's error, not the server's. */
async function readKey<Req>(settings: HttpSettings<Req>, facts: Facts<Req>): Promise<ParsedKey | undefined> {
  const { given, header, profile } = settings;
  const returned: unknown = given.key ? await asked('key', given.key, facts) : undefined;
  if (!isNothing(returned)) {
    const text = Number.isSafeInteger(returned) ? String(returned) : returned;
    const parsed =
      typeof text === 'string' ? checkedKey(text, profile.maxKeyLength) : { fault: 'it is not a text' };
    return 'fault' in parsed ? { fault: `The key of the request cannot be used: ${parsed.fault}.` } : parsed;
  }
  const text = facts.header(header);
  if (text === undefined) return undefined;
  const parsed = parseKeyHeader(text, given.bareKeys ?? profile.bareKeys, profile.maxKeyLength);
  if (!('fault' in parsed)) return parsed;
  return { fault: `The header ${given.header ?? 'Idempotency-Key'} cannot be read: ${parsed.fault}.` };
}

async function requestHost<Req>(
  host: NonNullable<HttpSettings<Req>['given']['host']>,
  facts: Facts<Req>,
): Promise<string | undefined> {
  const named: unknown = typeof host === 'function' ? await asked('host', host, facts) : facts.host();
  if (isNothing(named) || typeof named === 'string') return (named as string | null | undefined) ?? undefined;
  throw new UsageError('INVALID_OPTIONS', `host() returned ${show(named)}: it must return the host as text`);
}

/** What to compare. Undefined if `fingerprint` returned nothing: a client may cause that, and must not turn the comparison off. */
async function readPayload<Req>(settings: HttpSettings<Req>, facts: Facts<Req>): Promise<unknown> {
  const { fingerprint } = settings.given;
  if (fingerprint) {
    const chosen = await asked('fingerprint', fingerprint, facts);
    return isNothing(chosen) ? undefined : { chosen };
  }
  const { method, path, query } = facts;
  return { method, path, query, body: await facts.body() };
}
