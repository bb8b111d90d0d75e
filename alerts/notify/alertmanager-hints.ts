// Alertmanager's webhook (payload version "4") as a hint: each alert is linked to the open incident on the queue that it names.
// Copies of a cluster of Alertmanagers, and repeats, are known by group, fingerprint, start and status, and count once.
// Rule: an alert proves nothing and triggers nothing; it only says who has been told.

import { z } from 'zod';
import type { Incident, LinkedAlert } from '../../collector/event.ts';

const payload = z.object({
  version: z.literal('4'),
  groupKey: z.string().default(''),
  truncatedAlerts: z.number().int().min(0).default(0),
  alerts: z.array(
    z.object({
      status: z.enum(['firing', 'resolved']),
      labels: z.record(z.string(), z.string()),
      startsAt: z.string(),
      fingerprint: z.string(),
    }),
  ),
});
type Alert = z.output<typeof payload>['alerts'][number];

/** Alerts looked at in one payload; the rest counts as unmatched. */
const MAX_ALERTS = 1000;
/** Alerts remembered to know their copies by. */
const MAX_REMEMBERED = 10_000;

/** What came of a payload; what Alertmanager itself left out is `truncated`. */
export interface LinkResult {
  linked: number;
  unmatched: number;
  repeated: number;
  truncated: number;
}

export interface AlertmanagerHintsOptions {
  /** Newest first. */
  incidents: () => readonly Incident[];
  link: (id: string, alert: LinkedAlert) => boolean;
}

export class AlertmanagerHints {
  /** Sums over all payloads. */
  readonly counts: LinkResult = { linked: 0, unmatched: 0, repeated: 0, truncated: 0 };
  readonly #options: AlertmanagerHintsOptions;
  /** Oldest first. */
  readonly #known = new Set<string>();

  constructor(options: AlertmanagerHintsOptions) {
    this.#options = options;
  }

  /** Links the alerts in `body` to incidents. Throws an Error with a plain sentence when the body is not such a payload. */
  take(body: unknown): LinkResult {
    const parsed = payload.safeParse(body);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new Error(`not an Alertmanager webhook of version "4": ${issue.path.join('.')}: ${issue.message}`);
    }
    const { alerts, groupKey, truncatedAlerts } = parsed.data;
    const result: LinkResult = { linked: 0, unmatched: 0, repeated: 0, truncated: truncatedAlerts };
    for (const alert of alerts.slice(0, MAX_ALERTS)) result[this.#takeOne(groupKey, alert)]++;
    result.unmatched += Math.max(0, alerts.length - MAX_ALERTS);
    for (const key of ['linked', 'unmatched', 'repeated', 'truncated'] as const) this.counts[key] += result[key];
    return result;
  }

  #takeOne(groupKey: string, alert: Alert): 'linked' | 'unmatched' | 'repeated' {
    const key = JSON.stringify([groupKey, alert.fingerprint, alert.startsAt, alert.status]);
    if (this.#known.has(key)) return 'repeated';
    const incident = incidentOf(alert, this.#options.incidents());
    if (incident === undefined) return 'unmatched';
    const { fingerprint, status, startsAt, labels } = alert;
    const known = { fingerprint, name: labels['alertname'] ?? 'unnamed', status, startsAt };
    if (!this.#options.link(incident.id, known)) return 'unmatched';
    // What matched nothing may match when its incident is known: only what was linked is passed over.
    this.#known.add(key);
    if (this.#known.size > MAX_REMEMBERED) this.#known.delete(this.#known.values().next().value!);
    return 'linked';
  }
}

/** The incident that knows the alert already, or the newest open one that it is about. `incidents` are newest first. */
function incidentOf(
  alert: { fingerprint: string; startsAt: string; labels: Record<string, string> },
  incidents: readonly Incident[],
) {
  return (
    incidents.find((candidate) =>
      candidate.alerts.some((known) => known.fingerprint === alert.fingerprint && known.startsAt === alert.startsAt),
    ) ?? incidents.find((candidate) => candidate.state === 'open' && matches(candidate, alert.labels))
  );
}

/** The labels that the shipped rules carry name the queue, and the culprit where there is one; or the victim. */
function matches(incident: Incident, labels: Record<string, string>): boolean {
  const { place } = incident;
  if (labels['node'] !== undefined && labels['interface'] !== undefined) {
    return (
      labels['node'] === place.node &&
      labels['interface'] === place.interface &&
      (labels['queue'] === undefined || labels['queue'] === String(place.queue)) &&
      (labels['workload'] === undefined ||
        incident.culprits.some((c) => c.namespace === labels['namespace'] && c.workload === labels['workload']))
    );
  }
  return incident.victims.some((v) => v.namespace === labels['namespace'] && v.workload === labels['workload']);
}
