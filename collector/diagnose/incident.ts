// Events that belong together, as one incident: one queue, one leading culprit, until it has been quiet for a minute.
// Only incidents alert: most bursts last microseconds, and an alert per burst helps nobody.
// Rule: the book is bounded; closed incidents leave it oldest first, and the newest verdict is what an incident shows.

import { randomUUID } from 'node:crypto';
import type { CongestionEvent, Culprit, Incident, IncidentChange, LinkedAlert, Plan, Severity, Victim } from '../event.ts';

export interface IncidentOptions {
  /** Without a new event for this long, an incident is over. */
  quietNs: number;
  /** Incidents kept in memory, open and closed. */
  maxIncidents: number;
  iso(ns: number): string;
  planFor: (incident: Incident) => Plan;
}

/** Told about every change of an incident. The object is live: copy what must not change. */
export type IncidentWatcher = (incident: Incident, change: IncidentChange) => void;

interface Entry {
  incident: Incident;
  queueKey: string;
  lastActivityNs: number;
  openEvents: Set<string>;
}

const MAX_EVENTS = 64;
const MIN_CULPRIT_SHARE = 0.3;

export class IncidentBook {
  readonly #options: IncidentOptions;
  readonly #watch: IncidentWatcher;
  readonly #entries = new Map<string, Entry>();
  /** Incidents by type and severity since the start, for counters that must not shrink with the book. */
  readonly opened = new Map<string, number>();
  /** Closed or oldest incidents that left the book. */
  forgotten = 0;

  constructor(options: IncidentOptions, watch: IncidentWatcher) {
    this.#options = options;
    this.#watch = watch;
  }

  /** Puts a new state of an event into its incident, opening one if needed. */
  record(event: CongestionEvent, nowNs: number): void {
    const entry = this.#entryFor(event) ?? this.#open(event, nowNs);
    const { incident } = entry;
    const isNew = incident.events.length === 0;
    const before = incident.severity;
    this.#merge(entry, event, nowNs);
    incident.plan = this.#options.planFor(incident);
    if (isNew) {
      const key = `${incident.type}/${incident.severity}`;
      this.opened.set(key, (this.opened.get(key) ?? 0) + 1);
      this.#watch(incident, 'opened');
    } else this.#watch(incident, incident.severity === before ? 'updated' : 'severity-changed');
  }

  /** Closes incidents that have been quiet for long enough and have no open event. */
  advance(nowNs: number): void {
    for (const entry of this.#entries.values()) {
      const { incident } = entry;
      if (incident.state !== 'open' || entry.openEvents.size > 0) continue;
      if (nowNs - entry.lastActivityNs < this.#options.quietNs) continue;
      incident.state = 'closed';
      incident.closedAt = this.#options.iso(nowNs);
      incident.updatedAt = incident.closedAt;
      this.#watch(incident, 'closed');
    }
  }

  /** All incidents in the book, newest first. */
  list(): Incident[] {
    return [...this.#entries.values()].map((entry) => entry.incident).reverse();
  }

  get(id: string): Incident | undefined {
    return this.#entries.get(id)?.incident;
  }

  /** Attaches an alert to the incident it names; false when there is no such incident. */
  link(id: string, alert: LinkedAlert): boolean {
    const incident = this.get(id);
    if (incident === undefined) return false;
    const others = incident.alerts.filter((a) => a.fingerprint !== alert.fingerprint);
    incident.alerts = [...others.slice(-15), alert];
    return true;
  }

  #entryFor(event: CongestionEvent): Entry | undefined {
    const queueKey = queueKeyOf(event);
    for (const entry of this.#entries.values()) {
      if (entry.incident.state === 'open' && entry.openEvents.has(event.id)) return entry;
    }
    const culprit = leadingCulprit(event.culprits);
    for (const entry of this.#entries.values()) {
      if (entry.incident.state !== 'open' || entry.queueKey !== queueKey) continue;
      const known = leadingCulprit(entry.incident.culprits);
      if (culprit === undefined || known === undefined || culprit === known) return entry;
    }
    return undefined;
  }

  #open(event: CongestionEvent, nowNs: number): Entry {
    const incident: Incident = {
      id: `inc_${randomUUID()}`,
      type: 'congestion',
      state: 'open',
      severity: 1,
      summary: '',
      queue: event.queue,
      openedAt: event.start,
      updatedAt: this.#options.iso(nowNs),
      closedAt: null,
      eventCount: 0,
      peakWaitNs: 0,
      peakDepthBytes: null,
      culprits: [],
      victims: [],
      confidence: 0,
      evidence: event.evidence,
      plan: { action: 'none', targets: [], why: '', expectedEffect: '', undo: '', mode: 'observe', planHash: '' },
      alerts: [],
      events: [],
    };
    const entry = { incident, queueKey: queueKeyOf(event), lastActivityNs: nowNs, openEvents: new Set<string>() };
    this.#makeRoom();
    this.#entries.set(incident.id, entry);
    return entry;
  }

  #merge(entry: Entry, event: CongestionEvent, nowNs: number): void {
    const { incident } = entry;
    entry.lastActivityNs = nowNs;
    if (event.state === 'closed') entry.openEvents.delete(event.id);
    else entry.openEvents.add(event.id);
    const at = incident.events.findIndex((known) => known.id === event.id);
    if (at >= 0) incident.events[at] = event;
    else {
      incident.events.push(event);
      incident.eventCount++;
      if (incident.events.length > MAX_EVENTS) incident.events.shift();
    }
    incident.updatedAt = this.#options.iso(nowNs);
    incident.severity = Math.max(incident.severity, severityOf(event)) as Severity;
    if (event.peakWaitNs >= incident.peakWaitNs) {
      incident.peakWaitNs = event.peakWaitNs;
      incident.peakDepthBytes = event.peakDepthBytes;
    }
    if (event.culprits.length > 0) {
      incident.culprits = event.culprits;
      incident.confidence = event.confidence;
      incident.evidence = event.evidence;
    }
    incident.victims = mergeVictims(incident.victims, event.victims);
    incident.summary = summaryOf(incident);
  }

  #makeRoom(): void {
    if (this.#entries.size < this.#options.maxIncidents) return;
    const closed = [...this.#entries].find(([, entry]) => entry.incident.state === 'closed');
    const [oldest] = closed ?? [...this.#entries][0];
    this.#entries.delete(oldest);
    this.forgotten++;
  }
}

/** Severity of one event: 1 nobody harmed, 2 victims, 3 from half the budget or 100 ms standing, 4 budget breached or drops. */
export function severityOf(event: CongestionEvent): Severity {
  const worst = Math.max(0, ...event.victims.map((victim) => victim.budgetUse));
  if (worst >= 1 || event.dropReports > 0) return 4;
  if (worst >= 0.5 || event.kind === 'sustained') return 3;
  return event.victims.length > 0 || event.kind === 'congestion' ? 2 : 1;
}

function queueKeyOf(event: CongestionEvent): string {
  return `${event.queue.nodeId}/${event.queue.interfaceId}/${event.queue.queue}`;
}

/** The culprit that leads clearly enough to name an incident after. */
function leadingCulprit(culprits: readonly Culprit[]): string | undefined {
  const first = culprits[0];
  if (first === undefined || first.kind === 'unknown' || first.buildUpShare < MIN_CULPRIT_SHARE) return undefined;
  return `${first.kind}/${first.namespace}/${first.workload}`;
}

function mergeVictims(known: readonly Victim[], found: readonly Victim[]): Victim[] {
  const merged = new Map(known.map((victim) => [`${victim.namespace}/${victim.workload}`, victim]));
  for (const victim of found) {
    const key = `${victim.namespace}/${victim.workload}`;
    const before = merged.get(key);
    if (before === undefined || victim.excessWaitP99Ns >= before.excessWaitP99Ns) merged.set(key, victim);
  }
  return [...merged.values()].sort((a, b) => b.budgetUse - a.budgetUse).slice(0, 16);
}

/** One sentence for people: where, how bad, by whom, to whose harm, how sure. */
function summaryOf(incident: Incident): string {
  const { queue } = incident;
  const wait = `${(incident.peakWaitNs / 1000).toFixed(0)} µs`;
  const first = incident.culprits[0];
  const sure = `${Math.round(incident.confidence * 100)} % sure`;
  const cause =
    first === undefined || incident.confidence < 0.5
      ? 'not enough evidence to name a cause'
      : `${first.namespace}/${first.workload} put in ${Math.round(first.buildUpShare * 100)} % of the build-up (${sure})`;
  const victims = incident.victims.slice(0, 3).map((v) => `${v.namespace}/${v.workload}`);
  const harm = victims.length === 0 ? 'nobody else was harmed' : `harmed: ${victims.join(', ')}`;
  return `${queue.node} interface ${queue.interface} queue ${queue.queue}: packets waited up to ${wait}; ${cause}; ${harm}`;
}
