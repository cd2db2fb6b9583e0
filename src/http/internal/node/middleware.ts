import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Attempt } from '../../../core/attempt/attempt.js';
import type { Exchange } from '../exchange/exchange.js';
import type { Facts } from '../exchange/facts.js';
import { parsedBody } from './body.js';
import { checkAnswer, writeAnswer } from './answer.js';
import { notedError } from '../exchange/noted-errors.js';
import { NodeRecording } from './recording.js';

/** What the adapter of a Node framework provides, besides the request. */
export interface NodeExchange {
  readonly raw: IncomingMessage;
  readonly res: ServerResponse;
  /** The parsed body. */
  readonly body: unknown;
  /** Advice for an error about a body that was not parsed. */
  readonly bodyRemedy: string;
  /** The path that the client requested, with the query. */
  readonly url: string;
  /** The route's pattern with its mount point, if the framework has one. */
  readonly route: string | undefined;
  /** Starts the handler, with an attempt if it is protected. */
  readonly next: (attempt?: Attempt) => void;
  /** Advice for a warning about a request whose caller is not known. */
  readonly scopeHint?: string;
  /** Passes an error to the framework. */
  readonly fail: (error: unknown) => void;
  /** Tells the framework that the response is written here. */
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
    const reply = await exchange.answer(request, requestFacts(request, node), (attempt) => {
      recording = new NodeRecording(res, attempt, exchange.settings);
      node.next(attempt);
      return recording.ended.then((handled) => ({ ...notedError(res), ...handled }));
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

function requestFacts<Req>(
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
      return joined(raw.headers[name]);
    },
    host: () => raw.headers.host ?? joined(raw.headers[':authority']),
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

const joined = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value;
