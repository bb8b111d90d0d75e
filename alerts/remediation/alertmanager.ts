// Alertmanager's webhook (payload version "4") as a hint: each alert is linked to the open incident on the queue that it names.
// Rule: an alert proves nothing and triggers nothing; it only says who has been told.

import { z } from 'zod';
import type { Incident, LinkedAlert } from '../../collector/event.ts';

const payload = z.object({
  version: z.literal('4'),
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

/** Alerts looked at in one payload; the rest counts as unmatched. */
const MAX_ALERTS = 1000;

/** What came of a payload. */
export interface LinkResult {
  linked: number;
  unmatched: number;
  truncated: number;
}

/** Links the alerts in `body` to incidents. Throws an Error with a plain sentence when the body is not such a payload. */
export function linkAlerts(
  body: unknown,
  incidents: readonly Incident[],
  link: (id: string, alert: LinkedAlert) => boolean,
): LinkResult {
  const parsed = payload.safeParse(body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Error(`not an Alertmanager webhook of version "4": ${issue.path.join('.')}: ${issue.message}`);
  }
  let linked = 0;
  for (const alert of parsed.data.alerts.slice(0, MAX_ALERTS)) {
    const incident = incidentOf(alert, incidents);
    const found =
      incident !== undefined &&
      link(incident.id, {
        fingerprint: alert.fingerprint,
        name: alert.labels['alertname'] ?? 'unnamed',
        status: alert.status,
        startsAt: alert.startsAt,
      });
    if (found) linked++;
  }
  return { linked, unmatched: parsed.data.alerts.length - linked, truncated: parsed.data.truncatedAlerts };
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
