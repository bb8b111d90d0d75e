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

/** One `fabric_queue` point per queue, at wall-clock time `nowUnixMs`. */
export function queuePoints({ diagnosis, peaks }: Lane, nowUnixMs: number): Point[] {
  const { queues } = diagnosis.state;
  const timestamp = `${BigInt(Math.round(nowUnixMs)) * 1_000_000n}`;
  return diagnosis.names.queueRows().map((row) => ({
    measurement: 'fabric_queue',
    tags: queueLabels(diagnosis, row),
    fields: {
      peak_wait_seconds: peaks.of(row) / 1e9,
      congested_seconds_total: queues.congestedNs(row) / 1e9,
      reports_total: queues.reports(row),
      drop_reports_total: queues.dropReports(row),
    },
    timestamp,
  }));
}

/** One `fabric_incident` point for a change of an incident. */
export function incidentPoints(incident: Incident, change: IncidentChange): Point[] {
  const culprit = incident.culprits[0];
  return [
    {
      measurement: 'fabric_incident',
      tags: {
        node: incident.queue.node,
        interface: incident.queue.interface,
        queue: String(incident.queue.queue),
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
