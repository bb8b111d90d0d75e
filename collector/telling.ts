// Wiring of what is told to others: webhooks through the outbox, and alerts to Alertmanager, both from one database, both to places that
// the configuration allows.

import { isIP } from 'node:net';
import { AlertmanagerOut } from '../alerts/notify/alertmanager-out.ts';
import { WebhookDelivery } from '../alerts/notify/delivery.ts';
import { Destinations, type ForbiddenDestination } from '../alerts/notify/destination.ts';
import { Notifications } from '../alerts/notify/notifications.ts';
import { Poster } from '../alerts/notify/post.ts';
import { webhookSender, type WebhookEndpoint } from '../alerts/notify/webhook.ts';
import type { Config, Secrets } from './config.ts';
import type { Incident, IncidentChange } from './event.ts';
import { AlertState } from './store/alert-state.ts';
import { openDatabase } from './store/database.ts';
import { Outbox, type DeadLetter, type DeadLetterFilter, type OutboxEvent } from './store/outbox.ts';
import { readSwitchFile } from './switch-file.ts';

interface Log {
  notice: (message: string) => void;
  error: (message: string) => void;
}

/** Samples as metrics carry them. */
type Samples = { labels: Record<string, string>; value: number }[];

export class Telling {
  readonly outbox: Outbox;
  readonly delivery: WebhookDelivery;
  readonly endpoints: readonly (WebhookEndpoint & { minSeverity: number })[];
  readonly #notifications: Notifications;
  readonly #alertmanagers: AlertmanagerOut | undefined;
  readonly #close: () => void;
  readonly #settled = new Set<(event: OutboxEvent, isDelivered: boolean) => void>();
  #lostEvents = 0;

  /** Opens the database. Throws a plain sentence where it cannot be used. */
  constructor(config: Config, secrets: Secrets, log: Log) {
    const db = openDatabase(config.webhooks.length === 0 && config.alertmanager === undefined ? ':memory:' : config.store.path);
    this.endpoints = config.webhooks.map(({ name, url, minSeverity }, i) => {
      return { name, url, minSeverity, secrets: secrets.webhooks[i] };
    });
    const poster = new Poster(new Destinations(config.egress.allow, forbiddenOf(config)));
    this.#close = () => {
      poster.close();
      db.close();
    };
    const outbox = new Outbox(db);
    const delivery = new WebhookDelivery({
      endpoints: this.endpoints,
      outbox,
      send: webhookSender(poster),
      onSettled: (event, isDelivered) => {
        for (const listener of this.#settled) listener(event, isDelivered);
      },
      now: () => Date.now(),
      notice: log.notice,
    });
    this.#notifications = new Notifications({
      endpoints: this.endpoints,
      outbox,
      nowUnixMs: () => Date.now(),
      onStored: (evicted) => {
        if (evicted !== undefined) delivery.countEvicted(evicted);
        delivery.wake();
      },
      onLost: (reason) => {
        this.#lostEvents++;
        if (this.#lostEvents === 1) log.error(`a webhook event could not be stored (${reason}); what is lost is counted`);
      },
    });
    this.#alertmanagers =
      config.alertmanager &&
      new AlertmanagerOut({
        ...config.alertmanager,
        state: new AlertState(db),
        post: (url, body, signal) => poster.post({ url, headers: { 'content-type': 'application/json' }, body }, signal),
        now: () => Date.now(),
        notice: log.notice,
      });
    [this.outbox, this.delivery] = [outbox, delivery];
  }

  /** Sends what a process that died still owed, and begins to deliver. */
  start(): void {
    this.#notifications.start();
    this.delivery.start();
    this.#alertmanagers?.start();
  }

  async stop(): Promise<void> {
    await this.#alertmanagers?.stop();
    await this.delivery.stop();
    this.#close();
  }

  onIncident(incident: Incident, change: IncidentChange): void {
    this.#notifications.onIncident(incident, change);
    this.#alertmanagers?.onIncident(incident, change);
  }

  /** The safe loop did something about an incident. */
  onDecision(kind: string, incidentId: string, data: object): void {
    this.#notifications.onDecision(kind, incidentId, data);
  }

  /** Tells `listener` of every event that leaves the outbox. */
  onSettled(listener: (event: OutboxEvent, isDelivered: boolean) => void): void {
    this.#settled.add(listener);
  }

  /** How each endpoint stands. */
  status(): object {
    const pending = this.outbox.pending();
    const open = new Set(this.delivery.openCircuits);
    return {
      endpoints: this.endpoints.map(({ name, url, minSeverity }) => ({
        name,
        url,
        minSeverity,
        pending: pending.get(name) ?? 0,
        state: this.outbox.isDisabled(name, url) ? 'disabled' : open.has(name) ? 'does not answer' : 'in use',
        deadLetters: this.outbox.deadLetters({ endpoint: name }).length,
      })),
    };
  }

  deadLetters(filter: DeadLetterFilter): DeadLetter[] {
    return this.outbox.deadLetters(filter);
  }

  /** Sends dead letters anew; returns their ids. */
  replay(filter: DeadLetterFilter): string[] {
    const replayed = this.outbox.replay(filter, Date.now());
    this.delivery.wake();
    return replayed;
  }

  /** Throws a plain sentence where no endpoint has that name. */
  enable(endpoint: string): void {
    this.delivery.enable(endpoint);
  }

  pending(): Samples {
    const pending = this.outbox.pending();
    return this.endpoints.map(({ name }) => ({ labels: { endpoint: name }, value: pending.get(name) ?? 0 }));
  }

  attempts(): Samples {
    return pairs(this.delivery.attempts, 'endpoint', 'result');
  }

  dead(): Samples {
    const lost = { labels: { endpoint: 'any', reason: 'store-failed' }, value: this.#lostEvents };
    return [...pairs(this.delivery.dead, 'endpoint', 'reason'), ...(this.#lostEvents === 0 ? [] : [lost])];
  }

  circuits(): Samples {
    const open = new Set(this.delivery.openCircuits);
    return this.endpoints.map(({ name }) => ({ labels: { endpoint: name }, value: Number(open.has(name)) }));
  }

  alertsSent(): Samples {
    return this.#alertmanagers === undefined ? [] : pairs(this.#alertmanagers.sent, 'peer', 'result');
  }

  alertsBurning(): Samples {
    return this.#alertmanagers === undefined ? [] : [{ labels: {}, value: this.#alertmanagers.burning }];
  }
}

/** Places that nothing is sent to, whatever the list allows: our own, the cluster's API, and the switches' management. */
function forbiddenOf({ http, ingest, remediation }: Config): ForbiddenDestination[] {
  const own = ['127.0.0.0/8', '::1', ...(http.address === '0.0.0.0' || http.address === '::' ? [] : [http.address])];
  const api = process.env.KUBERNETES_SERVICE_HOST;
  const switches = remediation.switches === undefined ? [] : readSwitchFile(remediation.switches);
  return [
    ...own.map((address) => ({ address, port: http.port, what: 'the collector itself' })),
    ...own.map((address) => ({ address, port: ingest.port, what: 'the collector itself' })),
    ...(api === undefined || isIP(api) === 0 ? [] : [{ address: api, what: 'the API of the cluster' }]),
    ...switches.flatMap(({ target }) => {
      const [, address, port] = /^\[?([0-9a-fA-F:.]+)\]?:(\d+)$/.exec(target.address) ?? [];
      return address === undefined ? [] : [{ address, port: Number(port), what: `the management of switch ${target.name}` }];
    }),
  ];
}

/** `name/second` keys as samples. */
function pairs(counts: ReadonlyMap<string, number>, first: string, second: string): Samples {
  return [...counts].map(([key, value]) => {
    const at = key.lastIndexOf('/');
    return { labels: { [first]: key.slice(0, at), [second]: key.slice(at + 1) }, value };
  });
}
