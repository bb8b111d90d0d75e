// Incidents to signed events (opened, severity-changed, closed), and what the safe loop did about them (remediation.*).
//
//   incident, decision ─▶ outbox (on disk) ─▶ delivery
//
// Rule: what was opened is owed its end: it lies on disk from the beginning, and is sent at the next start when the process died meanwhile.

import { randomUUID } from 'node:crypto';
import { withoutEvents, type Incident, type IncidentChange } from '../../collector/event.ts';
import type { Outbox, OwedEvent } from '../../collector/store/outbox.ts';

export interface NotificationOptions {
  endpoints: readonly { name: string; minSeverity: number }[];
  outbox: Outbox;
  nowUnixMs: () => number;
  /** Something was stored: delivery may look. `evicted` names the endpoint of an older event that had to go. */
  onStored: (evicted: string | undefined) => void;
  /** An event could not be stored. */
  onLost: (reason: string) => void;
}

export class Notifications {
  readonly #options: NotificationOptions;
  /** Endpoints that were told of an open incident. */
  readonly #told = new Map<string, Set<string>>();

  constructor(options: NotificationOptions) {
    this.#options = options;
  }

  /** Sends what a process that died still owed. Call once, before anything else. */
  start(): void {
    const nowUnixMs = this.#options.nowUnixMs();
    const timestamp = new Date(nowUnixMs).toISOString();
    const owed = this.#options.outbox.payDebts(nowUnixMs, (body, sequence) => {
      const message = JSON.parse(body) as { type: string; data: object };
      return JSON.stringify({ ...message, timestamp, sequence, data: { ...message.data, closedAt: timestamp } });
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
    if (change === 'closed') this.#told.delete(incident.id);
  }

  /** The safe loop did something about an incident: whoever was told of the incident is told of that, too. */
  onDecision(kind: string, incidentId: string, data: object): void {
    for (const endpoint of this.#told.get(incidentId) ?? []) {
      this.#store(endpoint, `remediation.${kind}`, incidentId, { incidentId, ...data });
    }
  }

  #tellOfIncident(endpoint: string, incident: Incident, change: 'opened' | 'severity-changed' | 'closed'): void {
    const key = `${incident.id}/${endpoint}`;
    const data = withoutEvents(incident);
    if (change === 'closed') return this.#store(endpoint, 'incident.closed', incident.id, data, { settles: key });
    const owed = { ...data, state: 'closed', closedBecause: 'the collector was restarted' };
    const body = JSON.stringify({ type: 'incident.closed', data: owed });
    this.#store(endpoint, `incident.${change}`, incident.id, data, { owes: { key, type: 'incident.closed', body } });
  }

  #store(
    endpoint: string,
    type: string,
    groupKey: string,
    data: object,
    more: { owes?: OwedEvent; settles?: string } = {},
  ): void {
    const nowUnixMs = this.#options.nowUnixMs();
    const timestamp = new Date(nowUnixMs).toISOString();
    const body = (sequence: number): string => JSON.stringify({ type, timestamp, sequence, data });
    const event = { id: `msg_${randomUUID()}`, endpoint, type, groupKey, body, expiresUnixMs: null };
    try {
      this.#options.onStored(this.#options.outbox.put(event, nowUnixMs, more));
    } catch (error) {
      this.#options.onLost(error instanceof Error ? error.message : String(error));
    }
  }
}
