// The schedule around the dumb webhook sender: takes due events from the outbox, retries with backoff, gives up in the open.
// Notifications may retry for hours; commands carry an expiry and are never sent after it.
// Rule: one event per incident and endpoint at a time, a few per endpoint at once; a dead endpoint delays no other.

import type { Outbox, OutboxEvent } from '../../collector/store/outbox.ts';
import type { Delivery, WebhookEndpoint } from './actions/webhook.ts';

export interface DeliveryOptions {
  endpoints: readonly WebhookEndpoint[];
  outbox: Outbox;
  send(endpoint: WebhookEndpoint, id: string, body: string, now: Date, signal: AbortSignal): Promise<Delivery>;
  onDelivered(event: OutboxEvent): void;
  now(): number;
  notice: (message: string) => void;
}

/** Waits between attempts, about 16 hours in all; commands use their own short list. */
const NOTIFICATION_STEPS_MS = [5e3, 30e3, 120e3, 600e3, 1800e3, 3600e3, 7200e3, 14_400e3, 28_800e3];
const COMMAND_STEPS_MS = [1e3, 2e3, 5e3, 10e3];
const MAX_IN_FLIGHT = 4;
const POLL_MS = 500;

/** Why an event was given up. */
export type DeadReason = 'refused' | 'expired' | 'attempts' | 'outbox-full' | 'endpoint-gone';

export class WebhookDelivery {
  readonly attempts = new Map<string, number>();
  readonly dead = new Map<string, number>();
  readonly #options: DeliveryOptions;
  readonly #inFlight = new Map<string, Set<string>>();
  readonly #running = new Set<Promise<void>>();
  readonly #failing = new Set<string>();
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #isAwake = false;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    for (const { name } of options.endpoints) {
      for (const result of ['delivered', 'retry', 'refused']) this.attempts.set(`${name}/${result}`, 0);
    }
  }

  start(): void {
    for (const [endpoint, events] of this.#options.outbox.dropOthers(this.#options.endpoints.map((e) => e.name))) {
      for (let i = 0; i < events; i++) this.#countDead(endpoint, 'endpoint-gone');
      this.#options.notice(`${events} stored webhook events for ${endpoint} given up: no such endpoint is configured`);
    }
    this.#timer = setInterval(() => this.wake(), POLL_MS);
    this.wake();
  }

  /** Looks for due events as soon as this turn of the event loop is over, once however often it is asked. */
  wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    setImmediate(() => {
      this.#isAwake = false;
      if (this.#stopping.signal.aborted) return;
      for (const endpoint of this.#options.endpoints) this.#guarded(endpoint.name, () => this.#sendDue(endpoint));
    });
  }

  /** Counts an event that fell out of a full outbox. */
  countEvicted(endpoint: string): void {
    this.#countDead(endpoint, 'outbox-full');
  }

  /** Breaks off attempts under way (their events stay and go out at the next start), and starts no more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort();
    await Promise.all(this.#running);
  }

  /** A store that fails costs this attempt, never the process: the event stays and is tried again. */
  #guarded(endpoint: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#sayOnce(endpoint, { answer: 'retry', detail: `the store failed: ${(error as Error).message}` });
    }
  }

  #sendDue(endpoint: WebhookEndpoint): void {
    const flying = this.#inFlight.get(endpoint.name) ?? new Set<string>();
    this.#inFlight.set(endpoint.name, flying);
    for (const event of this.#options.outbox.due(endpoint.name, this.#options.now(), 2 * MAX_IN_FLIGHT)) {
      if (flying.has(event.id) || flying.size >= MAX_IN_FLIGHT) continue;
      flying.add(event.id);
      const run = this.#attempt(endpoint, event).finally(() => {
        flying.delete(event.id);
        this.#running.delete(run);
      });
      this.#running.add(run);
    }
  }

  async #attempt(endpoint: WebhookEndpoint, event: OutboxEvent): Promise<void> {
    const startedMs = this.#options.now();
    const { signal } = this.#stopping;
    if (event.expiresUnixMs !== null && startedMs >= event.expiresUnixMs)
      return this.#guarded(endpoint.name, () => this.#giveUp(event, 'expired'));
    const delivery = await this.#options.send(endpoint, event.id, event.body, new Date(startedMs), signal);
    if (signal.aborted && delivery.answer !== 'delivered') return;
    const key = `${endpoint.name}/${delivery.answer}`;
    this.attempts.set(key, (this.attempts.get(key) ?? 0) + 1);
    this.#sayOnce(endpoint.name, delivery);
    this.#guarded(endpoint.name, () => this.#conclude(event, delivery));
  }

  #conclude(event: OutboxEvent, delivery: Delivery): void {
    if (delivery.answer === 'delivered') {
      this.#options.outbox.finish(event.id);
      this.#options.onDelivered(event);
      this.wake();
    } else if (delivery.answer === 'refused') this.#giveUp(event, 'refused');
    else this.#retry(event, delivery);
  }

  #retry(event: OutboxEvent, delivery: Delivery): void {
    const steps = event.expiresUnixMs === null ? NOTIFICATION_STEPS_MS : COMMAND_STEPS_MS;
    const step = steps[event.attempts];
    if (step === undefined) return this.#giveUp(event, 'attempts');
    const jittered = step * (0.8 + Math.random() * 0.4);
    const asked = delivery.retryAfterMs === undefined ? jittered : Math.min(Math.max(delivery.retryAfterMs, step), 2 * step);
    this.#options.outbox.retryAt(event.id, this.#options.now() + asked);
  }

  #giveUp(event: OutboxEvent, reason: DeadReason): void {
    this.#options.outbox.finish(event.id);
    this.#countDead(event.endpoint, reason);
    this.#options.notice(`webhook ${event.type} ${event.id} to ${event.endpoint} given up: ${reason}`);
  }

  #countDead(endpoint: string, reason: DeadReason): void {
    const key = `${endpoint}/${reason}`;
    this.dead.set(key, (this.dead.get(key) ?? 0) + 1);
  }

  #sayOnce(name: string, delivery: Delivery): void {
    if (delivery.answer === 'delivered') {
      if (this.#failing.delete(name)) this.#options.notice(`webhook endpoint ${name} answers again`);
    } else if (!this.#failing.has(name)) {
      this.#failing.add(name);
      this.#options.notice(`webhook endpoint ${name} did not take an event (${delivery.detail})`);
    }
  }
}
