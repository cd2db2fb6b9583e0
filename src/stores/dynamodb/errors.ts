import { isIdempotencyError, StoreError, type IdempotencyError } from '../../core/errors.js';

/** What DynamoDB says, by the name of its error: whether the same request may do better in a moment, and what to do. */
const ERRORS: Record<string, { readonly transient: boolean; readonly advice: string }> = {
  ...each(
    ['ProvisionedThroughputExceededException', 'ThrottlingException', 'RequestLimitExceeded'],
    true,
    'the table or the account is throttled: use on-demand billing, or provision more',
  ),
  ...each(
    ['InternalServerError', 'InternalFailure', 'ServiceUnavailable', 'ServiceUnavailableException'],
    true,
    'DynamoDB has a fault of its own',
  ),
  ...each(
    ['TransactionConflictException', 'ReplicatedWriteConflictException', 'TransactionInProgressException'],
    true,
    'something else writes this item at the same time: give the store a table of its own',
  ),
  ...each(
    ['AbortError', 'TimeoutError', 'RequestTimeout', 'RequestTimeoutException'],
    true,
    'no answer came in time: see the network, and timeoutMs of the store',
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
    'check that the table has the key that tableDefinition() says: "pk", a string, and no sort key',
  ),
};

const NETWORK = /^E(CONNRESET|CONNREFUSED|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|AI_AGAIN|NOTFOUND)$/;

interface Told {
  readonly name: string;
  readonly message: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** By its members, since an error of Node's own may be of another realm: in jest it is. */
function toldBy(error: unknown): Told {
  const { name, message, code, $metadata } = (error ?? {}) as Partial<Told>;
  const told = { name: name ?? 'Error', message: message || String(error), code };
  return $metadata ? { ...told, $metadata } : told;
}

/**
 * Any failure of a request as an error of ours.
 * @param missing what to do about a table that is not there
 */
export function toDynamoError(error: unknown, table: string, missing: string): IdempotencyError {
  if (isIdempotencyError(error)) return error;
  const told = toldBy(error);
  const named = `DynamoDB table ${JSON.stringify(table)}`;
  if (told.name === 'ResourceNotFoundException') {
    return new StoreError('STORE_UNAVAILABLE', `${named} does not exist: ${missing}`, { cause: error });
  }
  const known = ERRORS[told.name];
  const status = told.$metadata?.httpStatusCode ?? 0;
  // Sent, and not answered: the SDK hides the errors of another realm in errors of its own.
  const isUnanswered = told.$metadata !== undefined && status === 0;
  const isNetwork = isUnanswered || (typeof told.code === 'string' && NETWORK.test(told.code));
  const transient = known?.transient ?? (isNetwork || status >= 500 || status === 429);
  const advice = known ? `; ${known.advice}` : '';
  const why = `${told.name}: ${told.message}`;
  return new StoreError('STORE_UNAVAILABLE', `${named} could not be asked: ${why}${advice}`, {
    cause: error,
    transient,
  });
}

/** A value, not an error: somebody else was first. */
export function isConditionFailure(error: unknown): boolean {
  return toldBy(error).name === 'ConditionalCheckFailedException';
}

/** Whether DynamoDB refuses the request as it stands, as it does an item of more than 400 KB. */
export function isInvalid(error: unknown): boolean {
  if (!(error instanceof StoreError)) return false;
  const { name, $metadata } = toldBy(error.cause);
  return name === 'ValidationException' || $metadata?.httpStatusCode === 413;
}

function each(names: readonly string[], transient: boolean, advice: string) {
  return Object.fromEntries(names.map((name) => [name, { transient, advice }]));
}
