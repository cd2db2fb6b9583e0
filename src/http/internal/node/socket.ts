import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Returns whether the connection must stay open for now. The listener then destroys it later. */
type OnDestroy = () => boolean;
const watchers = new WeakMap<Socket, Set<OnDestroy>>();

/**
 * Calls `onDestroy` when code destroys the connection of the response, in the async context of that code. So a handler can be
 * distinguished from a client that left and from a server that shuts down. Returns a function that stops watching.
 */
export function watchSocket(res: ServerResponse, onDestroy: OnDestroy): () => void {
  const { socket } = res;
  // The socket of HTTP/2 can't be accessed.
  if (!socket || res.req.httpVersionMajor !== 1) return () => undefined;
  const listeners = watchers.get(socket) ?? watch(socket);
  listeners.add(onDestroy);
  return () => void listeners.delete(onDestroy);
}

/** Hooks a connection once, because it serves many requests. */
function watch(socket: Socket): Set<OnDestroy> {
  const listeners = new Set<OnDestroy>();
  const destroy = socket.destroy.bind(socket);
  socket.destroy = (error) => {
    const isKept = [...listeners].map((listener) => listener()).includes(true);
    return isKept ? socket : destroy(error);
  };
  watchers.set(socket, listeners);
  return listeners;
}
