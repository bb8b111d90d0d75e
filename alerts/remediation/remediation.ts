// Incidents to signed events: opened, severity-changed, closed; and in webhook mode remediation.requested with its outcome.
//
//   incident ─▶ outbox (on disk) ─▶ delivery
//   plan that may act, baseline known ─▶ requested ─▶ delivered ─▶ settle ─▶ watch ─▶ verified | no-effect | expired
//
// Rule: this writes to nothing but the outbox (what changes a network is safe-loop.ts). What was opened or requested is owed its end: it lies on disk from the beginning,
// and is sent at the next start when the process died meanwhile. A request is judged once, and only when somebody has received it.

import { randomUUID } from 'node:crypto';
import { withoutEvents, type Incident, type IncidentChange } from '../../collector/event.ts';
import type { Outbox, OutboxEvent, OwedEvent } from '../../collector/store/outbox.ts';
import { baselineOf, judge, watchNs, type Baseline, type QueueReading } from './verify.ts';

export interface RemediationOptions {
  mode: 'observe' | 'webhook';
  minSeverity: number;
  /** How long a request stands at least (longer when judging takes longer), and how long a change may take before it is judged, ns of collector time. */
  expiryNs: number;
  settleNs: number;
  endpoints: readonly { name: string; minSeverity: number }[];
  outbox: Outbox;
  /** Current counters of the incident's queue, or undefined when the queue is not known. */
  readQueue(incident: Incident): QueueReading | undefined;
  nowUnixMs(): number;
  /** Something was stored: delivery may look. `evicted` names the endpoint of an older event that had to go. */
  onStored(evicted: string | undefined): void;
  /** An event could not be stored. */
  onLost(reason: string): void;
}

interface Request {
  id: string;
  incident: Incident;
  planHash: string;
  baseline: Baseline;
  expiresNs: number;
  /** When the first endpoint took it. */
  deliveredNs: number | undefined;
  settled: QueueReading | undefined;
}

/** Time allowed for delivery, and the longest that a request may stand: what recurs more slowly cannot be judged. */
const DELIVERY_NS = 10e9;
const MAX_STANDS_NS = 3600e9;

const STATE_OF = {
  'remediation.verified': 'verified',
  'remediation.no-effect': 'no-effect',
  'remediation.expired': 'expired',
} as const;

type Outcome = keyof typeof STATE_OF;

export class Remediation {
  readonly #options: RemediationOptions;
  /** First reading of each open incident's queue: the start of "before". */
  readonly #first = new Map<string, QueueReading>();
  /** By incident. */
  readonly #requests = new Map<string, Request>();
  /** Open incidents whose one request has ended. */
  readonly #finished = new Set<string>();
  /** Endpoints that were told of an open incident. */
  readonly #told = new Map<string, Set<string>>();
  /** Requests whose delivery was reported since the last advance. */
  readonly #delivered = new Set<string>();

  constructor(options: RemediationOptions) {
    this.#options = options;
  }

  /** Sends what a process that died still owed. Call once, before anything else. */
  start(): void {
    const nowUnixMs = this.#options.nowUnixMs();
    const timestamp = new Date(nowUnixMs).toISOString();
    const owed = this.#options.outbox.payDebts(nowUnixMs, (body) => {
      const message = JSON.parse(body) as { type: string; data: object };
      const closedAt = message.type === 'incident.closed' ? { closedAt: timestamp } : {};
      return JSON.stringify({ ...message, timestamp, data: { ...message.data, ...closedAt } });
    });
    if (owed > 0) this.#options.onStored(undefined);
  }

  /** Takes note of a change of an incident and stores the events it calls for. */
  onIncident(incident: Incident, change: IncidentChange): void {
    const told = this.#told.get(incident.id) ?? new Set<string>();
    this.#told.set(incident.id, told);
    for (const { name, minSeverity } of this.#options.endpoints) {
      if (told.has(name)) {
        if (change === 'severity-changed' || change === 'closed') this.#tellOfIncident(name, incident, change);
      } else if (incident.severity >= minSeverity && change !== 'closed') {
        told.add(name);
        this.#tellOfIncident(name, incident, 'opened');
      }
    }
    if (change === 'closed') {
      this.#told.delete(incident.id);
      this.#first.delete(incident.id);
      this.#finished.delete(incident.id);
    } else if (!this.#first.has(incident.id)) {
      const reading = this.#options.readQueue(incident);
      if (reading !== undefined) this.#first.set(incident.id, reading);
    }
  }

  /** An endpoint took an event. */
  onDelivered(event: OutboxEvent): void {
    if (event.type === 'remediation.requested') this.#delivered.add(event.groupKey);
  }

  /** Requests what may be requested and judges what was. Call about once a second with collector time and the incidents. */
  advance(nowNs: number, incidents: readonly Incident[]): void {
    if (this.#options.mode === 'webhook') for (const incident of incidents) this.#mayRequest(incident, nowNs);
    for (const request of this.#requests.values()) this.#follow(request, nowNs);
    this.#delivered.clear();
  }

  #mayRequest(incident: Incident, nowNs: number): void {
    const { plan } = incident;
    if (incident.state !== 'open' || plan.action !== 'limit-egress-rate' || incident.severity < this.#options.minSeverity) return;
    if (this.#requests.has(incident.id) || this.#finished.has(incident.id) || !this.#told.get(incident.id)?.size) return;
    const first = this.#first.get(incident.id);
    const now = this.#options.readQueue(incident);
    const baseline = first && now && baselineOf(first, now, this.#options.settleNs);
    if (baseline === undefined) return;
    const { settleNs, expiryNs } = this.#options;
    const standsNs = Math.max(expiryNs, settleNs + watchNs(baseline, settleNs) + DELIVERY_NS);
    if (standsNs > MAX_STANDS_NS) return;
    const id = `rem_${randomUUID()}`;
    const expiresNs = nowNs + standsNs;
    const request = { id, incident, planHash: plan.planHash, baseline, expiresNs, deliveredNs: undefined, settled: undefined };
    this.#requests.set(incident.id, request);
    incident.request = { id, state: 'requested' };
    const expiresUnixMs = this.#options.nowUnixMs() + standsNs / 1e6;
    const data = { ...outcomeData(request), plan, expiresAt: new Date(expiresUnixMs).toISOString() };
    for (const name of this.#told.get(incident.id) ?? []) {
      this.#store(name, 'remediation.requested', incident.id, data, {
        expiresUnixMs,
        owes: { key: `${id}/${name}`, ...this.#message('remediation.expired', outcomeData(request)) },
      });
    }
  }

  #follow(request: Request, nowNs: number): void {
    const { settleNs } = this.#options;
    if (this.#delivered.has(request.incident.id)) request.deliveredNs ??= nowNs;
    const reading = this.#options.readQueue(request.incident);
    if (request.deliveredNs !== undefined && reading !== undefined) {
      const age = nowNs - request.deliveredNs;
      if (age >= settleNs) request.settled ??= reading;
      if (request.settled !== undefined && age >= settleNs + watchNs(request.baseline, settleNs)) {
        const verdict = judge(request.baseline, request.settled, reading);
        if (verdict !== 'inconclusive') return this.#end(request, `remediation.${verdict}`);
      }
    }
    if (nowNs >= request.expiresNs) this.#end(request, 'remediation.expired');
  }

  #end(request: Request, type: Outcome): void {
    const { incident } = request;
    this.#requests.delete(incident.id);
    incident.request = { id: request.id, state: STATE_OF[type] };
    if (incident.state === 'open') this.#finished.add(incident.id);
    for (const { name } of this.#options.endpoints) {
      if (this.#options.outbox.owes(`${request.id}/${name}`)) {
        this.#store(name, type, incident.id, outcomeData(request), { settles: `${request.id}/${name}` });
      }
    }
  }

  #tellOfIncident(endpoint: string, incident: Incident, change: 'opened' | 'severity-changed' | 'closed'): void {
    const key = `${incident.id}/${endpoint}`;
    const data = withoutEvents(incident);
    if (change === 'closed') return this.#store(endpoint, 'incident.closed', incident.id, data, { settles: key });
    const owed = this.#message('incident.closed', { ...data, state: 'closed', closedBecause: 'the collector was restarted' });
    this.#store(endpoint, `incident.${change}`, incident.id, data, { owes: { key, ...owed } });
  }

  #message(type: string, data: object): { type: string; body: string } {
    return { type, body: JSON.stringify({ type, timestamp: new Date(this.#options.nowUnixMs()).toISOString(), data }) };
  }

  #store(
    endpoint: string,
    type: string,
    groupKey: string,
    data: object,
    more: { expiresUnixMs?: number; owes?: OwedEvent; settles?: string },
  ): void {
    const id = `msg_${randomUUID()}`;
    const { body } = this.#message(type, data);
    const event = { id, endpoint, type, groupKey, body, expiresUnixMs: more.expiresUnixMs ?? null };
    try {
      this.#options.onStored(this.#options.outbox.put(event, this.#options.nowUnixMs(), more));
    } catch (error) {
      this.#options.onLost(error instanceof Error ? error.message : String(error));
    }
  }
}

function outcomeData(request: { id: string; incident: Incident; planHash: string }) {
  return { requestId: request.id, incidentId: request.incident.id, planHash: request.planHash };
}
