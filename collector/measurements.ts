// Numbers out of the shared tables, one function per metric, computed when somebody asks.
// Rule: reads only. Nothing here may slow the packet path.

import { REFUSALS, UNKNOWN_DIALECTS, WARNINGS } from './decode/reason.ts';
import type { Diagnosis } from './diagnosis.ts';
import { EVENT_KINDS } from './event.ts';
import { DROP_PLACES } from './memory/counters.ts';
import { LATENCY_BOUNDS_NS, LATENCY_BUCKETS } from './memory/histogram.ts';
import type { KeyTable } from './memory/key-table.ts';
import type { MetricSource, Sample } from './metric.ts';
import type { SharedState } from './shared-state.ts';
import type { Timeline } from './timeline.ts';

/** Numbers that other parts of the collector keep. */
export interface PartNumbers {
  kernelDrops(): number;
  identity(): { resolved: number; unresolved: number };
  /** The table of addresses with owners over time; undefined when Kubernetes is not configured. */
  addresses(): { rows: number; capacity: number; overflow: number } | undefined;
  kubernetesLastHeardUnixMs(): number | undefined;
  sinkPoints(): Sample[];
  webhookPending(): Sample[];
  webhookAttempts(): Sample[];
  webhookDead(): Sample[];
  ingestUp(): boolean;
  ingestRestarts(): number;
  receiveBuffer(): { asked: number; given: number };
}

const PEAK_WINDOW_MS = 15_000;

/** Peak wait per queue over the last one to two windows, whoever asks and how often. */
export class PeakWaits {
  readonly #state: SharedState;
  #previous: Float64Array;
  #turnedMs = 0;

  constructor(state: SharedState) {
    this.#state = state;
    this.#previous = new Float64Array(state.queues.peakWaitNs.length);
  }

  /** Starts a new window when the current one is old enough. */
  advance(nowMs: number): void {
    if (nowMs - this.#turnedMs < PEAK_WINDOW_MS) return;
    this.#turnedMs = nowMs;
    this.#previous = this.#state.queues.peakWaitNs.slice();
    this.#state.queues.peakWaitNs.fill(0);
  }

  of(row: number): number {
    return Math.max(this.#previous[row], this.#state.queues.peakWaitNs[row]);
  }
}

/** The source of every metric in the table. */
export function measure(
  state: SharedState,
  diagnosis: Diagnosis,
  timeline: Timeline,
  peaks: PeakWaits,
  parts: PartNumbers,
): MetricSource {
  const { counters, queues, nodes, sources, flows, edges, arrivals } = state;
  const one = (value: number): Sample[] => [{ labels: {}, value }];
  const byName = (names: readonly string[], label: string, values: Float64Array, skip = 0): Sample[] =>
    names.slice(skip).map((name, i) => ({ labels: { [label]: name }, value: values[i + skip] }));
  const perQueue = (value: (row: number) => number): Sample[] =>
    diagnosis.names.queueRows().map((row) => ({ labels: queueLabels(diagnosis, row), value: value(row) }));
  const perNode = (value: (row: number) => number): Sample[] =>
    nodes.keys.usedRows().map((row) => ({ labels: { node: diagnosis.names.nodeName(row) }, value: value(row) }));
  const perSource = (value: (row: number) => number): Sample[] => sumByLabels(sourceSamples(state, diagnosis, value));
  const tables: [string, KeyTable][] = [
    ['sources', sources.keys],
    ['nodes', nodes.keys],
    ['queues', queues.keys],
    ['flows', flows.keys],
  ];
  const perTable = (column: 'rows' | 'capacity' | 'overflow'): Sample[] => {
    const sizes = tables.map(([table, { totals, capacity }]) => {
      return { table, rows: totals[0], capacity: capacity - 1, overflow: totals[1] };
    });
    const addresses = parts.addresses();
    if (addresses !== undefined) sizes.push({ table: 'addresses', ...addresses });
    return sizes.map((size) => ({ labels: { table: size.table }, value: size[column] }));
  };

  return {
    fabric_hop_latency_seconds: () => diagnosis.names.queueRows().flatMap((row) => latencySamples(state, diagnosis, row)),
    fabric_queue_peak_wait_seconds: () => perQueue((row) => peaks.of(row) / 1e9),
    fabric_queue_congested_seconds_total: () => perQueue((row) => queues.congestedNs[row] / 1e9),
    fabric_queue_bursts_total: () =>
      EVENT_KINDS.flatMap((size) =>
        diagnosis.names.queueRows().flatMap((row) => {
          const value = diagnosis.totals.closedEvents(row, size);
          return value === 0 ? [] : [{ labels: { ...queueLabels(diagnosis, row), size }, value }];
        }),
      ),
    fabric_drop_reports_total: () => perQueue((row) => queues.dropReports[row]),
    fabric_node_hops_total: () => perNode((row) => nodes.hops[row]),
    fabric_node_last_report_timestamp_seconds: () =>
      nodes.keys
        .usedRows()
        .filter((row) => nodes.reports[row] > 0)
        .map((row) => ({
          labels: { node: diagnosis.names.nodeName(row) },
          value: timeline.unixMs(nodes.lastReportNs[row]) / 1000,
        })),
    fabric_workload_excess_wait_seconds_total: () =>
      [...diagnosis.totals.workloads.values()].map((w) => ({ labels: workloadLabels(w), value: w.excessWaitNs / 1e9 })),
    fabric_workload_blame_seconds_total: () =>
      [...diagnosis.totals.workloads.values()].map((w) => ({ labels: workloadLabels(w), value: w.blameNs / 1e9 })),
    fabric_workload_budget_use_ratio: () => budgetUse(diagnosis),
    fabric_incident_culprit_ratio: () => culpritShares(diagnosis),
    fabric_incidents_open: () => openIncidents(diagnosis),
    fabric_incidents_total: () =>
      [...diagnosis.incidents.opened].map(([key, value]) => {
        const [type, severity] = key.split('/');
        return { labels: { type, severity }, value };
      }),
    hopscope_clock_steps_total: () => perNode((row) => nodes.clockSteps[row]),
    hopscope_incident_overflow_total: () => one(diagnosis.incidents.overflow),
    hopscope_datagrams_received_total: () => one(counters.datagramsReceived[0]),
    hopscope_datagrams_decoded_total: () => one(counters.datagramsDecoded[0]),
    hopscope_datagrams_duplicate_total: () => one(counters.duplicates[0]),
    hopscope_datagrams_rejected_total: () => byName(REFUSALS, 'reason', counters.datagramsRejected, 1),
    hopscope_datagrams_dropped_total: () => byName(DROP_PLACES, 'place', counters.datagramsDropped),
    hopscope_kernel_dropped_datagrams_total: () => one(parts.kernelDrops()),
    hopscope_reports_total: () => perNode((row) => nodes.reports[row]),
    hopscope_reports_lost_total: () => perSource((row) => sources.lost[row]),
    hopscope_sequence_received_total: () => perSource((row) => sources.received[row]),
    hopscope_reports_reordered_total: () => perSource((row) => sources.reordered[row]),
    hopscope_source_restarts_total: () => perSource((row) => sources.restarts[row]),
    hopscope_reports_framed_total: () => one(counters.reportsFramed[0]),
    hopscope_reports_decoded_total: () => one(counters.reportsDecoded[0]),
    hopscope_reports_refused_total: () => byName(REFUSALS, 'reason', counters.reportsRefused, 1),
    hopscope_hops_total: () => one(counters.hopsDecoded[0]),
    hopscope_decode_warnings_total: () => byName(WARNINGS, 'code', counters.warnings),
    hopscope_unknown_dialect_datagrams_total: () => byName(UNKNOWN_DIALECTS, 'dialect', counters.unknownDialects),
    hopscope_telemetry_of_telemetry_total: () => one(counters.telemetryOfTelemetry[0]),
    hopscope_table_rows: () => perTable('rows'),
    hopscope_table_capacity: () => perTable('capacity'),
    hopscope_table_overflow_total: () => perTable('overflow'),
    hopscope_event_edges_dropped_total: () => one(edges.dropped),
    hopscope_arrivals_unlogged_total: () => one(arrivals.totals[0]),
    hopscope_arrival_logs_reassigned_total: () => one(arrivals.totals[1]),
    hopscope_identity_lookups_total: () =>
      Object.entries(parts.identity()).map(([result, value]) => ({ labels: { result }, value })),
    hopscope_kubernetes_last_heard_timestamp_seconds: () => {
      const heard = parts.kubernetesLastHeardUnixMs();
      return heard === undefined ? [] : one(heard / 1000);
    },
    hopscope_sink_points_total: () => parts.sinkPoints(),
    hopscope_webhook_pending: () => parts.webhookPending(),
    hopscope_webhook_attempts_total: () => parts.webhookAttempts(),
    hopscope_webhook_dead_total: () => parts.webhookDead(),
    hopscope_ingest_up: () => one(parts.ingestUp() ? 1 : 0),
    hopscope_ingest_restarts_total: () => one(parts.ingestRestarts()),
    hopscope_receive_buffer_bytes: () =>
      Object.entries(parts.receiveBuffer()).map(([kind, value]) => ({ labels: { kind }, value })),
  };
}

/** The labels of a queue row, as every per-queue metric and sink uses them. */
export function queueLabels(diagnosis: Diagnosis, row: number): Record<string, string> {
  const scope = diagnosis.names.queueScope(row);
  return { node: scope.node, interface: scope.interface, queue: String(scope.queue) };
}

function workloadLabels(w: { namespace: string; workload: string }): Record<string, string> {
  return { namespace: w.namespace, workload: w.workload };
}

function latencySamples(state: SharedState, diagnosis: Diagnosis, row: number): Sample[] {
  const labels = queueLabels(diagnosis, row);
  const { latencyCounts, latencySumNs } = state.queues;
  const samples: Sample[] = [];
  let cumulative = 0;
  for (let bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
    cumulative += latencyCounts[row * LATENCY_BUCKETS + bucket];
    const le = bucket < LATENCY_BOUNDS_NS.length ? LATENCY_BOUNDS_NS[bucket] / 1e9 : '+Inf';
    samples.push({ labels: { ...labels, le }, value: cumulative, suffix: '_bucket' });
  }
  samples.push({ labels, value: latencySumNs[row] / 1e9, suffix: '_sum' }, { labels, value: cumulative, suffix: '_count' });
  return samples;
}

function sourceSamples(state: SharedState, diagnosis: Diagnosis, value: (row: number) => number): Sample[] {
  const { keys, keyWords } = state.sources.keys;
  return state.sources.keys.usedRows().map((row) => {
    const node = diagnosis.names.sourceNodeName(row);
    return { labels: { node, hardware_id: keys[row * keyWords + 5] }, value: value(row) };
  });
}

/** Two source addresses may carry the same node id: one series, summed. */
function sumByLabels(samples: Sample[]): Sample[] {
  const sums = new Map<string, Sample>();
  for (const sample of samples) {
    const key = JSON.stringify(sample.labels);
    const known = sums.get(key);
    if (known === undefined) sums.set(key, sample);
    else known.value += sample.value;
  }
  return [...sums.values()];
}

function budgetUse(diagnosis: Diagnosis): Sample[] {
  const worst = new Map<string, Sample>();
  for (const incident of diagnosis.incidents.list()) {
    if (incident.state !== 'open') continue;
    for (const victim of incident.victims) {
      const key = `${victim.namespace}/${victim.workload}`;
      const known = worst.get(key);
      if (known === undefined || victim.budgetUse > known.value) {
        worst.set(key, { labels: workloadLabels(victim), value: victim.budgetUse });
      }
    }
  }
  return [...worst.values()];
}

function culpritShares(diagnosis: Diagnosis): Sample[] {
  const byLabels = new Map<string, Sample>();
  for (const incident of diagnosis.incidents.list()) {
    const first = incident.culprits[0];
    if (incident.state !== 'open' || first === undefined || incident.confidence < 0.5) continue;
    const labels = {
      node: incident.queue.node,
      interface: incident.queue.interface,
      queue: String(incident.queue.queue),
      ...workloadLabels(first),
      severity: String(incident.severity),
    };
    byLabels.set(JSON.stringify(labels), { labels, value: first.buildUpShare });
  }
  return [...byLabels.values()];
}

function openIncidents(diagnosis: Diagnosis): Sample[] {
  const counts = new Map<string, number>([1, 2, 3, 4, 5].map((severity) => [`congestion/${severity}`, 0]));
  for (const incident of diagnosis.incidents.list()) {
    if (incident.state !== 'open') continue;
    const key = `${incident.type}/${incident.severity}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([key, value]) => {
    const [type, severity] = key.split('/');
    return { labels: { type, severity }, value };
  });
}
