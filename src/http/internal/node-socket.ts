import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const watchers = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `onDestroy` in the async context of whoever destroys the connection of the response by hand, so that the
 * handler can be told from a client that left, and from a server that shuts down. Returns what ends it.
 */
export function watchSocket(res: ServerResponse, onDestroy: () => void): () => void {
  const { socket } = res;
  // HTTP/2 lets nobody touch its socket.
  if (!socket || res.req.httpVersionMajor !== 1) return () => undefined;
  const listeners = watchers.get(socket) ?? watch(socket);
  listeners.add(onDestroy);
  return () => void listeners.delete(onDestroy);
}

/** Once for a connection, which serves many requests. */
function watch(socket: Socket): Set<() => void> {
  const listeners = new Set<() => void>();
  const destroy = socket.destroy.bind(socket);
  socket.destroy = (error) => {
    for (const listener of listeners) listener();
    return destroy(error);
  };
  watchers.set(socket, listeners);
  return listeners;
}
