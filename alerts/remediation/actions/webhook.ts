// Sends one webhook, signed after Standard Webhooks 1.0 (webhook-id, webhook-timestamp, webhook-signature), and says what came of it.
// A dumb sender: it knows nothing of schedules. Rule: redirects are never followed, answers are never read beyond what is needed.

import { Webhook } from 'standardwebhooks';

/** Where to send, and the secret to sign with (`whsec_` base64, or any text of at least 24 characters). */
export interface WebhookEndpoint {
  name: string;
  url: string;
  secret: string;
}

/** `retry` may carry when the receiver wants to be asked again. */
export interface Delivery {
  answer: 'delivered' | 'retry' | 'refused';
  detail: string;
  retryAfterMs?: number;
}

const TIMEOUT_MS = 15_000;
const RETRIABLE = new Set([408, 425, 429]);

/** One attempt, given up when `signal` says so. Never rejects: a network fault is `retry`. */
export async function sendWebhook(
  endpoint: WebhookEndpoint,
  id: string,
  body: string,
  now: Date,
  signal: AbortSignal,
): Promise<Delivery> {
  try {
    const signer = endpoint.secret.startsWith('whsec_')
      ? new Webhook(endpoint.secret)
      : new Webhook(endpoint.secret, { format: 'raw' });
    const response = await fetch(endpoint.url, {
      method: 'POST',
      body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': signer.sign(id, now, body),
      },
    });
    await response.body?.cancel();
    return answerOf(response.status, response.headers.get('retry-after'));
  } catch (error) {
    const cause = error instanceof Error ? ((error.cause as NodeJS.ErrnoException | undefined)?.code ?? error.name) : 'unknown';
    return { answer: 'retry', detail: cause };
  }
}

/** 2xx delivered; 408, 425, 429 and 5xx retry; redirects and every other 4xx refused. */
export function answerOf(status: number, retryAfter: string | null): Delivery {
  const detail = `HTTP ${status}`;
  if (status >= 200 && status < 300) return { answer: 'delivered', detail };
  if (!RETRIABLE.has(status) && status < 500) return { answer: 'refused', detail };
  const seconds = retryAfter === null ? Number.NaN : Number(retryAfter);
  return { answer: 'retry', detail, ...(Number.isFinite(seconds) && seconds >= 0 ? { retryAfterMs: seconds * 1000 } : {}) };
}
