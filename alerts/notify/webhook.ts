// Sends one webhook, signed after Standard Webhooks 1.0 (webhook-id, webhook-timestamp, webhook-signature), and says what came of it.
// A dumb sender: it knows nothing of schedules. While a secret is replaced by another, both sign.

import { Webhook } from 'standardwebhooks';
import { ForbiddenAddress, type Answer, type Poster } from './post.ts';

/** Where to send, and the secrets to sign with, the current one first (`whsec_` base64, or any text of at least 24 characters). */
export interface WebhookEndpoint {
  name: string;
  url: string;
  secrets: readonly string[];
}

/** `retry` may carry when the receiver wants to be asked again; `gone` never wants to hear anything again. */
export interface Delivery {
  answer: 'delivered' | 'retry' | 'refused' | 'gone';
  detail: string;
  retryAfterMs?: number;
  /** Our clock is ahead of the receiver's by this, ms, as far as its answer says. */
  clockAheadMs?: number;
}

const RETRIABLE = new Set([408, 425, 429]);

/** Builds the sender: one attempt, given up when `signal` says so. It never rejects: a network fault is `retry`. */
export function webhookSender(poster: Poster) {
  return async (endpoint: WebhookEndpoint, id: string, body: string, now: Date, signal: AbortSignal): Promise<Delivery> => {
    try {
      const headers = {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': signaturesOf(endpoint.secrets, id, body, now),
      };
      return answerOf(await poster.post({ url: endpoint.url, headers, body }, signal), now);
    } catch (error) {
      if (error instanceof ForbiddenAddress) return { answer: 'refused', detail: error.message };
      const { code, name } = error as NodeJS.ErrnoException;
      return { answer: 'retry', detail: code ?? name };
    }
  };
}

/** A signature with each secret, apart by spaces: a receiver that knows one of them is content. */
export function signaturesOf(secrets: readonly string[], id: string, body: string, now: Date): string {
  const signers = secrets.map((secret) =>
    secret.startsWith('whsec_') ? new Webhook(secret) : new Webhook(secret, { format: 'raw' }),
  );
  return signers.map((signer) => signer.sign(id, now, body)).join(' ');
}

/** 2xx delivered; 408, 425, 429 and 5xx retry; 410 gone; redirects and every other 4xx refused. */
export function answerOf({ status, retryAfter, date }: Answer, now: Date): Delivery {
  const detail = `HTTP ${status}`;
  const saysMs = date === undefined ? Number.NaN : Date.parse(date);
  const clock = Number.isNaN(saysMs) ? {} : { clockAheadMs: now.getTime() - saysMs };
  if (status >= 200 && status < 300) return { answer: 'delivered', detail, ...clock };
  if (status === 410) return { answer: 'gone', detail, ...clock };
  if (!RETRIABLE.has(status) && status < 500) return { answer: 'refused', detail, ...clock };
  const retryAfterMs = retryAfterMsOf(retryAfter, now);
  return { answer: 'retry', detail, ...clock, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/** Seconds, or a date (RFC 9110 §10.2.3). */
function retryAfterMsOf(header: string | undefined, now: Date): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const until = /[a-z]/i.test(header) ? Date.parse(header) - now.getTime() : Number.NaN;
  return Number.isNaN(until) ? undefined : Math.max(0, until);
}
