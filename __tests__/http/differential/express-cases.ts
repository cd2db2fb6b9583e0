import { Readable, Writable } from 'node:stream';
import type { NextFunction, Request, Response } from 'express';
import * as with3rd from './middlewares.js';
import { FILE, NODE_HANDLERS } from './node-handlers.js';

export interface ExpressCase {
  readonly handler: (req: Request, res: Response, next: NextFunction) => unknown;
  /** Before us, made anew for each route. */
  readonly front?: () => with3rd.Middleware[];
  /** Between us and the handler. */
  readonly behind?: () => with3rd.Middleware[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The versions of Express that have it. */
  readonly only?: 4 | 5;
}

const JSON_BODY = { id: 1, text: 'abc '.repeat(600) };
const GZIP = { 'Accept-Encoding': 'gzip' };
const json = (_: Request, res: Response) => res.status(201).json(JSON_BODY);
const login = (req: Request, res: Response) => {
  (req as unknown as { session: { user: string } }).session.user = 'ann';
  res.json({ ok: true });
};
const later = () => new Promise<void>((resolve) => setImmediate(resolve));
const silent = new Writable({ write: (_chunk, _encoding, done) => done() });

const secret = { secret: 's', resave: false, saveUninitialized: true, genid: () => 'one' };
const keys = { keys: ['a'] };
const guard: with3rd.Middleware = (req, res, next) =>
  req.headers.authorization ? next() : void res.writeHead(401, { 'WWW-Authenticate': 'Basic' }).end('who?');

/** Each of these stands before, behind and around. */
const MIDDLEWARES: Readonly<Record<string, () => with3rd.Middleware>> = {
  compression: () => with3rd.compression({ threshold: 10 }),
  'compression of large bodies': () => with3rd.compression({ threshold: 100_000 }),
  'cookie-session': () => with3rd.cookieSession(keys),
  'express-session': () => with3rd.session(secret),
  'response-time': () => with3rd.responseTime({ digits: 0 }),
  cors: () => with3rd.cors({ origin: 'http://a.example', credentials: true }),
  helmet: () => with3rd.helmet(),
  morgan: () => with3rd.morgan('combined', { stream: silent }),
  'a timer': () => with3rd.timeout(10_000),
  'a guard': () => guard,
  'a listener of headers': () => (_req, res, next) => {
    with3rd.onHeaders(res, () => res.setHeader('X-Listened', String(res.statusCode)));
    next();
  },
  'an end of its own': () => (_req, res, next) => {
    const end = res.end.bind(res) as (...args: unknown[]) => unknown;
    res.end = ((...args: unknown[]) => (
      res.headersSent || res.setHeader('X-Own', '1'),
      end(...args)
    )) as never;
    next();
  },
  'a json of its own': () => (_req, res, next) => {
    const response = res as Response;
    const send = response.json.bind(res);
    response.json = (value: unknown) => send({ wrapped: value });
    next();
  },
};

const ANSWERS: Readonly<Record<string, ExpressCase['handler']>> = {
  json,
  stream: (_, res) => void Readable.from(['one,', 'two,', 'three']).pipe(res),
  'early head': async (_, res) => {
    res.writeHead(202, { 'Content-Type': 'text/plain' });
    await later();
    res.end('later');
  },
};

function around(): [string, ExpressCase][] {
  return Object.entries(MIDDLEWARES).flatMap(([name, make]) =>
    Object.entries(ANSWERS).flatMap(([answer, handler]): [string, ExpressCase][] => [
      [`${name} before us: ${answer}`, { handler, front: () => [make()], headers: GZIP }],
      [`${name} behind us: ${answer}`, { handler, behind: () => [make()], headers: GZIP }],
      [
        `${name} around us: ${answer}`,
        { handler, front: () => [make()], behind: () => [make()], headers: { ...GZIP, Authorization: 'x' } },
      ],
    ]),
  );
}

const OWN: Readonly<Record<string, ExpressCase['handler']>> = {
  'res.json': json,
  'res.json of null': (_, res) => res.json(null),
  'res.send of text': (_, res) => res.send('<p>grüße</p>'),
  'res.send of bytes': (_, res) => res.send(Buffer.of(1, 2, 255)),
  'res.send of an object': (_, res) => res.send({ a: 1 }),
  'res.send of nothing': (_, res) => res.send(),
  'res.send of an empty text': (_, res) => res.send(''),
  'res.sendStatus': (_, res) => res.sendStatus(202),
  'res.sendStatus 404': (_, res) => res.sendStatus(404),
  'res.status 204': (_, res) => res.status(204).send('gone'),
  'res.status 205': (_, res) => res.status(205).send('gone'),
  'res.status 304': (_, res) => res.status(304).send('gone'),
  'res.redirect': (_, res) => res.redirect('/other'),
  'res.redirect 303': (_, res) => res.redirect(303, 'http://shop.example/ä'),
  'res.location': (_, res) => res.status(201).location('/orders/7').end(),
  'res.cookie': (_, res) => res.cookie('a', 'b', { httpOnly: true, maxAge: 0 }).send('x'),
  'res.clearCookie': (_, res) => res.clearCookie('a').send('x'),
  'res.type': (_, res) => res.type('png').send(Buffer.of(137)),
  'res.format': (_, res) => res.format({ json: () => res.json({ a: 1 }), text: () => res.send('a') }),
  'res.format of what nobody takes': (_, res) => res.format({ 'image/png': () => res.end() }),
  'res.attachment': (_, res) => res.attachment('Rechnung ä.pdf').send('pdf'),
  'res.download': (_, res) => res.download(FILE, 'site.txt'),
  'res.download of nothing': (_, res, next) => res.download('/none', (error) => error && next(error)),
  'res.sendFile': (_, res) => res.sendFile(FILE),
  'res.jsonp': (_, res) => res.jsonp({ a: '\u2028' }),
  'res.links': (_, res) => res.links({ next: '/2' }).send('x'),
  'res.vary': (_, res) => res.vary('Origin').send('x'),
  'res.append': (_, res) => res.append('Warning', '199 a').append('Warning', '199 b').send('x'),
  'a strong ETag': (_, res) => res.set('ETag', '"1"').send('x'),
  'headers that forbid caching': (_, res) =>
    res.set({ 'CDN-Cache-Control': 'no-store', 'Surrogate-Control': 'no-store' }).send('x'),
  'what may be cached, with a cookie': (_, res) =>
    res.cookie('a', 'b').set('Cache-Control', 'public, max-age=60').send('x'),
  'an error that is thrown': () => {
    throw new Error('down');
  },
  'an error that is passed on': (_req, _res, next) => next(new Error('down')),
  'an error with a status': (_req, _res, next) => next(Object.assign(new Error('no funds'), { status: 402 })),
  'an error later': async (_req, _res, next) => (await later(), next(new Error('down'))),
  'an error after headers': async (_req, res, next) => (
    res.write('half'),
    await later(),
    next(new Error('down'))
  ),
  'an error after the end': (_req, res, next) => (res.json({ a: 1 }), next(new Error('late'))),
  'no handler after all': (_req, _res, next) => next(),
  'next route': (_req, _res, next) => next('route'),
  'a header value that HTTP can not carry': (_, res) => res.writeHead(201, { location: '/’' }).end('x'),
  'the parsed body': (req, res) => res.json({ body: req.body as unknown }),
};

const MULTIPART = [
  ...['--b', 'Content-Disposition: form-data; name="a"', '', '1'],
  ...['--b', 'Content-Disposition: form-data; name="f"; filename="f.txt"', 'Content-Type: text/plain', ''],
  ...['file', '--b--', ''],
].join('\r\n');
const upload = { 'Content-Type': 'multipart/form-data; boundary=b' };
const unread = { 'Content-Type': 'application/x-unread' };

const SPECIAL: Readonly<Record<string, ExpressCase>> = {
  'an error that is rejected': { handler: () => Promise.reject(new Error('down')), only: 5 },
  'a range of a file': { handler: (_, res) => res.sendFile(FILE), headers: { Range: 'bytes=0-9' } },
  'a range that can not be': { handler: (_, res) => res.sendFile(FILE), headers: { Range: 'bytes=999999-' } },
  'a conditional request': {
    handler: (_, res) => res.set('ETag', '"1"').send('x'),
    headers: { 'If-None-Match': '"1"' },
  },
  'a callback of JSONP': { handler: (_, res) => res.jsonp({ a: 1 }), headers: { Accept: '*/*' } },
  'a text that was parsed': {
    handler: (req, res) => res.send(req.body),
    headers: { 'Content-Type': 'text/plain' },
    body: 'grüße',
  },
  'a form that was parsed': {
    handler: (req, res) => res.json(req.body),
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'a=1&b=2',
  },
  'bytes that were parsed': {
    handler: (req, res) => res.json((req.body as Buffer).length),
    headers: { 'Content-Type': 'application/octet-stream' },
    body: 'abc',
  },
  'JSON that can not be parsed': { handler: json, body: '{' },
  'an upload by multer': {
    handler: (req, res) =>
      res.json({ files: (req as { files?: unknown[] }).files?.length, body: req.body as unknown }),
    behind: () => [with3rd.multer().any()],
    headers: upload,
    body: MULTIPART,
  },
  'an upload by multer before us': {
    handler: (req, res) => res.json({ files: (req as { files?: unknown[] }).files?.length }),
    front: () => [with3rd.multer().any()],
    headers: upload,
    body: MULTIPART,
  },
  'an upload by busboy': {
    handler: (req, res) => {
      const names: string[] = [];
      const parser = with3rd.busboy({ headers: req.headers });
      parser.on('file', (name: string, file: Readable) => (names.push(name), file.resume()));
      parser.on('field', (name: string) => names.push(name));
      parser.on('close', () => res.json(names));
      req.pipe(parser);
    },
    headers: upload,
    body: MULTIPART,
  },
  'a body that the handler reads': {
    handler: async (req, res) => {
      let size = 0;
      for await (const chunk of req) size += (chunk as Buffer).length;
      res.json({ size });
    },
    headers: unread,
    body: 'x'.repeat(100_000),
  },
  'a body that nobody reads': { handler: json, headers: unread, body: 'x'.repeat(100_000) },
  'a body that nobody reads, and an error': {
    handler: (_req, _res, next) => next(new Error('down')),
    headers: unread,
    body: 'x'.repeat(100_000),
  },
  'a proxy': {
    handler: (req, res, next) => {
      const target = `http://127.0.0.1:${req.socket.localPort}/sentinel`;
      with3rd.httpProxy.createProxyServer().web(req, res, { target, ignorePath: true }, next);
    },
    headers: unread,
    body: 'x'.repeat(1_000),
  },
  'a body that is echoed as it comes': {
    handler: (req, res) => req.pipe(res),
    headers: unread,
    body: 'x'.repeat(1_000),
  },
};

/** Every case of Express, by name. */
export const EXPRESS_CASES: Readonly<Record<string, ExpressCase>> = {
  ...Object.fromEntries(
    Object.entries(NODE_HANDLERS).map(([name, handler]) => [`Node: ${name}`, { handler }]),
  ),
  ...Object.fromEntries(Object.entries(OWN).map(([name, handler]) => [name, { handler }])),
  ...SPECIAL,
  ...Object.fromEntries(around()),
  'a session that is used, behind us': { handler: login, behind: () => [with3rd.cookieSession(keys)] },
  'a session that is used, before us': { handler: login, front: () => [with3rd.cookieSession(keys)] },
  'a session of express-session, behind us': { handler: login, behind: () => [with3rd.session(secret)] },
  'a session of express-session, before us': { handler: login, front: () => [with3rd.session(secret)] },
};
