
import { createIdempotency, InMemoryStore } from 'twiceshy';

const idempotency = createIdempotency({ store: new InMemoryStore(), name: 'payout' });
const provider = { find: async (key: string) => (key === 'p-2' ? { id: 'po_2' } : undefined) };
const pay = async (key: string) => ({ id: `po_${key}` });

// 'retry' (default): run it again. At-least-once: right for effects that bear repetition.
await idempotency.run('p-1', () => pay('p-1'));

// A function: ask the provider, under the new lease; give its result, or say "run".
await idempotency.run('p-2', () => pay('p-2'), {
  onAbandoned: async () => {
    const found = await provider.find('p-2');
    return found ? { completed: found } : 'run';
  },
});

// 'block': refuse with IN_DOUBT until a person has looked.
await idempotency.run('p-3', () => pay('p-3'), { onAbandoned: 'block' });
await idempotency.resolve('p-3', { result: { id: 'po_3' } });
console.log(await idempotency.get('p-3')); // status, result, attempt, fence, hitCount, createdAt, expiresAt
await idempotency.forget('p-3');
export {};
