
import { createIdempotency, InMemoryStore } from 'twiceshy';

const idempotency = createIdempotency({ store: new InMemoryStore(), name: 'order' });
let charges = 0;

const order = (id: string, email: () => void) =>
  idempotency.run(id, async ({ step, deriveKey, fence, signal }) => {
    // deriveKey: the same after crashes and errors, new once `remember` says 'retryable': the provider's idempotency key.
    const charge = await step('charge', () => ({ number: ++charges, providerKey: deriveKey('charge') }));
    await step('email', email);
    // fence grows with every attempt: let your own database refuse writes with a lower one.
    // signal is aborted when the lease is lost: whatever this work still does, another attempt may do too.
    return { charge: charge.number, fence, aborted: signal.aborted };
  });

await order('o-1', () => {
  throw new Error('mail server down');
}).catch((error) => console.log(error.message)); // the next call goes on behind the charge
console.log((await order('o-1', () => {})).charge); // 1
export {};
