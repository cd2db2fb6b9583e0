import { errorMessage } from '../../core/check.js';
import { isIdempotencyError, StoreError, type IdempotencyError } from '../../core/errors.js';

// Redis 6.2 wraps the error of a script's command into a sentence, so that its code stands anywhere.
const TRANSIENT =
  /\b(LOADING|READONLY|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|NOREPLICAS|BUSY|MOVED|ASK|UNBLOCKED)\b|Connection is closed|Stream isn't writeable|Command aborted|timed? ?out|retries per request|refresh slots cache|Cluster redirections|Cluster is|Connection is in|\bE(CONNRESET|CONNREFUSED|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|AI_AGAIN)\b/i;

const ADVICE: readonly [pattern: RegExp, advice: string][] = [
  [/\b(NOAUTH|WRONGPASS)\b|invalid (username|password)/, 'check the user name and password in the URL'],
  [
    /\bNOPERM\b/,
    'give this user the rights that docs/stores/redis.md lists: EVALSHA, EVAL, GET, SET, SETRANGE, PEXPIRE, PEXPIRETIME, PTTL, DEL, TIME, ' +
      'PUBLISH, SUBSCRIBE and UNSUBSCRIBE, on the keys and channels of the prefix (ACL SETUSER)',
  ],
  [/\bOOM\b/, 'the server reached maxmemory: raise it, or shorten the retention'],
  [/\bMISCONF\b/, 'the server refuses writes because it cannot save to disk: see its log'],
  [/\bCROSSSLOT\b/, 'one record is one key: check what the keyPrefix does to it'],
  [
    /DB index is out of range|invalid DB index|SELECT is not allowed/i,
    "check the database number in the URL, or ioredis' option db",
  ],
  [/unknown command/i, 'the store needs EVAL and EVALSHA: Redis 6.2 or Valkey 7.2 at least'],
];

/**
 * Any failure of a command as an error of ours. `connectionError` is what the connection last complained of: ioredis
 * rejects the commands themselves with no more than "Connection is closed".
 * @param neverSent whether the command never left this process
 */
export function toRedisError(error: unknown, connectionError: unknown, neverSent = false): IdempotencyError {
  if (isIdempotencyError(error)) return error;
  const message = errorMessage(error);
  if (/\bWRONGTYPE\b/.test(message)) {
    return new StoreError(
      'CORRUPT_RECORD',
      'the value at this key is no string, so no record: delete or rename it',
      {
        cause: error,
      },
    );
  }
  const closed =
    /Connection is closed|Command aborted|retries per request/.test(message) && connectionError !== undefined;
  const told = closed ? errorMessage(connectionError) : message;
  const cause = closed ? connectionError : error;
  for (const [pattern, advice] of ADVICE) {
    if (pattern.test(told))
      return new StoreError('STORE_UNAVAILABLE', `Redis refused: ${told}; ${advice}`, { cause });
  }
  const transient = closed || TRANSIENT.test(told);
  return new StoreError('STORE_UNAVAILABLE', `Redis could not be asked: ${told}`, {
    cause,
    transient,
    neverSent,
  });
}
