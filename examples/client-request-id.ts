/** The client names its request; a retry with the same id gets the same answer, and another body is refused. */
import { IdempotencyMiddleware, InMemoryStore } from 'twiceshy';
import { required, Task, type MiddlewareDefinition } from 'twiceshy/pipeline';

const url = process.env['REDIS_URL'];
const idempotency = new IdempotencyMiddleware(url ? { redis: url } : { store: new InMemoryStore() });
let transfers = 0;

class TransferMoney extends Task {
  static override middlewares: MiddlewareDefinition[] = [
    idempotency.with<TransferMoney>({
      key: (task) => task.requestId,
      // A client that guesses another's id must not see its answer.
      scope: (task) => task.userId,
      payload: (task) => [task.to, task.amount],
      onDuplicate: 'return-cached',
    }),
  ];
  requestId = required('string');
  userId = required('string');
  to = required('string');
  amount = required('number');

  work() {
    this.context.set('transferId', `tr_${++transfers}`);
  }
}

const request = { requestId: process.argv[2] ?? 'req-7f3a', userId: 'ann', to: 'bob', amount: 10 };
const first = await TransferMoney.execute(request);
const retry = await TransferMoney.execute(request);
console.log(
  `first ${String(first.context.get('transferId'))}, retry ${String(retry.context.get('transferId'))}`,
);
const reused = await TransferMoney.execute({ ...request, amount: 1_000 });
console.log(`another amount under the same id: ${reused.status}, ${String(reused.metadata['code'])}`);
const other = await TransferMoney.execute({ ...request, userId: 'eve' });
console.log(`the same id of another user: ${String(other.context.get('transferId'))}`);
