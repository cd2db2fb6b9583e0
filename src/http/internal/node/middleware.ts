import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Attempt } from '../../../core/attempt/attempt.js';
import type { Exchange } from '../exchange/exchange.js';
import type { Facts } from '../exchange/facts.js';
import { parsedBody } from './body.js';
import { checkAnswer, writeAnswer } from './answer.js';
import { toldError } from '../exchange/told-errors.js';
import { NodeRecording } from './recording.js';

/** What an adapter for Node's HTTP server brings, beside the request. */
export interface NodeExchange {
  readonly raw: IncomingMessage;
  readonly res: ServerResponse;
  /** The parsed body. */
  readonly body: unknown;
  /** What to do about a body that nobody parsed. */
  readonly bodyRemedy: string;
  /** The path as the client asked for it, with the query. */
  readonly url: string;
  /** The route's pattern, mount point included, where the framework tells it. */
  readonly route: string | undefined;
  /** Starts the handler: as protected work, or without an attempt. */
  readonly next: (attempt?: Attempt) => void;
  /** What to say where no caller is named. */
  readonly scopeHint?: string;
  /** Hands an error to the framework. */
  readonly fail: (error: unknown) => void;
  /** Takes the response from the framework, to be written by hand. */
  readonly takeOver?: () => void;
}

/** Answers one request of Node's HTTP server. */
export async function serveNode<Req extends object>(
  exchange: Exchange<Req>,
  request: Req,
  node: NodeExchange,
): Promise<void> {
  const { res } = node;
  let recording: NodeRecording | undefined;
  try {
    const reply = await exchange.answer(request, factsOf(request, node), (attempt) => {
      recording = new NodeRecording(res, attempt, exchange.settings);
      node.next(attempt);
      return recording.ended.then((handled) => ({ ...toldError(res), ...handled }));
    });
    if (recording)
      return reply.kind === 'own'
        ? recording.release()
        : recording.replaceBy(reply.kind === 'answer' ? reply.answer : undefined);
    switch (reply.kind) {
      case 'pass':
        return node.next();
      case 'answer':
        checkAnswer(reply.answer);
        node.takeOver?.();
        return writeAnswer(res, reply.answer);
      case 'throw':
        return node.fail(reply.error);
      case 'own':
      case 'left':
        return;
    }
  } catch (error) {
    if (recording) recording.replaceBy(undefined);
    else node.fail(error);
  }
}

function factsOf<Req>(
  request: Req,
  { raw, res, body, bodyRemedy, url, route, scopeHint }: NodeExchange,
): Facts<Req> {
  const at = url.indexOf('?');
  const path = at < 0 ? url : url.slice(0, at);
  return {
    method: raw.method ?? '',
    path,
    query: at < 0 ? '' : url.slice(at),
    route: route ?? path,
    header(name) {
      return oneOf(raw.headers[name]);
    },
    host: () => raw.headers.host ?? oneOf(raw.headers[':authority']),
    asked: () => [request],
    isReading: () => false,
    mark: (name, value) => void res.setHeader(name, value),
    body: () => parsedBody(raw, body, bodyRemedy),
    scopeHint,
    comesOnce: true,
    onGone(listener) {
      if (res.destroyed) listener();
      else res.once('close', listener);
    },
  };
}

const oneOf = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value;
