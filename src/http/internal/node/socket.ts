import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Answers whether the connection is to stay a little longer: whoever is asked destroys it then. */
type OnDestroy = () => boolean;
const watchers = new WeakMap<Socket, Set<OnDestroy>>();

/**
 * Calls `onDestroy` in the async context of whoever destroys the connection of the response by hand, so that the
 * handler can be told from a client that left, and from a server that shuts down. Returns what ends it.
 */
export function watchSocket(res: ServerResponse, onDestroy: OnDestroy): () => void {
  const { socket } = res;
  // HTTP/2 lets nobody touch its socket.
  if (!socket || res.req.httpVersionMajor !== 1) return () => undefined;
  const listeners = watchers.get(socket) ?? watch(socket);
  listeners.add(onDestroy);
  return () => void listeners.delete(onDestroy);
}

/** Once for a connection, which serves many requests. */
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
