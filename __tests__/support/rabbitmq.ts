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
 * Describes what needs the RabbitMQ of AMQP_URL, or else the one on the local default port. Where none answers, or none
 * that lets us make a virtual host, it says so once, and its tests are skipped; in CI that is a failure.
 */
export async function describeOnRabbitMq(name: string, tests: () => void): Promise<void> {
  const fault = await whyNoRabbitMq();
  if (fault === undefined) return describe(name, tests);
  const sentence = `${fault.message}: "${name}" IS NOT TESTED`;
  process.stderr.write(`\n${'!'.repeat(sentence.length)}\n${sentence}\n${'!'.repeat(sentence.length)}\n\n`);
  if (process.env['CI']) {
    test(`${name}: a RabbitMQ answers`, () => {
      throw new Error(sentence, { cause: fault.cause });
    });
  } else describe.skip(name, tests);
}

async function whyNoRabbitMq(): Promise<Error | undefined> {
  try {
    await connect(BROKER.href, { timeout: 3_000 }).then(closed);
  } catch (cause) {
    return new Error(`NO RABBITMQ ANSWERS at ${BROKER.host}. Start one, or set AMQP_URL`, { cause });
  }
  return whyNoVirtualHosts(BROKER);
}

/** The tests make a virtual host of their own, so that they meet no queue of anybody else's. */
export async function whyNoVirtualHosts(broker: URL): Promise<Error | undefined> {
  if (await mayControl(broker)) return undefined;
  try {
    await askManagement(broker, 'GET', 'whoami');
    return undefined;
  } catch (cause) {
    const message =
      `THE RABBITMQ at ${broker.host} LETS NOBODY HERE MAKE A VIRTUAL HOST: rabbitmqctl is not here or may not, and ` +
      `its management plugin does not answer. Run "rabbitmq-plugins enable rabbitmq_management"`;
    return new Error(message, { cause });
  }
}

const closed = (connection: ChannelModel): Promise<undefined> => connection.close().then(() => undefined);

/** Makes a virtual host, by rabbitmqctl where it is here and may, else by the management plugin's HTTP interface. */
export async function makeVirtualHost(): Promise<VirtualHost> {
  const vhost = `twiceshy-test-${randomUUID()}`;
  const admin = (await mayControl(BROKER)) ? byCommand(vhost) : byHttp(vhost);
  await admin.add();
  const url = new URL(BROKER);
  url.pathname = `/${vhost}`;
  return { url: url.href, remove: admin.remove };
}

const userOf = ({ username }: URL) => decodeURIComponent(username) || 'guest';
const user = userOf(BROKER);

async function mayControl({ hostname }: URL): Promise<boolean> {
  if (!['127.0.0.1', 'localhost', '[::1]'].includes(hostname)) return false;
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
  const call = (method: string, path: string, body?: object) => askManagement(BROKER, method, path, body);
  return {
    async add() {
      await call('PUT', `vhosts/${vhost}`);
      await call('PUT', `permissions/${vhost}/${user}`, { configure: '.*', write: '.*', read: '.*' });
    },
    remove: () => call('DELETE', `vhosts/${vhost}`),
  };
}

async function askManagement(broker: URL, method: string, path: string, body?: object): Promise<void> {
  const password = decodeURIComponent(broker.password) || 'guest';
  const headers = {
    authorization: `Basic ${Buffer.from(`${userOf(broker)}:${password}`).toString('base64')}`,
    'content-type': 'application/json',
  };
  const answer = await fetch(`http://${broker.hostname}:15672/api/${path}`, {
    ...{ method, headers, signal: AbortSignal.timeout(5_000) },
    ...(body && { body: JSON.stringify(body) }),
  });
  await answer.body?.cancel();
  if (!answer.ok) throw new Error(`RabbitMQ's management interface: ${method} ${path}: ${answer.status}`);
}
