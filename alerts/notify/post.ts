// One POST to somebody outside: connected only where it may be, never redirected, and over in a bounded time whatever the other side does.

import dns, { type LookupAddress } from 'node:dns';
import { Agent as HttpAgent, request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import type { Destinations } from './destination.ts';

/** For a whole exchange, name and all. */
const TIMEOUT_MS = 15_000;
/** What is read of an answer; the rest is of no interest. */
const MAX_ANSWER_BYTES = 20_000;
const MAX_HEADER_BYTES = 16_384;

/** The address is one that must not be connected to. */
export class ForbiddenAddress extends Error {}

export interface Answer {
  status: number;
  retryAfter: string | undefined;
  /** The other side's clock, where it says. */
  date: string | undefined;
}

export interface Message {
  url: string;
  headers: Record<string, string>;
  body: string;
}

/** Connections stay open for so long: events come in bursts. */
const IDLE_MS = 4000;
const MAX_SOCKETS = 4;

/** Posts to where `destinations` allows. */
export class Poster {
  readonly #destinations: Destinations;
  readonly #agents = [HttpAgent, HttpsAgent].map(
    (Agent) => new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, timeout: IDLE_MS }),
  );

  constructor(destinations: Destinations) {
    this.#destinations = destinations;
  }

  /** Resolves with the answer, whatever its status. Rejects where none came; with ForbiddenAddress where it must not be asked. */
  async post(message: Message, signal: AbortSignal): Promise<Answer> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
    try {
      return await this.#attempt(message, bounded);
    } catch (error) {
      // The other side closed a connection that was idle, just when it was used again.
      if (!(error instanceof StaleConnection)) throw error;
      return this.#attempt(message, bounded);
    }
  }

  close(): void {
    for (const agent of this.#agents) agent.destroy();
  }

  async #attempt({ url: text, headers, body }: Message, signal: AbortSignal): Promise<Answer> {
    const url = new URL(text);
    const isHttps = url.protocol === 'https:';
    const port = url.port === '' ? (isHttps ? 443 : 80) : Number(url.port);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (isIP(host) !== 0) requireAllowed(this.#destinations, host, port);
    const options: RequestOptions = {
      method: 'POST',
      headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
      maxHeaderSize: MAX_HEADER_BYTES,
      agent: this.#agents[isHttps ? 1 : 0],
      // Asked for each connection; one that is used again was asked about when it was made.
      lookup: (name, lookupOptions, done) => {
        dns.lookup(name, { ...lookupOptions, all: true }, (error, addresses) => {
          if (error !== null) return done(error, []);
          const allowed = allowedOf(addresses, this.#destinations, port);
          if (typeof allowed === 'string') return done(new ForbiddenAddress(allowed), []);
          if (lookupOptions.all === true) done(null, allowed);
          else done(null, allowed[0].address, allowed[0].family);
        });
      },
      signal,
    };
    return new Promise((resolve, reject) => {
      let isAnswered = false;
      const request = (isHttps ? requestHttps : requestHttp)(url, options, (response) => {
        isAnswered = true;
        const { statusCode: status = 0, headers: answered } = response;
        const answer = { status, retryAfter: answered['retry-after'], date: answered.date };
        void readSome(response).then((isWhole) => {
          if (!isWhole) request.destroy();
          resolve(answer);
        });
      });
      request.once('error', (error: NodeJS.ErrnoException) => {
        reject(request.reusedSocket && error.code === 'ECONNRESET' ? new StaleConnection() : error);
      });
      // As after an upgrade that nobody asked for: neither an answer nor an error comes.
      request.once('close', () => {
        if (!isAnswered) reject(new Error('the connection ended without an answer'));
      });
      request.end(body);
    });
  }
}

class StaleConnection extends Error {}

function requireAllowed(destinations: Destinations, address: string, port: number): void {
  const refusal = destinations.refusalOf(address, port);
  if (refusal !== undefined) throw new ForbiddenAddress(refusal);
}

/** Those that may be connected to; why the first may not where none may. */
function allowedOf(addresses: readonly LookupAddress[], destinations: Destinations, port: number): LookupAddress[] | string {
  const allowed = addresses.filter(({ address }) => destinations.refusalOf(address, port) === undefined);
  if (allowed.length > 0) return allowed;
  return addresses.length === 0 ? 'the name has no address' : destinations.refusalOf(addresses[0].address, port)!;
}

/** Until the body ends (true), or is longer than anybody reads, or breaks: the status has been said by then. */
function readSome(response: IncomingMessage): Promise<boolean> {
  return new Promise((resolve) => {
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) resolve(false);
    });
    response.once('end', () => resolve(true));
    response.once('error', () => resolve(false));
    response.once('close', () => resolve(false));
  });
}
