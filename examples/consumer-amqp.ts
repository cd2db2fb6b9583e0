/**
 * A RabbitMQ consumer: a message that comes twice charges once, and one that always fails ends in the dead-letter queue.
 *
 * Needs a RabbitMQ: AMQP_URL=amqp://localhost npx tsx examples/consumer-amqp.ts
 */
import { connect } from 'amqplib';
import { InMemoryStore } from 'twiceshy';
import { consumeIdempotently } from 'twiceshy/amqp';
import { RedisStore } from 'twiceshy/redis';

const connection = await connect(process.env['AMQP_URL'] ?? 'amqp://localhost');
const channel = await connection.createChannel();
const queue = `orders-${process.pid}`;
const dead = `${queue}-dead`;
await channel.assertQueue(dead, { exclusive: true });
// Without a dead-letter exchange the broker throws away what is given up.
await channel.assertQueue(queue, { exclusive: true, deadLetterExchange: '', deadLetterRoutingKey: dead });
await channel.prefetch(10);

let charged: () => void;
const bothCharged = new Promise<void>((resolve) => (charged = resolve));
const url = process.env['REDIS_URL'];
const consumer = await consumeIdempotently(channel, queue, {
  store: url ? new RedisStore(url) : new InMemoryStore(),
  maxAttempts: 3,
  retryDelay: '10ms',
  lease: '1s',
  onDrop: (message, error) => console.log(`gives up ${message.properties.messageId}: ${String(error)}`),
  handler: (message, { attempt }) => {
    const order = message.content.toString();
    console.log(`attempt ${attempt} charges ${order}`);
    if (order === 'o-bad') throw new Error('declined');
    if (order === 'o-2') charged();
  },
});

const publish = (id: string, order: string) =>
  channel.sendToQueue(queue, Buffer.from(order), { messageId: `${id}-${process.pid}`, persistent: true });
publish('m-1', 'o-1');
publish('m-1', 'o-1');
publish('m-2', 'o-2');
publish('m-3', 'o-bad');

const deadLetter = new Promise<string>((resolve) => {
  void channel.consume(dead, (message) => resolve(message?.content.toString() ?? ''), { noAck: true });
});
console.log(`dead letter: ${await deadLetter}`);
await bothCharged;
await consumer.close();
await connection.close();
