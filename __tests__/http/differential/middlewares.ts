import { createRequire } from 'node:module';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';

export type Next = (error?: unknown) => void;
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: Next) => void;
type Factory = (options?: object) => Middleware;

// Most bring no types, and none are needed for what is done with them here.
const require = createRequire(import.meta.url);
export const compression = require('compression') as Factory;
export const cookieSession = require('cookie-session') as Factory;
export const session = require('express-session') as Factory;
export const responseTime = require('response-time') as Factory;
export const cors = require('cors') as Factory;
export const helmet = require('helmet') as Factory;
export const onHeaders = require('on-headers') as (res: ServerResponse, listener: () => void) => void;
export const morgan = require('morgan') as (format: string, options: { stream: object }) => Middleware;
export const timeout = require('connect-timeout') as (ms: number, options?: object) => Middleware;
export const multer = require('multer') as () => { any(): Middleware };
export const busboy = require('busboy') as (options: { headers: object }) => Writable;
export const httpProxy = require('http-proxy') as {
  createProxyServer(): {
    web(req: IncomingMessage, res: ServerResponse, options: object, failed: (error: Error) => void): void;
    close(): void;
  };
};
export const fastifyPlugins = {
  compress: require('@fastify/compress') as never,
  cookie: require('@fastify/cookie') as never,
  multipart: require('@fastify/multipart') as never,
  cors: require('@fastify/cors') as never,
};
