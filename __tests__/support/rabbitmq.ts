import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { describe, test } from '@jest/globals';
import { connect, type ChannelModel } from 'amqplib';

const run = promisify(execFile);
const BROKER = new URL(process.env['AMQP_URL'] || 'amqp://guest:guest@127.0.0.1:5672');

/** A virtual host that nothing else uses. */
export interface VirtualHost {
  readonly url: string;
  remove(): Promise<void>;
}

/**
 * Describes what needs the RabbitMQ of AMQP_URL, or else the one on the local default port. Where none answers it says
 * so, and its tests are skipped; in CI that is a failure.
 */
export async function describeOnRabbitMq(name: string, tests: () => void): Promise<void> {
  const fault = await connect(BROKER.href, { timeout: 3_000 }).then(closed, (error: unknown) => error);
  if (fault === undefined) return describe(name, tests);
  const sentence = `NO RABBITMQ ANSWERS at ${BROKER.host}: "${name}" IS NOT TESTED. Start one, or set AMQP_URL`;
  process.stderr.write(`\n${'!'.repeat(sentence.length)}\n${sentence}\n${'!'.repeat(sentence.length)}\n\n`);
  if (process.env['CI']) {
    test(`${name}: a RabbitMQ answers`, () => {
      throw new Error(sentence, { cause: fault });
    });
  } else describe.skip(name, tests);
}

const closed = (connection: ChannelModel): Promise<undefined> => connection.close().then(() => undefined);

/** Makes a virtual host, by rabbitmqctl where it is here and may, else by the management plugin's HTTP interface. */
export async function makeVirtualHost(): Promise<VirtualHost> {
  const vhost = `twiceshy-test-${randomUUID()}`;
  const admin = (await mayControl()) ? byCommand(vhost) : byHttp(vhost);
  await admin.add();
  const url = new URL(BROKER);
  url.pathname = `/${vhost}`;
  return { url: url.href, remove: admin.remove };
}

const user = decodeURIComponent(BROKER.username) || 'guest';
const isLocal = ['127.0.0.1', 'localhost', '[::1]'].includes(BROKER.hostname);

async function mayControl(): Promise<boolean> {
  if (!isLocal) return false;
  return run('rabbitmqctl', ['list_vhosts', '--quiet']).then(
    () => true,
    () => false,
  );
}

function byCommand(vhost: string) {
  return {
    async add() {
      await run('rabbitmqctl', ['add_vhost', vhost]);
      await run('rabbitmqctl', ['set_permissions', '-p', vhost, user, '.*', '.*', '.*']);
    },
    remove: async () => void (await run('rabbitmqctl', ['delete_vhost', vhost])),
  };
}

function byHttp(vhost: string) {
  const password = decodeURIComponent(BROKER.password) || 'guest';
  const headers = {
    authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
    'content-type': 'application/json',
  };
  const call = async (method: string, path: string, body?: object) => {
    const answer = await fetch(`http://${BROKER.hostname}:15672/api/${path}`, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`RabbitMQ's management interface: ${method} ${path}: ${answer.status}`);
  };
  return {
    async add() {
      await call('PUT', `vhosts/${vhost}`);
      await call('PUT', `permissions/${vhost}/${user}`, { configure: '.*', write: '.*', read: '.*' });
    },
    remove: () => call('DELETE', `vhosts/${vhost}`),
  };
}
