import { answerOf } from '../../../core/ask.js';
import { isNothing, show } from '../../../core/check.js';
import { UsageError } from '../../../core/errors.js';
import { checkScope, recordPlace, type RecordPlace } from './address.js';
import type { Facts } from './facts.js';
import { checkedKey, parseKeyHeader, type ParsedKey } from './header.js';
import type { HttpSettings } from '../options.js';
import type { ProblemCode } from '../problem/problem.js';

/** A request with a key: which operation it is. */
export interface Keyed {
  readonly key: string;
  /** The caller as it was named, for `admit`. */
  readonly caller: string | undefined;
  readonly place: RecordPlace;
  readonly payload: unknown;
}
/** Why a request is not one. */
export interface Unkeyed {
  readonly problem: ProblemCode;
  readonly detail?: string;
  readonly key?: string;
}

/**
 * Reads from a request which operation it is; `pass` where it is not to be protected.
 * @throws UsageError INVALID_OPTIONS, or what a function in the options threw
 */
export async function readRequest<Req>(
  settings: HttpSettings<Req>,
  facts: Facts<Req>,
): Promise<Keyed | Unkeyed | 'pass'> {
  const { given } = settings;
  if (await isSkipped(settings, facts)) return 'pass';
  const found = await keyOf(settings, facts);
  if (!found) return given.required === false ? 'pass' : { problem: 'IDEMPOTENCY_KEY_MISSING' };
  if ('fault' in found) return { problem: 'IDEMPOTENCY_KEY_INVALID', detail: found.fault };
  const { key } = found;
  const located = await locate(settings, facts);
  if ('problem' in located) return { ...located, key };
  const payload = await payloadOf(settings, facts);
  if (payload !== undefined) return { key, payload, ...located };
  const detail = 'The request lacks what a retry of it would be recognised by.';
  return { problem: 'IDEMPOTENCY_KEY_INVALID', detail, key };
}

/** What a function in the options answers to a request, in time. */
export const asked = <Req, Result>(
  option: string,
  ask: (request: Req, ...further: unknown[]) => Result,
  facts: Facts<Req>,
): Promise<Awaited<Result>> => answerOf(`${option}()`, () => ask(...facts.asked()), facts.isReading);

/** Whose key it is, of which route, and of which host. */
async function locate<Req>(
  settings: HttpSettings<Req>,
  facts: Facts<Req>,
): Promise<Pick<Keyed, 'caller' | 'place'> | Unkeyed> {
  const { given } = settings;
  const scope = given.scope === 'shared' ? undefined : checkScope(await asked('scope', given.scope, facts));
  if (scope === undefined && given.scope !== 'shared') return { problem: 'IDEMPOTENCY_SCOPE_MISSING' };
  const host = given.host ? await hostOf(given.host, facts) : undefined;
  if (given.host && isNothing(host)) {
    return {
      problem: 'IDEMPOTENCY_KEY_INVALID',
      detail: 'The request does not say which host it is for.',
    };
  }
  return { caller: scope, place: await placeOf(settings, facts, { scope, host }) };
}

/** Where the record of the request is. */
async function placeOf<Req>(
  { given, profile, adapter }: HttpSettings<Req>,
  facts: Facts<Req>,
  { scope, host }: Record<'scope' | 'host', string | undefined>,
): Promise<RecordPlace> {
  const byDefault = profile.keysBelongToPath ? facts.path : facts.route;
  const tenant = adapter.given.scope;
  return recordPlace({
    method: facts.method,
    route: given.route ? await asked('route', given.route, facts) : byDefault,
    ...(scope !== undefined && { scope }),
    ...(tenant !== undefined && { tenant }),
    ...(host !== undefined && { host }),
  });
}

/** Only `true` and `false` mean something: a text such as `'false'`, from a header, would switch the protection off. */
async function isSkipped<Req>({ given: { skip } }: HttpSettings<Req>, facts: Facts<Req>): Promise<boolean> {
  const said: unknown = skip ? await asked('skip', skip, facts) : false;
  if (typeof said === 'boolean') return said;
  throw new UsageError('INVALID_OPTIONS', `skip() answered ${show(said)}: it answers true or false`);
}

/** What `key` answers, or else what stands in the header. What the client sent is never an error of the server. */
async function keyOf<Req>(settings: HttpSettings<Req>, facts: Facts<Req>): Promise<ParsedKey | undefined> {
  const { given, header, profile } = settings;
  const told: unknown = given.key ? await asked('key', given.key, facts) : undefined;
  if (!isNothing(told)) {
    const text = Number.isSafeInteger(told) ? String(told) : told;
    const parsed =
      typeof text === 'string' ? checkedKey(text, profile.maxKeyLength) : { fault: 'it is no text' };
    return 'fault' in parsed ? { fault: `The key of the request cannot be used: ${parsed.fault}.` } : parsed;
  }
  const text = facts.header(header);
  if (text === undefined) return undefined;
  const parsed = parseKeyHeader(text, given.bareKeys ?? profile.bareKeys, profile.maxKeyLength);
  if (!('fault' in parsed)) return parsed;
  return { fault: `The header ${given.header ?? 'Idempotency-Key'} cannot be read: ${parsed.fault}.` };
}

async function hostOf<Req>(
  host: NonNullable<HttpSettings<Req>['given']['host']>,
  facts: Facts<Req>,
): Promise<string | undefined> {
  const named: unknown = typeof host === 'function' ? await asked('host', host, facts) : facts.host();
  if (isNothing(named) || typeof named === 'string') return (named as string | null | undefined) ?? undefined;
  throw new UsageError('INVALID_OPTIONS', `host() answered ${show(named)}: a text names the host`);
}

/** Undefined where `fingerprint` gave nothing: a client alone may bring that about, and must not switch the comparison off. */
async function payloadOf<Req>(settings: HttpSettings<Req>, facts: Facts<Req>): Promise<unknown> {
  const { fingerprint } = settings.given;
  if (fingerprint) {
    const chosen = await asked('fingerprint', fingerprint, facts);
    return isNothing(chosen) ? undefined : { chosen };
  }
  const { method, path, query } = facts;
  return { method, path, query, body: await facts.body() };
}
