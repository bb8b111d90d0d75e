// One POST to somebody outside: connected only where it may be, never redirected, and over in a bounded time whatever the other side does.

import dns, { type LookupAddress } from 'node:dns';
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
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

/** Resolves with the answer, whatever its status. Rejects where none came; with ForbiddenAddress where it must not be asked. */
export async function post(message: Message, destinations: Destinations, signal: AbortSignal): Promise<Answer> {
  const url = new URL(message.url);
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0) requireAllowed(destinations, host, port);
  const options: RequestOptions = {
    method: 'POST',
    headers: { ...message.headers, 'content-length': String(Buffer.byteLength(message.body)), connection: 'close' },
    maxHeaderSize: MAX_HEADER_BYTES,
    // Of its own, so that every connection is one that was asked about.
    agent: false,
    lookup: (name, lookupOptions, done) => {
      dns.lookup(name, { ...lookupOptions, all: true }, (error, addresses) => {
        if (error !== null) return done(error, []);
        const allowed = allowedOf(addresses, destinations, port);
        if (typeof allowed === 'string') return done(new ForbiddenAddress(allowed), []);
        if (lookupOptions.all === true) done(null, allowed);
        else done(null, allowed[0].address, allowed[0].family);
      });
    },
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, options, (response) => {
      const { statusCode: status = 0, headers } = response;
      const answer = { status, retryAfter: headers['retry-after'], date: headers.date };
      void readSome(response).then(() => {
        request.destroy();
        resolve(answer);
      });
    });
    request.once('error', reject);
    request.end(message.body);
  });
}

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

/** Until the body ends, or is longer than anybody reads, or breaks: the status has been said by then. */
function readSome(response: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) resolve();
    });
    response.once('end', resolve);
    response.once('error', () => resolve());
    response.once('close', resolve);
  });
}
