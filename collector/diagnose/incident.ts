// Events that belong together, as one incident: one queue, one leading culprit, until it has been quiet for a minute.
// Only incidents alert: most bursts last microseconds, and an alert per burst helps nobody.
// Rule: the book is bounded; closed incidents leave it oldest first. An incident shows its surest verdict, and never changes its
// leading culprit: another culprit is another incident.

import {
  isCongestion,
  ownerKeyOf,
  placeText,
  queueKeyOf,
  type ConditionEvent,
  type CongestionEvent,
  type FabricEvent,
  type Incident,
  type IncidentChange,
  type LinkedAlert,
  type Place,
  type Plan,
  type RelatedIncident,
  type QueueScope,
  type Severity,
  type Victim,
} from '../event.ts';
import { relationOf } from './relation.ts';
import { storyOf } from './story.ts';

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
  /** What it is about: a queue, or a kind of condition at a place. */
  key: string;
  lastActivityNs: number;
  openEvents: Set<string>;
  /** When it was last looked for what is related to it. */
  relatedNs: number;
  /** The culprit that the incident is about, once one is known; and the event whose verdict is shown. */
  leading: string | undefined;
  verdictEventId: string;
}

const MAX_EVENTS = 64;
const MAX_RELATED = 8;
/** How often an incident that goes on is compared with all others. */
const RELATE_NS = 1e9;
const MIN_CULPRIT_SHARE = 0.3;
/** Below it nobody is named. */
const MIN_CONFIDENCE = 0.5;

export class IncidentBook {
  readonly #options: IncidentOptions;
  readonly #watch: IncidentWatcher;
  readonly #entries = new Map<string, Entry>();
  /** Incidents by type and severity since the start, for counters that must not shrink with the book. */
  readonly opened = new Map<string, number>();
  /** States of events that found no room: every incident in the book is open. */
  overflow = 0;

  constructor(options: IncidentOptions, watch: IncidentWatcher) {
    this.#options = options;
    this.#watch = watch;
  }

  /** Puts a new state of an event into its incident, opening one if needed. */
  record(event: FabricEvent, nowNs: number): void {
    if (!isCongestion(event) && this.#accompany(event, nowNs)) return;
    const entry = (isCongestion(event) ? this.#entryFor(event) : this.#entryOf(conditionKey(event))) ?? this.#open(event, nowNs);
    if (entry === undefined) return;
    const { incident } = entry;
    const isNew = incident.events.length === 0;
    const before = incident.severity;
    if (isCongestion(event)) this.#merge(entry, event, nowNs);
    else this.#mergeCondition(entry, event, nowNs);
    this.#tell(entry, isNew ? 'opened' : incident.severity === before ? 'updated' : 'severity-changed', nowNs);
  }

  #tell(entry: Entry, change: IncidentChange, nowNs: number): void {
    const { incident } = entry;
    if (change !== 'updated' || nowNs - entry.relatedNs >= RELATE_NS) {
      entry.relatedNs = nowNs;
      incident.related = this.#relatedTo(incident);
    }
    incident.story = storyOf(incident);
    incident.plan = this.#options.planFor(incident);
    if (change === 'opened') {
      const key = `${incident.type}/${incident.severity}`;
      this.opened.set(key, (this.opened.get(key) ?? 0) + 1);
    }
    this.#watch(incident, change);
  }

  /** A condition that comes from an event of an incident is a part of it. */
  #accompany(event: ConditionEvent, nowNs: number): boolean {
    for (const entry of this.#entries.values()) {
      if (!entry.incident.events.some(({ id }) => event.related.includes(id))) continue;
      this.#keep(entry.incident, event);
      entry.incident.updatedAt = this.#options.iso(nowNs);
      this.#tell(entry, 'updated', nowNs);
      return true;
    }
    return false;
  }

  #entryOf(key: string): Entry | undefined {
    for (const entry of this.#entries.values()) if (entry.incident.state === 'open' && entry.key === key) return entry;
    return undefined;
  }

  #mergeCondition(entry: Entry, event: ConditionEvent, nowNs: number): void {
    const { incident } = entry;
    this.#note(entry, event, event.severity, nowNs);
    incident.confidence = event.confidence;
    incident.summary = `${placeText(event.place)}: ${event.summary}`;
  }

  /** What every event does to its incident. */
  #note(entry: Entry, event: FabricEvent, severity: Severity, nowNs: number): void {
    const { incident } = entry;
    entry.lastActivityNs = nowNs;
    if (event.state === 'closed') entry.openEvents.delete(event.id);
    else entry.openEvents.add(event.id);
    if (this.#keep(incident, event)) incident.eventCount++;
    incident.updatedAt = this.#options.iso(nowNs);
    incident.severity = Math.max(incident.severity, severity) as Severity;
  }

  /** The newest state of an event takes the place of an older one; true when there was none. */
  #keep(incident: Incident, event: FabricEvent): boolean {
    const at = incident.events.findIndex((known) => known.id === event.id);
    if (at >= 0) {
      incident.events[at] = event;
      return false;
    }
    incident.events.push(event);
    if (incident.events.length > MAX_EVENTS) incident.events.shift();
    return true;
  }

  /** Open incidents that explain this one, come from it, or limit what can be known of it. */
  #relatedTo(incident: Incident): RelatedIncident[] {
    const related: RelatedIncident[] = [];
    for (const { incident: other } of this.#entries.values()) {
      if (other === incident || other.state !== 'open') continue;
      const relation = relationOf(other, incident);
      if (relation !== undefined) related.push({ id: other.id, type: other.type, relation, where: placeText(other.place) });
    }
    return related.slice(-MAX_RELATED);
  }

  /** Closes incidents that have been quiet for long enough and have no open event. */
  advance(nowNs: number): void {
    for (const entry of this.#entries.values()) {
      const { incident } = entry;
      if (incident.state !== 'open' || entry.openEvents.size > 0) continue;
      if (nowNs - entry.lastActivityNs < this.#options.quietNs) continue;
      this.#close(incident, nowNs);
    }
  }

  #close(incident: Incident, nowNs: number): void {
    incident.state = 'closed';
    incident.closedAt = this.#options.iso(nowNs);
    incident.updatedAt = incident.closedAt;
    incident.story = storyOf(incident);
    this.#watch(incident, 'closed');
  }

  /** Incidents that are open. */
  get open(): number {
    let open = 0;
    for (const { incident } of this.#entries.values()) if (incident.state === 'open') open++;
    return open;
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
    const queueKey = congestionKey(event);
    const culprit = leadingCulprit(event);
    for (const entry of this.#entries.values()) {
      if (entry.incident.state !== 'open' || !entry.openEvents.has(event.id)) continue;
      const isOnlyOne = entry.incident.eventCount === 1;
      const isOwn = isOnlyOne || culprit === undefined || (entry.leading ?? culprit) === culprit;
      if (isOwn) return entry;
      // It was put here before its culprit was known, and belongs to another story.
      entry.openEvents.delete(event.id);
      entry.incident.events = entry.incident.events.filter((known) => known.id !== event.id);
      entry.incident.eventCount--;
    }
    for (const entry of this.#entries.values()) {
      if (entry.incident.state !== 'open' || entry.key !== queueKey) continue;
      if (culprit === undefined || entry.leading === undefined || culprit === entry.leading) return entry;
    }
    return undefined;
  }

  #open(event: FabricEvent, nowNs: number): Entry | undefined {
    if (!this.#hasRoom()) {
      this.overflow++;
      return undefined;
    }
    const incident: Incident = {
      id: event.id.replace('evt_', 'inc_'),
      type: isCongestion(event) ? 'congestion' : event.kind,
      state: 'open',
      severity: 1,
      summary: '',
      story: { text: '', evidence: [], help: [] },
      place: isCongestion(event) ? placeOfQueue(event.queue) : event.place,
      queue: isCongestion(event) ? event.queue : null,
      related: [],
      openedAt: event.start,
      updatedAt: this.#options.iso(nowNs),
      closedAt: null,
      eventCount: 0,
      peakWaitNs: 0,
      peakDepthBytes: null,
      culprits: [],
      victims: [],
      confidence: 0,
      evidence: isCongestion(event) ? event.evidence : NO_EVIDENCE,
      plan: { action: 'none', targets: [], why: '', expectedEffect: '', undo: '', planHash: '' },
      alerts: [],
      events: [],
    };
    const entry: Entry = {
      incident,
      key: isCongestion(event) ? congestionKey(event) : conditionKey(event),
      lastActivityNs: nowNs,
      openEvents: new Set<string>(),
      relatedNs: -Infinity,
      leading: undefined,
      verdictEventId: event.id,
    };
    this.#entries.set(incident.id, entry);
    return entry;
  }

  #merge(entry: Entry, event: CongestionEvent, nowNs: number): void {
    const { incident } = entry;
    this.#note(entry, event, severityOf(event), nowNs);
    if (event.peakWaitNs >= incident.peakWaitNs) {
      incident.peakWaitNs = event.peakWaitNs;
      incident.peakDepthBytes = event.peakDepthBytes;
    }
    if (incident.eventCount === 1) entry.leading = leadingCulprit(event) ?? entry.leading;
    else entry.leading ??= leadingCulprit(event);
    const isSurest = event.id === entry.verdictEventId || event.confidence >= incident.confidence;
    if (event.culprits.length > 0 && isSurest) {
      entry.verdictEventId = event.id;
      incident.culprits = event.culprits;
      incident.confidence = event.confidence;
      incident.evidence = event.evidence;
    }
    incident.victims = mergeVictims(incident.victims, event.victims);
    incident.summary = summaryOf(incident);
  }

  /** Lets the oldest closed incident go when the book is full. */
  #hasRoom(): boolean {
    if (this.#entries.size < this.#options.maxIncidents) return true;
    for (const { incident } of this.#entries.values()) {
      if (incident.state === 'closed') return this.#entries.delete(incident.id);
    }
    return false;
  }
}

const NO_EVIDENCE = { reports: 0, effectiveReports: 0, reportLossRatio: null, coverage: null, identifiedShare: 0 };

function congestionKey(event: CongestionEvent): string {
  return `congestion/${queueKeyOf(event.queue)}`;
}

function conditionKey({ kind, place }: ConditionEvent): string {
  return `${kind}/${placeText(place)}`;
}

function placeOfQueue({ node, nodeId, interface: name, interfaceId, queue }: QueueScope): Place {
  return { node, nodeId, interface: name, interfaceId, queue };
}

/** A wait that the octets in the queue explain to less than this is nothing to wake anybody up for. */
const MIN_EXPLAINED = 0.5;

/** Severity of one event, by harm and not by depth: 1 nobody harmed, 2 victims or long, 3 from half the budget, 4 budget breached or drops. */
export function severityOf(event: CongestionEvent): Severity {
  const worst = Math.max(0, ...event.victims.map((victim) => victim.budgetUse));
  if ((event.evidence.explainedShare ?? 1) < MIN_EXPLAINED && event.kind !== 'starvation') return 2;
  if (worst >= 1 || event.dropReports > 0) return 4;
  if (worst >= 0.5) return 3;
  return event.victims.length > 0 || event.kind !== 'microburst' ? 2 : 1;
}

/** The culprit that leads surely enough to name an incident after. */
function leadingCulprit({ culprits, confidence }: CongestionEvent): string | undefined {
  const first = culprits[0];
  if (first === undefined || first.kind === 'unknown' || first.buildUpShare < MIN_CULPRIT_SHARE) return undefined;
  return confidence < MIN_CONFIDENCE ? undefined : ownerKeyOf(first);
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
  const wait = `${(incident.peakWaitNs / 1000).toFixed(0)} µs`;
  const first = incident.culprits[0];
  const sure = `${Math.round(incident.confidence * 100)} % sure`;
  const cause =
    first === undefined || incident.confidence < MIN_CONFIDENCE
      ? 'not enough evidence to name a cause'
      : `${first.namespace}/${first.workload} put in ${Math.round(first.buildUpShare * 100)} % of the build-up (${sure})`;
  const victims = incident.victims.slice(0, 3).map((v) => `${v.namespace}/${v.workload}`);
  const harm = victims.length === 0 ? 'nobody else was harmed' : `harmed: ${victims.join(', ')}`;
  return `${placeText(incident.place)}: packets waited up to ${wait}; ${cause}; ${harm}`;
}
