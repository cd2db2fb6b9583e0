// `npm test` proves things on real servers: without them it stops here, in one line, instead of skipping.
import { findPostgres, whyNoDatabase } from './find-postgres.mjs';
import { findRedisServer } from './find-redis.mjs';

if (!findRedisServer()) {
  console.error(
    'twiceshy: the tests need redis-server or valkey-server on PATH. Run "npm run setup" once to install it.',
  );
  process.exit(1);
}
const fault = await whyNoDatabase();
if (fault !== undefined) {
  console.error(`twiceshy: ${fault}`);
  process.exit(1);
}
if (!findPostgres() && !process.env.DATABASE_URL) {
  console.error(
    'twiceshy: the tests need PostgreSQL (its initdb and postgres), or DATABASE_URL. Run "npm run setup" once to install it.',
  );
  process.exit(1);
}
