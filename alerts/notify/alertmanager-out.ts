// Incidents as alerts to Alertmanager (POST /api/v2/alerts), to every member of its cluster, again and again while they burn: its members
// keep alerts in memory only. Each carries an end a few minutes ahead, so that none burns for ever when we are gone.
// Rule: what began must end. That is on disk before anybody is told, and the next process tells the end of what the last one began.

import type { Incident, IncidentChange } from '../../collector/event.ts';
import type { AlertState, StoredAlert } from '../../collector/store/alert-state.ts';
import type { Answer } from './post.ts';

export interface AlertmanagerOutOptions {
  /** Base addresses, like http://10.0.0.5:9093. */
  peers: readonly string[];
  minSeverity: number;
  state: AlertState;
  /** Rejects where no answer came. */
  post: (url: string, body: string, signal: AbortSignal) => Promise<Answer>;
  now: () => number;
  notice: (message: string) => void;
}

const RESEND_MS = 30_000;
/** Missed resends that an alert outlives. */
const ENDS_AFTER_MS = 4 * RESEND_MS;
const POLL_MS = 1000;
/** The end of an alert is told for so long to peers that do not answer: by then they have ended it themselves. */
const FORGET_MS = 2 * ENDS_AFTER_MS;
const SEVERITY_LABEL = ['', 'info', 'minor', 'warning', 'major', 'critical'] as const;

interface Peer {
  url: string;
  /** When it is due, ms. */
  nextMs: number;
  /** Ends that it has taken. */
  told: Set<string>;
  isBusy: boolean;
  isFailing: boolean;
}

export class AlertmanagerOut {
  /** Alerts posted, by `peer/result`. */
  readonly sent = new Map<string, number>();
  readonly #options: AlertmanagerOutOptions;
  readonly #alerts = new Map<string, StoredAlert>();
  /** Key of the alert of an open incident. */
  readonly #keyOf = new Map<string, string>();
  readonly #peers: Peer[];
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AlertmanagerOutOptions) {
    this.#options = options;
    this.#peers = options.peers.map((url) => ({ url, nextMs: 0, told: new Set(), isBusy: false, isFailing: false }));
  }

  /** Ends what a process that died had begun. Call once, before anything else. */
  start(): void {
    for (const alert of this.#options.state.all()) this.#end(alert);
    this.#timer = setInterval(() => this.#wake(), POLL_MS);
    this.#wake();
  }

  /** An incident has changed. */
  onIncident(incident: Incident, change: IncidentChange): void {
    const before = this.#keyOf.get(incident.id);
    const isOver = change === 'closed' || incident.severity < this.#options.minSeverity;
    const alert = alertOf(incident);
    if (before !== undefined && (isOver || before !== alert.key)) {
      this.#keyOf.delete(incident.id);
      const known = this.#alerts.get(before);
      // Two incidents may be one alert to Alertmanager: it ends with the last of them.
      if (known !== undefined && ![...this.#keyOf.values()].includes(before)) this.#end(known);
    }
    if (isOver || before === alert.key) return;
    this.#keyOf.set(incident.id, alert.key);
    const burning = this.#alerts.get(alert.key);
    if (burning?.endedAt === null) return;
    this.#keep(alert);
  }

  get burning(): number {
    return [...this.#alerts.values()].filter(({ endedAt }) => endedAt === null).length;
  }

  /** Stops at once: what burns stays on disk, and the next process ends it. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort();
    await Promise.all(this.#running);
  }

  #end(alert: StoredAlert): void {
    this.#keep({ ...alert, endedAt: alert.endedAt ?? this.#time(0) });
  }

  #keep(alert: StoredAlert): void {
    try {
      this.#options.state.put(alert);
    } catch (error) {
      this.#options.notice(`an alert could not be stored, and its end may be lost over a restart (${(error as Error).message})`);
    }
    this.#alerts.set(alert.key, alert);
    for (const peer of this.#peers) {
      peer.told.delete(alert.key);
      peer.nextMs = 0;
    }
    this.#wake();
  }

  #wake(): void {
    if (this.#stopping.signal.aborted || this.#timer === undefined) return;
    for (const peer of this.#peers) {
      if (peer.isBusy || this.#options.now() < peer.nextMs) continue;
      peer.isBusy = true;
      const run = this.#tell(peer).finally(() => {
        peer.isBusy = false;
        this.#running.delete(run);
      });
      this.#running.add(run);
    }
  }

  async #tell(peer: Peer): Promise<void> {
    const { now, post } = this.#options;
    this.#forgetOld();
    const alerts = [...this.#alerts.values()].filter(({ key }) => !peer.told.has(key));
    peer.nextMs = now() + RESEND_MS;
    if (alerts.length === 0) return;
    const body = JSON.stringify(
      alerts.map(({ key, annotations, startsAt, endedAt }) => {
        return { labels: JSON.parse(key) as object, annotations, startsAt, endsAt: endedAt ?? this.#time(ENDS_AFTER_MS) };
      }),
    );
    const detail = await post(`${peer.url.replace(/\/$/, '')}/api/v2/alerts`, body, this.#stopping.signal).then(
      ({ status }) => (status >= 200 && status < 300 ? undefined : `HTTP ${status}`),
      (error: unknown) => (error as NodeJS.ErrnoException).code ?? (error as Error).message,
    );
    if (this.#stopping.signal.aborted) return;
    const result = `${peer.url}/${detail === undefined ? 'delivered' : 'failed'}`;
    this.sent.set(result, (this.sent.get(result) ?? 0) + alerts.length);
    // One that has begun again meanwhile is another.
    const ended = alerts.filter((alert) => alert.endedAt !== null && this.#alerts.get(alert.key) === alert);
    if (detail === undefined) for (const { key } of ended) peer.told.add(key);
    if ((detail !== undefined) !== peer.isFailing) {
      this.#options.notice(
        `Alertmanager ${peer.url} ${detail === undefined ? 'answers again' : `does not take alerts (${detail})`}`,
      );
    }
    peer.isFailing = detail !== undefined;
    if (peer.isFailing) peer.nextMs = now() + RESEND_MS / 6;
    this.#forgetOld();
  }

  /** Alerts whose end everybody was told, or can know by themselves. */
  #forgetOld(): void {
    for (const { key, endedAt } of [...this.#alerts.values()]) {
      if (endedAt === null) continue;
      const isTold = this.#peers.every(({ told }) => told.has(key));
      if (!isTold && this.#options.now() - Date.parse(endedAt) < FORGET_MS) continue;
      this.#alerts.delete(key);
      for (const { told } of this.#peers) told.delete(key);
      try {
        this.#options.state.remove(key);
      } catch (error) {
        this.#options.notice(`an alert that is over could not be forgotten (${(error as Error).message})`);
      }
    }
  }

  #time(inMs: number): string {
    return new Date(this.#options.now() + inMs).toISOString();
  }
}

/** Labels say where, who and how bad, and stay while that stays; the story goes to the annotations. Severity is part of what routes it. */
function alertOf({ type, severity, place, culprits: [culprit], summary, story, openedAt, id }: Incident): StoredAlert {
  const labels: Record<string, string | undefined> = {
    alertname: `Fabric${type.replace(/(^|-)([a-z])/g, (_all, _dash, letter: string) => letter.toUpperCase())}`,
    interface: place.interface,
    namespace: culprit?.namespace,
    node: place.node,
    queue: place.queue === undefined ? undefined : String(place.queue),
    severity: SEVERITY_LABEL[severity],
    slice: place.slice,
    source: 'hopscope',
    workload: culprit?.workload,
  };
  const said = Object.entries(labels).filter(([, value]) => value !== undefined && value !== '');
  return {
    key: JSON.stringify(Object.fromEntries(said)),
    annotations: { summary, description: story.text, incident: id },
    startsAt: openedAt,
    endedAt: null,
  };
}
