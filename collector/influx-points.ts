// What is written to InfluxDB: one point per queue and interval, one per change of an incident. Tags are bounded names.

import type { Incident, IncidentChange } from './event.ts';
import { queueLabels } from './measurements.ts';
import type { Lane } from './series.ts';
import { unixNsOfIso } from './timeline.ts';

interface Point {
  measurement: string;
  tags: Record<string, string>;
  fields: Record<string, number | string>;
  timestamp: string;
}

/** One `fabric_queue` point per queue, at wall-clock time `nowUnixMs`. A queue that several lanes hear of is one point. */
export function queuePoints(lanes: readonly Lane[], nowUnixMs: number): Point[] {
  const timestamp = `${BigInt(Math.round(nowUnixMs)) * 1_000_000n}`;
  const points = new Map<string, Point & { fields: Record<string, number> }>();
  for (const { diagnosis, peaks } of lanes) {
    const { queues } = diagnosis.state;
    for (const row of diagnosis.names.queueRows()) {
      const tags = queueLabels(diagnosis, row);
      const key = JSON.stringify(tags);
      const known = points.get(key)?.fields;
      const fields = {
        peak_wait_seconds: Math.max(known?.peak_wait_seconds ?? 0, peaks.of(row) / 1e9),
        congested_seconds_total: Math.max(known?.congested_seconds_total ?? 0, queues.congestedNs(row) / 1e9),
        reports_total: (known?.reports_total ?? 0) + queues.reports(row),
        drop_reports_total: (known?.drop_reports_total ?? 0) + queues.dropReports(row),
      };
      points.set(key, { measurement: 'fabric_queue', tags, fields, timestamp });
    }
  }
  return [...points.values()];
}

/** One `fabric_incident` point for a change of an incident. */
export function incidentPoints(incident: Incident, change: IncidentChange): Point[] {
  const culprit = incident.culprits[0];
  return [
    {
      measurement: 'fabric_incident',
      tags: {
        type: incident.type,
        node: incident.place.node ?? 'none',
        interface: incident.place.interface ?? 'none',
        queue: String(incident.place.queue ?? 'none'),
        change,
        // A tag without a value is refused by the server; nodes have no namespace.
        namespace: culprit?.namespace || 'none',
        workload: culprit?.workload || 'unknown',
      },
      fields: {
        id: incident.id,
        severity: incident.severity,
        peak_wait_seconds: incident.peakWaitNs / 1e9,
        build_up_share: culprit?.buildUpShare ?? 0,
        confidence: incident.confidence,
        summary: incident.summary,
      },
      timestamp: String(unixNsOfIso(incident.updatedAt)),
    },
  ];
}
