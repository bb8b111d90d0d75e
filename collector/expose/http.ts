// HTTP: the page, the API, metrics and health. Loopback without a token, everything else with one; /healthz is always open.
// Rule: it reads and never waits on the packet path; what it takes in are Alertmanager's hints, and commands of people who say who they are.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import express, { type NextFunction, type Request, type Response } from 'express';
import helmet from 'helmet';
import { withoutEvents, type Incident } from '../event.ts';

export interface HttpParts {
  address: string;
  port: number;
  /** Required of every request but /healthz when set. */
  token: string | undefined;
  incidents(): Incident[];
  incident(id: string): Incident | undefined;
  metrics(): Promise<string>;
  metricsContentType: string;
  /** What became of every datagram and report. */
  accounting(): object;
  /** What the fabric did to a workload or pod; throws an Error with a plain sentence when asked badly. */
  why(subject: string, at: string | undefined): object;
  page(): string;
  /** Empty when ready, else the reasons why not. */
  notReady(): string[];
  /** The safe loop, where rules of it are configured; its verbs throw an Error with a plain sentence when asked badly. */
  remediation?: {
    status(): object;
    approve(hash: string, who: string): void;
    decline(hash: string, who: string): void;
    revert(who: string): void;
    stop(who: string): void;
    resume(who: string): void;
  };
  /** Webhooks: how endpoints stand, what was given up, and its replay; verbs throw an Error with a plain sentence when asked badly. */
  webhooks: {
    status(): object;
    deadLetters(filter: DeadLetterQuery): object[];
    replay(filter: DeadLetterQuery, who: string): string[];
    enable(endpoint: string, who: string): void;
  };
  /** Takes an Alertmanager payload; throws an Error with a plain sentence on a bad one. */
  alertmanager(body: unknown): unknown;
}

/** Which dead letters. */
export interface DeadLetterQuery {
  id?: string | undefined;
  endpoint?: string | undefined;
  sinceUnixMs?: number | undefined;
  untilUnixMs?: number | undefined;
}

export class HttpServer {
  readonly #server: Server;
  readonly port: number;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Listens. Rejects with a plain sentence when the address or port cannot be had. */
  static open(parts: HttpParts): Promise<HttpServer> {
    const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 16_384 }, buildApp(parts));
    server.maxConnections = 256;
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const where = `HTTP ${parts.address} port ${parts.port}`;
        const reasons: Record<string, string> = {
          EADDRINUSE: `${where} is taken by another process; choose another http.port or stop that process`,
          EADDRNOTAVAIL: `${where}: this machine has no such address; set http.address to one that it has`,
          EACCES: `${where}: not permitted; choose an http.port above 1023`,
        };
        reject(new Error(reasons[error.code ?? ''] ?? `${where}: ${error.message}`));
      });
      server.listen(parts.port, parts.address, () => resolve(new HttpServer(server)));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

function buildApp(parts: HttpParts): express.Express {
  const app = express();
  app.disable('x-powered-by');
  // Plain HTTP is served: telling browsers to come by https would break every link of the page.
  app.use(helmet({ contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } }, strictTransportSecurity: false }));
  app.get('/healthz', (_request, response) => void response.json({ status: 'ok' }));
  app.use(parts.token === undefined ? refuseForeignHosts : requireToken(parts.token));
  app.get('/readyz', (_request, response) => {
    const reasons = parts.notReady();
    response.status(reasons.length === 0 ? 200 : 503).json({ ready: reasons.length === 0, reasons });
  });
  app.get('/', (_request, response) => void response.type('html').send(parts.page()));
  app.get('/metrics', async (_request, response) => {
    response.set('content-type', parts.metricsContentType).send(await parts.metrics());
  });
  app.get('/api/v1/accounting', (_request, response) => void response.json(parts.accounting()));
  app.get('/api/v1/why', (request, response) => {
    const { subject, at } = request.query;
    try {
      if (typeof subject !== 'string') throw new Error('subject must be NAMESPACE/NAME');
      response.json(parts.why(subject, typeof at === 'string' ? at : undefined));
    } catch (error) {
      response.status(400).json({ error: (error as Error).message });
    }
  });
  app.get('/api/v1/incidents', (request, response) => {
    const { state } = request.query;
    if (state !== undefined && state !== 'open' && state !== 'closed') {
      response.status(400).json({ error: 'state must be open or closed' });
      return;
    }
    const incidents = parts.incidents().filter((incident) => state === undefined || incident.state === state);
    response.json({ incidents: incidents.map(withoutEvents) });
  });
  app.get('/api/v1/incidents/:id', (request, response) => {
    const incident = parts.incident(request.params.id);
    if (incident === undefined) response.status(404).json({ error: `no incident has the id ${request.params.id}` });
    else response.json(incident);
  });
  app.get('/api/v1/remediation', (_request, response) => {
    if (parts.remediation === undefined) response.status(404).json({ error: 'no rules of remediation are configured' });
    else response.json(parts.remediation.status());
  });
  const commands = express.json({ limit: '10kb' });
  app.post('/api/v1/remediation/:verb', commands, (request, response) => {
    answerCommand(request, response, (verb, body, who) => {
      const { remediation } = parts;
      if (remediation === undefined) throw new Error('no rules of remediation are configured');
      if (!isOneOf(REMEDIATION_VERBS, verb)) throw new Error(`must be one of ${REMEDIATION_VERBS.join(', ')}`);
      if (verb === 'approve' || verb === 'decline') remediation[verb](String(body['hash']), who);
      else remediation[verb](who);
      return { accepted: true };
    });
  });
  app.get('/api/v1/webhooks', (_request, response) => void response.json(parts.webhooks.status()));
  app.get('/api/v1/webhooks/dead', (request, response) => {
    try {
      response.json({ deadLetters: parts.webhooks.deadLetters(deadLetterQueryOf(request.query)) });
    } catch (error) {
      response.status(400).json({ error: (error as Error).message });
    }
  });
  app.post('/api/v1/webhooks/:verb', commands, (request, response) => {
    answerCommand(request, response, (verb, body, who) => {
      if (verb === 'replay') return { replayed: parts.webhooks.replay(deadLetterQueryOf(body), who) };
      if (verb !== 'enable') throw new Error('must be replay or enable');
      parts.webhooks.enable(String(body['endpoint']), who);
      return { accepted: true };
    });
  });
  app.post('/api/v1/alertmanager', express.json({ limit: '1mb' }), (request, response) => {
    try {
      response.json(parts.alertmanager(request.body));
    } catch (error) {
      response.status(400).json({ error: (error as Error).message });
    }
  });
  app.use((_request, response) => void response.status(404).json({ error: 'not found' }));
  app.use((error: { status?: number; message: string }, _request: Request, response: Response, _next: NextFunction) => {
    const status = error.status ?? 500;
    response.status(status).json({ error: status < 500 ? error.message : 'internal error' });
  });
  return app;
}

/** What an operator may ask of the safe loop. */
const REMEDIATION_VERBS = ['approve', 'decline', 'revert', 'stop', 'resume'] as const;

function isOneOf<T extends string>(all: readonly T[], text: string): text is T {
  return (all as readonly string[]).includes(text);
}

/** A command by somebody who says who it is; whatever is wrong with it is answered in a sentence. */
function answerCommand(
  request: Request<{ verb: string }>,
  response: Response,
  work: (verb: string, body: Record<string, unknown>, who: string) => object,
): void {
  const body = (request.body ?? {}) as Record<string, unknown>;
  const { who } = body;
  try {
    if (typeof who !== 'string' || who.trim() === '') throw new Error('who must say who asks for it');
    response.json(work(request.params.verb, body, who));
  } catch (error) {
    response.status(400).json({ error: (error as Error).message });
  }
}

function deadLetterQueryOf({ id, endpoint, since, until }: Record<string, unknown>): DeadLetterQuery {
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const time = (value: unknown, name: string): number | undefined => {
    if (value === undefined) return undefined;
    const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
    if (Number.isNaN(ms)) throw new Error(`${name} must be a time like 2026-11-27T10:00:00Z`);
    return ms;
  };
  return { id: text(id), endpoint: text(endpoint), sinceUnixMs: time(since, 'since'), untilUnixMs: time(until, 'until') };
}

/**
 * Without a token only this machine is served, and a browser on it may have been led here by somebody else's name
 * (DNS rebinding): the host must be an address or localhost.
 */
function refuseForeignHosts(request: Request, response: Response, next: NextFunction): void {
  const host = (request.get('host') ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  if (host === 'localhost' || isIP(host) !== 0) next();
  else response.status(421).json({ error: 'without a token, ask by address or as localhost' });
}

/**
 * A bearer token, or the password of basic authentication (which browsers ask for), compared over digests so that neither content nor
 * length shows in the time it takes.
 */
function requireToken(token: string) {
  const wanted = createHash('sha256').update(token).digest();
  return (request: Request, response: Response, next: NextFunction): void => {
    const [, scheme, credentials = ''] = /^(Bearer|Basic) (.+)$/i.exec(request.get('authorization') ?? '') ?? [];
    const isBasic = scheme?.toLowerCase() === 'basic';
    const given = isBasic
      ? Buffer.from(credentials, 'base64')
          .toString()
          .replace(/^[^:]*:/, '')
      : credentials;
    if (timingSafeEqual(createHash('sha256').update(given).digest(), wanted)) next();
    else response.status(401).set('www-authenticate', 'Basic realm="hopscope"').json({ error: 'a bearer token is required' });
  };
}
