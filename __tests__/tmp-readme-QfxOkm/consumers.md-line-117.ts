
import { InMemoryStore } from 'twiceshy';
import { idempotentConsumer } from 'twiceshy/consumer';

interface Message {
  topic: string;
  partition: number;
  offset: string;
  value: string;
}
let charges = 0;
const consume = idempotentConsumer({
  store: new InMemoryStore(),
  name: (message: Message) => message.topic,
  key: (message) => `${message.partition}:${message.offset}`,
  maxAttempts: 5,
  // Kafka has no dead letters: produce to a topic of your own. If this throws, the message is retried instead.
  onDrop: (message, error) => console.log('to orders-dead:', message.value, String(error)),
  handler: () => ++charges,
});

/** For kafkajs' eachMessage: the partition goes on, and commits, when this returns. */
async function eachMessage(message: Message) {
  for (;;) {
    const delivery = await consume(message);
    if (delivery.action !== 'retry') return;
    await new Promise((resolve) => setTimeout(resolve, delivery.delayMs));
  }
}

const message = { topic: 'orders', partition: 0, offset: '42', value: 'o-1' };
await eachMessage(message);
await eachMessage(message); // after a rebalance
console.log(charges); // 1
export {};
