import { invalid } from '../../core/check.js';
import { isConditionFailure, toDynamoError } from './errors.js';

/**
 * The method of a `DynamoDBDocumentClient` (or a plain `DynamoDBClient`) that the store calls. A structural type, so that
 * importing the store does not need the AWS SDK or its types.
 */
export interface DocumentClient {
  send(command: never, options?: { abortSignal?: AbortSignal }): Promise<unknown>;
}

export type Attributes = Record<string, unknown>;

/** An expression with attributes as `#name`, and the values of its `:value` placeholders. */
export interface Condition {
  readonly expression: string;
  readonly values?: Attributes;
}

interface Commands {
  readonly GetCommand: CommandClass;
  readonly PutCommand: CommandClass;
  readonly UpdateCommand: CommandClass;
}
type CommandClass = new (input: object) => object;
interface Output {
  readonly Item?: Attributes;
  readonly Attributes?: Attributes;
}

/**
 * The definition of the table, for `CreateTableCommand`.
 * @example await client.send(new CreateTableCommand(tableDefinition({ table: 'idempotency' })));
 */
export function tableDefinition({ table }: { readonly table: string }) {
  return {
    TableName: table,
    AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' as const }],
    KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' as const }],
    BillingMode: 'PAY_PER_REQUEST' as const,
  };
}

/**
 * The setting that makes DynamoDB delete records after their retention, for `UpdateTimeToLiveCommand`.
 * @example await client.send(new UpdateTimeToLiveCommand(timeToLive({ table: 'idempotency' })));
 */
export function timeToLive({ table }: { readonly table: string }) {
  return { TableName: table, TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true } };
}

/** The requests that the store makes: each on one item, and each write with a condition. */
export class DynamoTable {
  constructor(
    private readonly client: DocumentClient,
    private readonly name: string,
    private readonly timeoutMs: number,
  ) {}

  /** Strongly consistent. */
  async get(pk: string): Promise<Attributes | undefined> {
    const input = { TableName: this.name, Key: { pk }, ConsistentRead: true };
    return (await this.#send('GetCommand', input)).Item;
  }

  /** @returns whether the condition held */
  async put(item: Attributes, condition: Condition): Promise<boolean> {
    const input = { TableName: this.name, Item: item, ...expressions(condition) };
    return await this.#unless(this.#send('PutCommand', input));
  }

  /** Sets the attributes, removes those that are undefined. @returns whether the condition held */
  async update(pk: string, changes: Attributes, condition: Condition): Promise<boolean> {
    const names = Object.keys(changes);
    const set = names.filter((name) => changes[name] !== undefined);
    const removed = names.filter((name) => changes[name] === undefined).map((name) => `#${name}`);
    const update = [
      `SET ${set.map((name) => `#${name} = :${name}`).join(', ')}`,
      removed.length > 0 ? `REMOVE ${removed.join(', ')}` : '',
    ].join(' ');
    const values = Object.fromEntries(set.map((name) => [`:${name}`, changes[name]]));
    return await this.evaluate(pk, { expression: update, values }, condition);
  }

  /** @returns whether the condition held */
  async evaluate(pk: string, update: Condition, condition: Condition): Promise<boolean> {
    return await this.#unless(this.#send('UpdateCommand', this.#updating(pk, update, condition)));
  }

  /** Adds one to a number. @returns the new value @throws if the condition does not hold */
  async count(pk: string, name: string, condition: Condition, timeoutMs: number): Promise<unknown> {
    const adding = { expression: `ADD #${name} :one`, values: { ':one': 1 } };
    const input = { ...this.#updating(pk, adding, condition), ReturnValues: 'UPDATED_NEW' };
    return (await this.#send('UpdateCommand', input, timeoutMs)).Attributes?.[name];
  }

  #updating(pk: string, update: Condition, condition: Condition) {
    const conditional = expressions(condition, update);
    return { TableName: this.name, Key: { pk }, UpdateExpression: update.expression, ...conditional };
  }

  async #unless(sent: Promise<unknown>): Promise<boolean> {
    try {
      await sent;
      return true;
    } catch (error) {
      if (isConditionFailure(error)) return false;
      throw error;
    }
  }

  async #send(command: keyof Commands, input: object, timeoutMs = this.timeoutMs): Promise<Output> {
    const commands = await loadCommands();
    try {
      // Without a timeout, a request to a frozen server would keep its socket, and the process, alive for ever (G8).
      const options = { abortSignal: AbortSignal.timeout(timeoutMs) };
      return (await this.client.send(new commands[command](input) as never, options)) as Output;
    } catch (error) {
      if (isConditionFailure(error)) throw error;
      throw toDynamoError(error, this.name, howToCreate(this.name));
    }
  }
}

function expressions(condition: Condition, update?: Condition) {
  const text = condition.expression + (update?.expression ?? '');
  const values = { ...condition.values, ...update?.values };
  return {
    ConditionExpression: condition.expression,
    ExpressionAttributeNames: Object.fromEntries(
      [...text.matchAll(/#(\w+)/g)].map(([alias, name]) => [alias, name]),
    ),
    ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values }),
  };
}

/** The commands of `@aws-sdk/lib-dynamodb`, loaded at the first use. */
let loading: Promise<Commands> | undefined;

async function loadCommands(): Promise<Commands> {
  loading ??= import('@aws-sdk/lib-dynamodb') as Promise<object> as Promise<Commands>;
  try {
    return await loading;
  } catch (cause) {
    loading = undefined;
    const message = 'DynamoDBStore needs @aws-sdk/lib-dynamodb: npm install @aws-sdk/lib-dynamodb';
    throw invalid(message, { cause });
  }
}

function howToCreate(table: string): string {
  const definition = JSON.stringify(tableDefinition({ table }));
  return (
    "check its name and the client's region, or create it with " +
    `new CreateTableCommand(tableDefinition({ table })), or: aws dynamodb create-table --cli-input-json '${definition}'`
  );
}
