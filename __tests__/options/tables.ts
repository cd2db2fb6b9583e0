import { INSTANCE_OPTIONS, RUN_OPTIONS } from '../../src/idempotency/options.js';
import { MIDDLEWARE_OPTIONS } from '../../src/task/middleware.js';
import { IDEMPOTENT_OPTIONS } from '../../src/function/idempotent.js';
import { MAKE_IDEMPOTENT_OPTIONS } from '../../src/function/make-idempotent.js';
import { HTTP_OPTIONS } from '../../src/http/internal/options.js';
import { CONSUMER_OPTIONS } from '../../src/queue/internal/options.js';
import { DYNAMODB_OPTIONS } from '../../src/stores/dynamodb/store.js';
import { MEMORY_OPTIONS } from '../../src/stores/memory/options.js';
import { REDIS_OPTIONS } from '../../src/stores/redis/options.js';
import { KEY_VALUE_OPTIONS } from '../../src/stores/keyvalue/options.js';
import { POSTGRES_OPTIONS } from '../../src/stores/postgres/store.js';
import { TASK_OPTIONS } from '../../src/task/options.js';
import { CONTRACT_OPTIONS } from '../../src/testing/options.js';
import { TRANSACTION_DEFAULTS, TRANSACTION_OPTIONS } from '../../src/transaction/transactions.js';

/** Every option table there is, by whose options they are. */
export const optionTables = {
  'createIdempotency()': INSTANCE_OPTIONS,
  'run()': RUN_OPTIONS,
  'idempotent()': IDEMPOTENT_OPTIONS,
  'makeIdempotent()': MAKE_IDEMPOTENT_OPTIONS,
  IdempotencyMiddleware: MIDDLEWARE_OPTIONS,
  'a task': TASK_OPTIONS,
  'HTTP adapters': HTTP_OPTIONS,
  consumers: CONSUMER_OPTIONS,
  'transaction()': TRANSACTION_OPTIONS,
  transactions: TRANSACTION_DEFAULTS,
  InMemoryStore: MEMORY_OPTIONS,
  RedisStore: REDIS_OPTIONS,
  PostgresStore: POSTGRES_OPTIONS,
  DynamoDBStore: DYNAMODB_OPTIONS,
  KeyValueStore: KEY_VALUE_OPTIONS,
  'describeStoreContract()': CONTRACT_OPTIONS,
};
