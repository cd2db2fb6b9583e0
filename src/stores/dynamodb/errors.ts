import { isIdempotencyError, StoreError, type IdempotencyError } from '../../core/errors.js';

/** By the name of DynamoDB's error: whether the same request may succeed in a moment, and what to do about it. */
const ERRORS: Record<string, { readonly transient: boolean; readonly advice: string }> = {
  ...each(
    ['ProvisionedThroughputExceededException', 'ThrottlingException', 'RequestLimitExceeded'],
    true,
    'the table or the account is throttled: use on-demand billing, or provision more',
  ),
  ...each(
    ['InternalServerError', 'InternalFailure', 'ServiceUnavailable', 'ServiceUnavailableException'],
    true,
    'DynamoDB has an internal error',
  ),
  ...each(
    ['TransactionConflictException', 'ReplicatedWriteConflictException', 'TransactionInProgressException'],
    true,
    'something else writes this item at the same time: give the store its own table',
  ),
  ...each(
    ['AbortError', 'TimeoutError', 'RequestTimeout', 'RequestTimeoutException'],
    true,
    'there was no answer in time: check the network, and timeoutMs of the store',
  ),
  ...each(
    ['AccessDeniedException'],
    false,
    'allow dynamodb:GetItem, PutItem and UpdateItem on the table to these credentials',
  ),
  ...each(
    [
      ...['UnrecognizedClientException', 'InvalidSignatureException', 'MissingAuthenticationTokenException'],
      ...['IncompleteSignatureException', 'ExpiredTokenException', 'CredentialsProviderError'],
    ],
    false,
    "check the client's credentials, its region, and this machine's clock",
  ),
  ...each(
    ['ValidationException'],
    false,
    'check that the table has the key that tableDefinition() defines: "pk", a string, and no sort key',
  ),
};

const NETWORK = /^E(CONNRESET|CONNREFUSED|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|AI_AGAIN|NOTFOUND)$/;

interface AwsError {
  readonly name: string;
  readonly message: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** Reads an error by its members. No `instanceof`, because errors of Node may be from another realm, as in jest. */
function readError(error: unknown): AwsError {
  const { name, message, code, $metadata } = (error ?? {}) as Partial<AwsError>;
  const info = { name: name ?? 'Error', message: message || String(error), code };
  return $metadata ? { ...info, $metadata } : info;
}

/**
 * Converts any failure of a request into an error of this library.
 * @param missing advice for a table that does not exist
 */
export function toDynamoError(error: unknown, table: string, missing: string): IdempotencyError {
  if (isIdempotencyError(error)) return error;
  const info = readError(error);
  const named = `DynamoDB table ${JSON.stringify(table)}`;
  if (info.name === 'ResourceNotFoundException') {
    return new StoreError('STORE_UNAVAILABLE', `${named} does not exist: ${missing}`, { cause: error });
  }
  const known = ERRORS[info.name];
  const status = info.$metadata?.httpStatusCode ?? 0;
  // The request was sent and not answered. The SDK wraps errors of another realm, so their code can't be read.
  const isUnanswered = info.$metadata !== undefined && status === 0;
  const isNetwork = isUnanswered || (typeof info.code === 'string' && NETWORK.test(info.code));
  const transient = known?.transient ?? (isNetwork || status >= 500 || status === 429);
  const advice = known ? `; ${known.advice}` : '';
  const why = `${info.name}: ${info.message}`;
  return new StoreError('STORE_UNAVAILABLE', `${named} is unavailable: ${why}${advice}`, {
    cause: error,
    transient,
  });
}

/** Whether a write's condition did not hold: another write came first. */
export function isConditionFailure(error: unknown): boolean {
  return readError(error).name === 'ConditionalCheckFailedException';
}

/** Whether DynamoDB rejects the request itself, for example an item of more than 400 KB. */
export function isInvalid(error: unknown): boolean {
  if (!(error instanceof StoreError)) return false;
  const { name, $metadata } = readError(error.cause);
  return name === 'ValidationException' || $metadata?.httpStatusCode === 413;
}

function each(names: readonly string[], transient: boolean, advice: string) {
  return Object.fromEntries(names.map((name) => [name, { transient, advice }]));
}
