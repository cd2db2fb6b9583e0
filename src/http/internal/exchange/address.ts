import { UsageError } from '../../../core/errors.js';
import { checkKey, hashKey } from '../../../keys/index.js';

const MAX_NAME = 128;
const DIGEST_LENGTH = 32;

/** What identifies a record besides the key, for `get`, `resolve` and `forget`. */
export interface RecordPlace {
  name: string;
  scope?: string;
}

/**
 * The place of a route's records, for `get`, `resolve` and `forget`.
 *
 * @example
 * const place = recordPlace({ method: 'POST', route: '/shops/:id/orders', scope: userId });
 * await idempotency.forget(key, place);
 * @param request `method`; `route`: the full route path as the framework has it; `scope`: what the option `scope` returned for
 * the caller, left out if that is `'shared'`; `host`: if the option `host` is used; `tenant`: the `scope` of the adapter's
 * `idempotency`, if it has one
 */
export function recordPlace(request: {
  method: string;
  route: string;
  scope?: string | number;
  tenant?: string;
  host?: string;
}): RecordPlace {
  const name = recordName(request.method, request.route, request.host);
  const { scope, tenant } = request;
  if (scope === undefined) return tenant === undefined ? { name } : { name, scope: tenant };
  // Hashed, because it may be an API key, and addresses appear in logs. The hash includes the tenant, so two tenants' callers
  // with the same name stay separate.
  const caller = String(scope);
  return {
    name,
    scope: tenant === undefined ? hashKey('scope', caller) : hashKey('scope', tenant, caller),
  };
}

/** The operation name of a route. Names are short and contain no colon; two routes never have the same name. */
function recordName(method: string, route: string, host: string | undefined): string {
  // "#" is escaped in each part, so it separates host and route without ambiguity.
  const at = host === undefined ? '' : `${escaped(host.toLowerCase())}#`;
  const name = `${escaped(method.toUpperCase())} ${at}${escaped(route)}`;
  if (name.length <= MAX_NAME) return name;
  const start = name.slice(0, MAX_NAME - DIGEST_LENGTH - 1).replace(/\p{Cs}$/u, '');
  return `${start}#${hashKey(name)}`;
}

const escaped = (text: string): string => text.replaceAll(/[%:#\p{Cc}\p{Cs}]/gu, escape);

function escape(unit: string): string {
  return `%${unit.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/**
 * Checks what `scope(request)` returned. Undefined if it names no caller.
 * @throws UsageError INVALID_OPTIONS for an unusable value, such as `user:undefined` or an object
 */
export function checkScope(given: unknown): string | undefined {
  if (given === undefined || given === null || given === '') return undefined;
  // Beyond the safe integers, two callers could get the same number.
  const text = typeof given === 'number' && Number.isSafeInteger(given) ? String(given) : given;
  if (typeof text !== 'string')
    throw new UsageError(
      'INVALID_OPTIONS',
      `scope() returned a ${typeof given}: it must return a string or a safe integer that identifies the caller`,
    );
  try {
    // Checked like a key: callers with a missing value, turned into text, would share one scope.
    checkKey(text.slice(0, 512));
  } catch (cause) {
    // The text is not shown, because it may be an API key.
    const message = 'scope() returned a text that does not identify a caller: the cause says why';
    throw new UsageError('INVALID_OPTIONS', message, { cause });
  }
  return text;
}
