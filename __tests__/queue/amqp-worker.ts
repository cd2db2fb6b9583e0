/** A RabbitMQ consumer in a process of its own. */
import { connect } from 'amqplib';
import { consumeIdempotently } from '../../src/queue/amqp.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { charge, reach, say } from './kill-points.js';

const { REDIS_URL = '', AMQP_URL = '', QUEUE = '', RULE, MAX_ATTEMPTS = '10' } = process.env;
const found = process.env['FOUND'];

const connection = await connect(AMQP_URL);
const channel = await connection.createChannel();
const ack = channel.ack.bind(channel);
channel.ack = (message) => {
  void reach('before-ack').then(() => {
    ack(message);
    say('acked');
  });
};

const consumer = await consumeIdempotently(channel, QUEUE, {
  store: new RedisStore(REDIS_URL),
  maxAttempts: Number(MAX_ATTEMPTS),
  lease: '500ms',
  onAbandoned: found ? () => ({ completed: found }) : RULE === 'block' ? 'block' : 'retry',
  logger: {},
  handler: (message, attempt) => charge(message.content.toString(), attempt),
});
process.once('SIGTERM', () => {
  void consumer.close().then(() => connection.close());
});
say('ready');
