// `npm test` proves things on a real server: without one it stops here, in one line, instead of skipping.
import { findRedisServer } from './find-redis.mjs';

if (!findRedisServer()) {
  console.error(
    'twiceshy: the tests need redis-server or valkey-server on PATH. Run "npm run setup" once to install it.',
  );
  process.exit(1);
}
