/** One vote per person and poll: a second one is an error that the person should see. */
import { contextKey, IdempotencyMiddleware, InMemoryStore } from 'twiceshy';
import { required, Task, type MiddlewareDefinition } from 'twiceshy/pipeline';

const url = process.env['REDIS_URL'];
const idempotency = new IdempotencyMiddleware(url ? { redis: url } : { store: new InMemoryStore() });
const votes = new Map<string, number>();

class CastVote extends Task {
  static override middlewares: MiddlewareDefinition[] = [
    [idempotency, { key: contextKey('pollId', 'userId'), ttl: '30d', onDuplicate: 'fail' }],
  ];
  pollId = required('string');
  userId = required('string');
  choice = required('string');

  work() {
    votes.set(this.choice, (votes.get(this.choice) ?? 0) + 1);
  }
}

const pollId = process.argv[2] ?? 'poll-1';
await CastVote.execute({ pollId, userId: 'ann', choice: 'tea' });
const second = await CastVote.execute({ pollId, userId: 'ann', choice: 'coffee' });
console.log(`second vote: ${second.status}, ${second.reason ?? ''}, ${String(second.metadata['code'])}`);
await CastVote.execute({ pollId, userId: 'bob', choice: 'tea' });
console.log('votes', Object.fromEntries(votes));
