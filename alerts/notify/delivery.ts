// The schedule around the dumb webhook sender: takes due events from the outbox, retries with backoff, gives up in the open.
// Notifications may retry for hours; commands carry an expiry and are never sent after it.
// Rule: one event per incident and endpoint at a time, a few per endpoint at once; a dead endpoint is asked seldom and delays no other.

import { DEAD_REASONS, type DeadReason, type Outbox, type OutboxEvent } from '../../collector/store/outbox.ts';
import { Circuit, delayAfter } from './schedule.ts';
import type { Delivery, WebhookEndpoint } from './webhook.ts';

export interface DeliveryOptions {
  endpoints: readonly WebhookEndpoint[];
  outbox: Outbox;
  send: (endpoint: WebhookEndpoint, id: string, body: string, now: Date, signal: AbortSignal) => Promise<Delivery>;
  /** An event has left the outbox: it was taken (true), or given up. */
  onSettled: (event: OutboxEvent, isDelivered: boolean) => void;
  now: () => number;
  notice: (message: string) => void;
}

const MAX_IN_FLIGHT = 4;
const MAX_IN_FLIGHT_IN_ALL = 32;
const POLL_MS = 500;
/** From which on a receiver, which refuses what is five minutes off, is near refusing us. */
const CLOCK_SKEW_MS = 60_000;

/** What happens at one endpoint. */
interface Line {
  endpoint: WebhookEndpoint;
  circuit: Circuit;
  /** Groups of which an event is under way. */
  flying: Set<string>;
  isFailing: boolean;
  isSkewed: boolean;
}

export class WebhookDelivery {
  /** By `endpoint/result` and by `endpoint/reason`. */
  readonly attempts = new Map<string, number>();
  readonly dead = new Map<string, number>();
  readonly #options: DeliveryOptions;
  readonly #lines: readonly Line[];
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #isAwake = false;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#lines = options.endpoints.map((endpoint) => {
      return { endpoint, circuit: new Circuit(), flying: new Set(), isFailing: false, isSkewed: false };
    });
    for (const { name } of options.endpoints) {
      for (const result of ['delivered', 'retry', 'refused', 'gone']) this.attempts.set(`${name}/${result}`, 0);
      for (const reason of DEAD_REASONS) this.dead.set(`${name}/${reason}`, 0);
    }
  }

  start(): void {
    const { outbox, endpoints, now, notice } = this.#options;
    outbox.giveUpCommands(now());
    const names = endpoints.map(({ name }) => name);
    for (const [endpoint, events] of outbox.dropOthers(names, now())) {
      this.#countDead(endpoint, 'endpoint-gone', events);
      notice(`${events} stored webhook events for ${endpoint} given up: no such endpoint is configured`);
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
      for (const line of this.#lines) this.#guarded(line, () => this.#sendDue(line));
    });
  }

  /** Counts an event that fell out of a full outbox. */
  countEvicted(endpoint: string): void {
    this.#countDead(endpoint, 'outbox-full', 1);
  }

  /** Endpoints that are not asked but now and then. */
  get openCircuits(): string[] {
    return this.#lines.filter(({ circuit }) => circuit.isOpen).map(({ endpoint }) => endpoint.name);
  }

  /** An endpoint that had said 410 is written to again. Throws a plain sentence where there is none of that name. */
  enable(name: string): void {
    if (!this.#options.endpoints.some((endpoint) => endpoint.name === name)) throw new Error(`no endpoint is called ${name}`);
    this.#options.outbox.enable(name);
    this.wake();
  }

  /** Breaks off attempts under way (their events stay and go out at the next start), and starts no more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort();
    await Promise.all(this.#running);
  }

  /** A store that fails costs this attempt, never the process: the event stays and is tried again. */
  #guarded(line: Line, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#sayOnce(line, { answer: 'retry', detail: `the store failed: ${(error as Error).message}` });
    }
  }

  #sendDue(line: Line): void {
    const { outbox, now } = this.#options;
    const { endpoint, circuit, flying } = line;
    if (outbox.isDisabled(endpoint.name, endpoint.url)) return this.#dropDisabled(line);
    const room = Math.min(circuit.room(now(), MAX_IN_FLIGHT) - flying.size, MAX_IN_FLIGHT_IN_ALL - this.#running.size);
    if (room <= 0) return;
    // By group: an event that was cancelled while it was under way must not be overtaken by the next one.
    const due = outbox.due(endpoint.name, now(), 2 * MAX_IN_FLIGHT).filter(({ groupKey }) => !flying.has(groupKey));
    for (const event of due.slice(0, room)) {
      flying.add(event.groupKey);
      const run = this.#attempt(line, event).finally(() => {
        flying.delete(event.groupKey);
        this.#running.delete(run);
      });
      this.#running.add(run);
    }
  }

  async #attempt(line: Line, event: OutboxEvent): Promise<void> {
    const { now, send } = this.#options;
    const startedMs = now();
    const { signal } = this.#stopping;
    if (event.expiresUnixMs !== null && startedMs >= event.expiresUnixMs)
      return this.#guarded(line, () => this.#giveUp(event, 'expired'));
    const body = event.missed === 0 ? event.body : withMissed(event.body, event.missed);
    const bounded =
      event.expiresUnixMs === null ? signal : AbortSignal.any([signal, AbortSignal.timeout(event.expiresUnixMs - startedMs)]);
    const delivery = await send(line.endpoint, event.id, body, new Date(startedMs), bounded);
    if (signal.aborted && delivery.answer !== 'delivered') return;
    const key = `${line.endpoint.name}/${delivery.answer}`;
    this.attempts.set(key, (this.attempts.get(key) ?? 0) + 1);
    this.#sayOnce(line, delivery);
    this.#guarded(line, () => this.#conclude(line, event, delivery));
  }

  #conclude(line: Line, event: OutboxEvent, delivery: Delivery): void {
    const { outbox, now, onSettled } = this.#options;
    if (delivery.answer === 'delivered') {
      if (line.circuit.isOpen) outbox.hurry(event.endpoint, now());
      line.circuit.succeeded();
      outbox.finish(event.id);
      onSettled(event, true);
      this.wake();
      return;
    }
    if (delivery.answer === 'gone') {
      outbox.disable(event.endpoint, line.endpoint.url);
      this.#options.notice(
        `webhook endpoint ${event.endpoint} is gone (HTTP 410): nothing more is sent there; "hopscope webhooks enable ${event.endpoint}" takes it back`,
      );
      return this.#dropDisabled(line);
    }
    // An endpoint that refuses an event is alive: only silence and its own faults open the circuit.
    if (delivery.answer === 'retry') line.circuit.failed(now());
    const delayMs = delayAfter(
      {
        attempts: event.attempts,
        isCommand: event.expiresUnixMs !== null,
        isRefused: delivery.answer === 'refused',
        retryAfterMs: delivery.retryAfterMs,
      },
      Math.random(),
    );
    if (delayMs === undefined) this.#giveUp(event, delivery.answer === 'refused' ? 'refused' : 'attempts');
    else outbox.retryAt(event.id, now() + delayMs);
  }

  #dropDisabled({ endpoint }: Line): void {
    const events = this.#options.outbox.giveUpAll(endpoint.name, 'endpoint-disabled', this.#options.now());
    if (events > 0) this.#countDead(endpoint.name, 'endpoint-disabled', events);
  }

  #giveUp(event: OutboxEvent, reason: DeadReason): void {
    this.#options.outbox.giveUp(event.id, reason, this.#options.now());
    this.#countDead(event.endpoint, reason, 1);
    this.#options.notice(`webhook ${event.type} ${event.id} to ${event.endpoint} given up: ${reason}`);
    this.#options.onSettled(event, false);
  }

  #countDead(endpoint: string, reason: DeadReason, events: number): void {
    const key = `${endpoint}/${reason}`;
    this.dead.set(key, (this.dead.get(key) ?? 0) + events);
  }

  #sayOnce(line: Line, delivery: Delivery): void {
    const { name } = line.endpoint;
    const { notice } = this.#options;
    if (delivery.answer !== 'delivered' && !line.isFailing) {
      notice(`webhook endpoint ${name} did not take an event (${delivery.detail})`);
    } else if (delivery.answer === 'delivered' && line.isFailing) notice(`webhook endpoint ${name} answers again`);
    line.isFailing = delivery.answer !== 'delivered';
    if (delivery.clockAheadMs === undefined) return;
    const isSkewed = Math.abs(delivery.clockAheadMs) >= CLOCK_SKEW_MS;
    if (isSkewed && !line.isSkewed) {
      const seconds = Math.round(delivery.clockAheadMs / 1000);
      notice(
        `clock_skew_suspected: webhook endpoint ${name} has a clock ${-seconds} s ahead of ours, and may refuse what we sign`,
      );
    }
    line.isSkewed = isSkewed;
  }
}

/** An event whose predecessors the endpoint will not get says so: an end may come without its beginning. */
function withMissed(body: string, missed: number): string {
  return JSON.stringify({ ...(JSON.parse(body) as object), missed });
}
