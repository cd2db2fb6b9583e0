import { UsageError } from '../../../core/errors.js';
import { checkKey, hashKey } from '../../../keys/index.js';

const MAX_NAME = 128;
const DIGEST_LENGTH = 32;

/** Which record: what stands beside the key, for `get`, `resolve` and `forget`. */
export interface RecordPlace {
  name: string;
  scope?: string;
}

/**
 * Where the records of a route are, for `idempotency.get(key, recordPlace(...))`, `resolve` and `forget`.
 * @param request the method, the full route path as the framework knows it (`/shops/:id/orders`), what `scope`
 * answered for the caller (leave that out where scope is `'shared'`), the host where the option `host` is given, and as `tenant` the `scope` of the `idempotency` that
 * the adapter was given, if that has one
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
  // Hashed, since it may be an API key, and addresses are read by people and written to logs. Callers of two tenants are
  // two, whatever they are called.
  const caller = String(scope);
  return {
    name,
    scope: tenant === undefined ? hashKey('scope', caller) : hashKey('scope', tenant, caller),
  };
}

/** A name holds no colon and is short; two routes never have the same one. */
function recordName(method: string, route: string, host: string | undefined): string {
  // No escaped part holds a "#": nothing that a route or a host may be called reads like both.
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
 * What `scope(request)` answered, checked: undefined when there is no caller to be named.
 * @throws UsageError INVALID_OPTIONS for what names nobody, such as `user:undefined` or an object
 */
export function checkScope(given: unknown): string | undefined {
  if (given === undefined || given === null || given === '') return undefined;
  // Beyond the safe integers, two callers may have one number.
  const text = typeof given === 'number' && Number.isSafeInteger(given) ? String(given) : given;
  if (typeof text !== 'string')
    throw new UsageError(
      'INVALID_OPTIONS',
      `scope() answered a ${typeof given}: a string, or a safe integer, names the caller`,
    );
  try {
    // The same care as for keys: a missing value turned into text would be shared by all who miss it.
    checkKey(text.slice(0, 512));
  } catch (cause) {
    // Not shown: it may be an API key, or a part of one.
    const message = 'scope() answered a text that names nobody: the cause says what is wrong with it';
    throw new UsageError('INVALID_OPTIONS', message, { cause });
  }
  return text;
}
