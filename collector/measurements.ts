// Numbers out of the shared tables, one function per metric, computed when somebody asks.
// Rule: reads only. Nothing here may slow the packet path.

import { countsOf, lostBeforeUs } from './accounting.ts';
import { REFUSALS, UNKNOWN_DIALECTS, WARNINGS } from './decode/reason.ts';
import type { Diagnosis } from './diagnosis.ts';
import type { ClockEstimate } from './diagnose/clock-offsets.ts';
import type { IncidentBook } from './diagnose/incident.ts';
import { CONDITION_KINDS, type IncidentType } from './event.ts';
import { DIALECTS } from './hop.ts';
import { DROP_PLACES, type SingleCount } from './memory/counters.ts';
import type { KeyTable } from './memory/key-table.ts';
import type { MetricSource, Sample } from './metric.ts';
import type { SharedState } from './shared-state.ts';

/** Numbers that other parts of the collector keep. */
export interface PartNumbers {
  kernelDrops(): number;
  identity(): { resolved: number; unresolved: number };
  /** The table of addresses with owners over time; undefined when Kubernetes is not configured. */
  addresses(): { rows: number; capacity: number; overflow: number } | undefined;
  kubernetesLastHeardUnixMs(): number | undefined;
  sinkPoints(): Sample[];
  remediation(): RemediationNumbers | undefined;
  telling: Record<'pending' | 'attempts' | 'dead' | 'circuits' | 'alertsSent' | 'alertsBurning', () => Sample[]>;
  alertmanagerHints(): Readonly<Record<'linked' | 'unmatched' | 'repeated' | 'truncated', number>>;
  ingestUp(): boolean;
  ingestRestarts(): number;
  /** Octets of each socket's: asked for and given, and what waits in the fullest, where it is known. */
  receiveBuffer(): { asked: number; given: number; queued: number | undefined };
  /** What the newest rendering of the wide metrics came to. */
  series(): { shown: number; folded: ReadonlyMap<string, number> };
}

/**
 * The source of every metric in the table that is not wide. `begin` is called before each rendering: all counts of one rendering are from one
 * moment, so that they balance.
 */
export function measure(
  lanes: readonly Diagnosis[],
  incidents: IncidentBook,
  parts: PartNumbers,
): { source: MetricSource; begin: () => void } {
  let counts = countsOf(lanes);
  let kernelDrops = 0;
  const begin = (): void => {
    counts = countsOf(lanes);
    kernelDrops = parts.kernelDrops();
  };
  const one = (value: number): Sample[] => [{ labels: {}, value }];
  const total = (read: (state: SharedState) => number): Sample[] => one(lanes.reduce((sum, lane) => sum + read(lane.state), 0));
  const count = (name: SingleCount): Sample[] => one(counts.of(name));
  /** A node that several lanes hear of is told of once. */
  const clocks = (read: (estimate: ClockEstimate) => number): Sample[] => {
    const values = new Map(
      lanes.flatMap(({ names, clocks: estimates }) =>
        [...estimates].map(([tag, estimate]) => [names.nodePlace(tag).node!, read(estimate)] as const),
      ),
    );
    return [...values].map(([node, value]) => ({ labels: { node }, value }));
  };
  const byName = (names: readonly string[], label: string, values: Float64Array, skip = 0): Sample[] =>
    names.slice(skip).map((name, i) => ({ labels: { [label]: name }, value: values[i + skip] }));
  const perTable = (read: (keys: KeyTable) => number, column: 'rows' | 'capacity' | 'overflow' | 'evicted'): Sample[] => {
    const samples = Object.entries(TABLES).map(([table, keysOf]) => ({
      labels: { table },
      value: lanes.reduce((sum, lane) => sum + read(keysOf(lane.state)), 0),
    }));
    const addresses = parts.addresses();
    if (addresses !== undefined && column !== 'evicted')
      samples.push({ labels: { table: 'addresses' }, value: addresses[column] });
    return samples;
  };

  const source: MetricSource = {
    fabric_workload_budget_use_ratio: () => budgetUse(incidents),
    fabric_incident_culprit_ratio: () => culpritShares(incidents),
    fabric_clock_offset_seconds: () => clocks(({ offsetNs }) => offsetNs / 1e9),
    fabric_clock_drift_ratio: () => clocks(({ driftRatio }) => driftRatio),
    fabric_clock_residual_seconds: () => clocks(({ residualNs }) => residualNs / 1e9),
    fabric_incidents_open: () => openIncidents(incidents),
    fabric_incidents_total: () =>
      [...incidents.opened].map(([key, value]) => {
        const [type, severity] = key.split('/');
        return { labels: { type, severity }, value };
      }),
    hopscope_incident_overflow_total: () => one(incidents.overflow),
    hopscope_datagrams_received_total: () => count('datagramsReceived'),
    hopscope_messages_received_total: () => count('messagesReceived'),
    hopscope_datagram_bytes_total: () => count('bytesReceived'),
    hopscope_datagrams_decoded_total: () => count('datagramsDecoded'),
    hopscope_datagrams_duplicate_total: () => count('duplicates'),
    hopscope_datagrams_rejected_total: () => byName(REFUSALS, 'reason', counts.datagramsRejected, 1),
    hopscope_datagrams_dropped_total: () => byName(DROP_PLACES, 'place', counts.datagramsDropped),
    hopscope_kernel_dropped_datagrams_total: () => one(kernelDrops),
    hopscope_datagrams_lost_before_us: () => one(lostBeforeUs(lanes, kernelDrops, counts)),
    hopscope_reports_framed_total: () => count('reportsFramed'),
    hopscope_reports_decoded_total: () => count('reportsDecoded'),
    hopscope_reports_duplicate_total: () => count('reportsDuplicate'),
    hopscope_reports_refused_total: () => byName(REFUSALS, 'reason', counts.reportsRefused, 1),
    hopscope_hops_total: () => count('hopsDecoded'),
    hopscope_links_total: () => count('linksDecoded'),
    hopscope_dialect_datagrams_total: () => byName(DIALECTS, 'dialect', counts.dialects),
    hopscope_decode_warnings_total: () => byName(WARNINGS, 'code', counts.warnings),
    hopscope_unknown_dialect_datagrams_total: () => byName(UNKNOWN_DIALECTS, 'dialect', counts.unknownDialects),
    hopscope_telemetry_of_telemetry_total: () => count('telemetryOfTelemetry'),
    hopscope_table_rows: () => perTable(({ totals }) => totals[0], 'rows'),
    hopscope_table_capacity: () => perTable(({ capacity }) => capacity - 1, 'capacity'),
    hopscope_table_overflow_total: () => perTable(({ totals }) => totals[1], 'overflow'),
    hopscope_table_evictions_total: () => perTable(({ totals }) => totals[2], 'evicted'),
    hopscope_event_edges_dropped_total: () => total(({ edges }) => edges.dropped),
    hopscope_arrivals_unlogged_total: () => total(({ arrivals }) => arrivals.totals[0]),
    hopscope_arrival_logs_reassigned_total: () => total(({ arrivals }) => arrivals.totals[1]),
    hopscope_identity_lookups_total: () =>
      Object.entries(parts.identity()).map(([result, value]) => ({ labels: { result }, value })),
    hopscope_kubernetes_last_heard_timestamp_seconds: () => {
      const heard = parts.kubernetesLastHeardUnixMs();
      return heard === undefined ? [] : one(heard / 1000);
    },
    hopscope_sink_points_total: () => parts.sinkPoints(),
    hopscope_remediation_stopped: () => numbersOf(parts, ({ stopped }) => [{ labels: {}, value: Number(stopped) }]),
    hopscope_remediation_leases: () => numbersOf(parts, ({ leases }) => samplesOf(leases, 'rule')),
    hopscope_remediation_rule_mode: () => numbersOf(parts, ({ modes }) => samplesOf(modes, 'rule')),
    hopscope_remediation_approvals_waiting: () => numbersOf(parts, ({ waiting }) => [{ labels: {}, value: waiting }]),
    hopscope_remediation_budget_ratio: () => numbersOf(parts, ({ budgets }) => samplesOf(budgets, 'budget')),
    hopscope_remediation_decisions_total: () => numbersOf(parts, ({ decisions }) => samplesOf(decisions, 'kind')),
    hopscope_remediation_judged_total: () => numbersOf(parts, ({ judged }) => samplesOf(judged, 'effect')),
    hopscope_remediation_effect_ratio_total: () => numbersOf(parts, ({ effect }) => samplesOf(effect, 'what')),
    hopscope_webhook_pending: () => parts.telling.pending(),
    hopscope_webhook_attempts_total: () => parts.telling.attempts(),
    hopscope_webhook_dead_total: () => parts.telling.dead(),
    hopscope_webhook_circuit_open: () => parts.telling.circuits(),
    hopscope_alertmanager_sent_total: () => parts.telling.alertsSent(),
    hopscope_alertmanager_burning: () => parts.telling.alertsBurning(),
    hopscope_alertmanager_hints_total: () =>
      Object.entries(parts.alertmanagerHints()).map(([result, value]) => ({ labels: { result }, value })),
    hopscope_ingest_up: () => one(parts.ingestUp() ? 1 : 0),
    hopscope_ingest_restarts_total: () => one(parts.ingestRestarts()),
    hopscope_receive_buffer_bytes: () =>
      Object.entries(parts.receiveBuffer()).flatMap(([kind, value]) => (value === undefined ? [] : { labels: { kind }, value })),
    hopscope_series: () => one(parts.series().shown),
    hopscope_series_folded: () => [...parts.series().folded].map(([metric, value]) => ({ labels: { metric }, value })),
  };
  return { source, begin };
}

const INCIDENT_TYPES: readonly IncidentType[] = ['congestion', ...CONDITION_KINDS];

const TABLES: Record<string, (state: SharedState) => KeyTable> = {
  sources: ({ sources }) => sources.keys,
  exporters: ({ exporters }) => exporters.keys,
  nodes: ({ nodes }) => nodes.keys,
  queues: ({ queues }) => queues.keys,
  links: ({ links }) => links.keys,
  ports: ({ ports }) => ports.keys,
  drops: ({ drops }) => drops.keys,
  flows: ({ flows }) => flows.keys,
  tunnels: ({ flows }) => flows.tunnels,
};

/** The labels of a queue row, as every per-queue metric and sink uses them. */
export function queueLabels(diagnosis: Diagnosis, row: number): Record<string, string> {
  const scope = diagnosis.names.queueScope(row);
  return { node: scope.node, interface: scope.interface, queue: String(scope.queue) };
}

function workloadLabels(w: { namespace: string; workload: string }): Record<string, string> {
  return { namespace: w.namespace, workload: w.workload };
}

function budgetUse(incidents: IncidentBook): Sample[] {
  const worst = new Map<string, Sample>();
  for (const incident of incidents.list()) {
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

function culpritShares(incidents: IncidentBook): Sample[] {
  const byLabels = new Map<string, Sample>();
  for (const incident of incidents.list()) {
    const first = incident.culprits[0];
    if (incident.state !== 'open' || incident.queue === null || first === undefined || incident.confidence < 0.5) continue;
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

function openIncidents(incidents: IncidentBook): Sample[] {
  const counts = new Map<string, number>(
    INCIDENT_TYPES.flatMap((type) => [1, 2, 3, 4, 5].map((severity): [string, number] => [`${type}/${severity}`, 0])),
  );
  for (const incident of incidents.list()) {
    if (incident.state !== 'open') continue;
    const key = `${incident.type}/${incident.severity}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([key, value]) => {
    const [type, severity] = key.split('/');
    return { labels: { type, severity }, value };
  });
}

/** What the safe loop counts. */
export interface RemediationNumbers {
  stopped: boolean;
  /** By rule. */
  leases: ReadonlyMap<string, number>;
  modes: ReadonlyMap<string, number>;
  budgets: ReadonlyMap<string, number>;
  waiting: number;
  decisions: ReadonlyMap<string, number>;
  judged: ReadonlyMap<string, number>;
  effect: ReadonlyMap<string, number>;
}

function numbersOf(
  parts: { remediation(): RemediationNumbers | undefined },
  read: (numbers: RemediationNumbers) => Sample[],
): Sample[] {
  const numbers = parts.remediation();
  return numbers === undefined ? [] : read(numbers);
}

function samplesOf(counts: ReadonlyMap<string, number>, label: string): Sample[] {
  return [...counts].map(([key, value]) => ({ labels: { [label]: key }, value }));
}
