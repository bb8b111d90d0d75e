// Incidents to signed events: opened, severity-changed, closed; and in webhook mode remediation.requested with its outcome.
//
//   incident ─▶ outbox (on disk) ─▶ delivery
//   plan that may act ─▶ remediation.requested (plan hash, expiry, undo) ─▶ settle ─▶ verified | no-effect | expired
//
// Rule: Hopscope writes to nothing but its outbox. One request per incident and plan; a request ends exactly once.

import { randomUUID } from 'node:crypto';
import type { Incident, IncidentChange } from '../../collector/event.ts';
import type { Outbox } from '../../collector/store/outbox.ts';
import { judge, type QueueReading } from './verify.ts';

export interface RemediationOptions {
  mode: 'observe' | 'webhook';
  minSeverity: number;
  /** How long a request stands, and how long to wait before judging it, ns of collector time. */
  expiryNs: number;
  settleNs: number;
  endpoints: readonly { name: string; minSeverity: number }[];
  outbox: Outbox;
  /** Current counters of the incident's queue, or undefined when the queue is not known. */
  readQueue(incident: Incident): QueueReading | undefined;
  nowUnixMs(): number;
  /** Something was stored: delivery may look. `evicted` names the endpoint of an older event that had to go. */
  onStored(evicted: string | undefined): void;
}

interface Request {
  id: string;
  incident: Incident;
  planHash: string;
  before: readonly [QueueReading, QueueReading];
  requestedNs: number;
  settled: QueueReading | undefined;
}

export class Remediation {
  readonly #options: RemediationOptions;
  /** First reading of each open incident's queue: the start of "before". */
  readonly #baselines = new Map<string, QueueReading>();
  readonly #requests = new Map<string, Request>();
  /** Open incidents whose one request has ended. */
  readonly #finished = new Set<string>();
  /** Severity last told per incident and endpoint, so that each endpoint hears opened, changes and closed in order. */
  readonly #told = new Map<string, Set<string>>();

  constructor(options: RemediationOptions) {
    this.#options = options;
  }

  /** Takes note of a change of an incident and stores the events it calls for. */
  onIncident(incident: Incident, change: IncidentChange): void {
    const told = this.#told.get(incident.id) ?? new Set<string>();
    this.#told.set(incident.id, told);
    for (const endpoint of this.#options.endpoints) {
      if (incident.severity < endpoint.minSeverity && !told.has(endpoint.name)) continue;
      if (!told.has(endpoint.name)) {
        if (change === 'closed') continue;
        told.add(endpoint.name);
        this.#store(endpoint.name, 'incident.opened', incident.id, withoutEvents(incident), null);
      } else if (change === 'severity-changed' || change === 'closed') {
        this.#store(endpoint.name, `incident.${change}`, incident.id, withoutEvents(incident), null);
      }
    }
    if (change === 'closed') {
      this.#told.delete(incident.id);
      this.#baselines.delete(incident.id);
      this.#finished.delete(incident.id);
    } else if (!this.#baselines.has(incident.id)) {
      const reading = this.#options.readQueue(incident);
      if (reading !== undefined) this.#baselines.set(incident.id, reading);
    }
  }

  /** Requests what may be requested and judges what was. Call about once a second with collector time and the open incidents. */
  advance(nowNs: number, open: readonly Incident[]): void {
    if (this.#options.mode === 'webhook') for (const incident of open) this.#mayRequest(incident, nowNs);
    for (const request of this.#requests.values()) this.#follow(request, nowNs);
  }

  #mayRequest(incident: Incident, nowNs: number): void {
    const { plan } = incident;
    if (incident.state !== 'open' || plan.action !== 'limit-egress-rate' || incident.severity < this.#options.minSeverity) return;
    if (this.#requests.has(incident.id) || this.#finished.has(incident.id)) return;
    const first = this.#baselines.get(incident.id);
    const now = this.#options.readQueue(incident);
    if (first === undefined || now === undefined || now.atNs <= first.atNs) return;
    const request: Request = {
      id: `rem_${randomUUID()}`,
      incident,
      planHash: plan.planHash,
      before: [first, now],
      requestedNs: nowNs,
      settled: undefined,
    };
    this.#requests.set(incident.id, request);
    const expiresUnixMs = this.#options.nowUnixMs() + this.#options.expiryNs / 1e6;
    this.#tell(request, 'remediation.requested', { plan, expiresAt: new Date(expiresUnixMs).toISOString() }, expiresUnixMs);
  }

  #follow(request: Request, nowNs: number): void {
    const reading = this.#options.readQueue(request.incident);
    const age = nowNs - request.requestedNs;
    if (reading !== undefined && request.settled === undefined && age >= this.#options.settleNs) request.settled = reading;
    const observed = request.settled !== undefined && reading !== undefined && age >= 2 * this.#options.settleNs;
    const verdict = observed ? judge(request.before, [request.settled!, reading]) : 'inconclusive';
    if (verdict === 'verified') this.#end(request, 'remediation.verified');
    else if (age >= this.#options.expiryNs) {
      this.#end(request, verdict === 'no-effect' ? 'remediation.no-effect' : 'remediation.expired');
    }
  }

  #end(request: Request, type: 'remediation.verified' | 'remediation.no-effect' | 'remediation.expired'): void {
    this.#requests.delete(request.incident.id);
    if (request.incident.state === 'open') this.#finished.add(request.incident.id);
    this.#tell(request, type, {}, null);
  }

  #tell(request: Request, type: string, more: object, expiresUnixMs: number | null): void {
    const data = { requestId: request.id, incidentId: request.incident.id, planHash: request.planHash, ...more };
    for (const endpoint of this.#options.endpoints) this.#store(endpoint.name, type, request.incident.id, data, expiresUnixMs);
  }

  #store(endpoint: string, type: string, groupKey: string, data: object, expiresUnixMs: number | null): void {
    const nowUnixMs = this.#options.nowUnixMs();
    const body = JSON.stringify({ type, timestamp: new Date(nowUnixMs).toISOString(), data });
    const id = `msg_${randomUUID()}`;
    this.#options.onStored(this.#options.outbox.put({ id, endpoint, type, groupKey, body, expiresUnixMs }, nowUnixMs));
  }
}

/** Events of an incident can be many: a webhook body stays small, the API has them all. */
function withoutEvents(incident: Incident): Omit<Incident, 'events'> {
  const { events: _events, ...rest } = incident;
  return rest;
}
