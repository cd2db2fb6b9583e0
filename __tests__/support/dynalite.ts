import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
// @ts-expect-error dynalite brings no types
import dynalite from 'dynalite';
import { tableDefinition } from '../../src/stores/dynamodb/store.js';

/** What becomes of a request on its way. */
export type WireFault =
  /** The connection breaks before DynamoDB has seen the request. */
  | 'lose-request'
  /** DynamoDB executes the request, and the connection breaks before the answer. */
  | 'lose-answer'
  /** Executed, and never answered. */
  | 'freeze'
  /** Refused with an error of that name. */
  | { readonly status: number; readonly name: string };

/** A DynamoDB of this test's own, in this process, on a free port of the loopback. */
export interface PrivateDynamo {
  readonly port: number;
  /** The operations that arrived, by name. */
  readonly requests: string[];
  /** Asked about each request: its operation, and how many requests came before. */
  fault: ((operation: string, index: number) => WireFault | undefined) | undefined;
  /** A client that resends nothing by itself unless told to, on connections of its own. */
  client(maxAttempts?: number): DynamoDBDocumentClient;
  createTable(table: string): Promise<void>;
  stop(): Promise<void>;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export async function startDynamo(): Promise<PrivateDynamo> {
  // Of the Node version; it would stand above every result.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  const make = dynalite as (options: object) => Server;
  const server = make({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
  const sockets = new Set<Socket>();
  const clients: DynamoDBClient[] = [];
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const open = (maxAttempts: number): DynamoDBClient => {
    const client = new DynamoDBClient({
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      maxAttempts,
    });
    clients.push(client);
    return client;
  };
  const dynamo: PrivateDynamo = {
    port,
    requests: [],
    fault: undefined,
    client: (maxAttempts = 1) => DynamoDBDocumentClient.from(open(maxAttempts)),
    createTable: async (table) =>
      void (await open(3).send(new CreateTableCommand(tableDefinition({ table })))),
    async stop() {
      for (const client of clients) client.destroy();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
  putInBetween(server, dynamo);
  return dynamo;
}

function putInBetween(server: Server, dynamo: PrivateDynamo): void {
  const [handle] = server.listeners('request') as Handler[];
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    const operation = String(request.headers['x-amz-target']).split('.')[1] ?? '';
    const fault = dynamo.fault?.(operation, dynamo.requests.length);
    dynamo.requests.push(operation);
    if (fault === 'lose-request') return void request.socket.destroy();
    if (typeof fault === 'object') return void refuse(request, response, fault);
    // dynalite listens to its own end: only what goes out is replaced.
    if (fault === 'lose-answer') response.end = () => (request.socket.destroy(), response);
    if (fault === 'freeze') response.end = () => response;
    handle?.(request, response);
  });
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  { status, name }: { readonly status: number; readonly name: string },
): void {
  request.resume().once('end', () => {
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(
      JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${name}`, message: 'refused by the test' }),
    );
  });
}
