// The one table of metric names. Prometheus exposes them, dashboards and rules refer to them, docs/metrics.md lists them.
// `fabric_*` is what the network did, `hopscope_*` is about ourselves. Base units; labels are bounded: never an address, a port
// of a flow or an incident's id.

export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface Metric {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly labels: readonly string[];
}

/** One number with its labels. */
export interface Sample {
  labels: Record<string, string | number>;
  value: number;
}

const QUEUE = ['node', 'interface', 'queue'] as const;
const LINK = ['node', 'interface', 'direction'] as const;

export const METRICS = [
  metric('fabric_hop_latency_seconds', 'histogram', 'Time that reported packets spent in the node.', QUEUE),
  metric('fabric_queue_peak_wait_seconds', 'gauge', 'Largest wait in the queue over the last 15 to 30 seconds.', QUEUE),
  metric('fabric_queue_congested_seconds_total', 'counter', 'Time that the queue was above the closing threshold.', QUEUE),
  metric('fabric_queue_bursts_total', 'counter', 'Congestion events that ended, by size: microburst, congestion, sustained.', [
    ...QUEUE,
    'size',
  ]),
  metric(
    'fabric_drop_reports_total',
    'counter',
    'Drop reports: a lower bound for packets lost, switches limit their rate.',
    QUEUE,
  ),
  metric('fabric_node_hops_total', 'counter', 'Hops of the node that reports told of, by itself or by a sink.', ['node']),
  metric('fabric_node_last_report_timestamp_seconds', 'gauge', 'When the node last sent a report, Unix time.', ['node']),
  metric(
    'fabric_clock_offset_seconds',
    'gauge',
    'How far the clock of the node is ahead of the middle one of those that it is linked with.',
    ['node'],
  ),
  metric('fabric_clock_drift_ratio', 'gauge', 'How fast it gets ahead, seconds per second.', ['node']),
  metric('fabric_clock_residual_seconds', 'gauge', 'What the worst link of the node is off by, all clocks adjusted.', ['node']),
  metric('fabric_interface_bytes_total', 'counter', 'Octets through the interface, as its agent counts them.', LINK),
  metric('fabric_interface_packets_total', 'counter', 'Packets through the interface, as its agent counts them.', LINK),
  metric('fabric_interface_discards_total', 'counter', 'Packets discarded at the interface, as its agent counts them.', LINK),
  metric('fabric_interface_errors_total', 'counter', 'Packets with errors at the interface, as its agent counts them.', LINK),
  metric('fabric_interface_speed_bytes', 'gauge', 'Speed of the interface, octets per second.', ['node', 'interface']),
  metric('fabric_interface_up', 'gauge', '0 while the agent says that the interface is down.', ['node', 'interface']),
  metric(
    'fabric_workload_excess_wait_seconds_total',
    'counter',
    'Wait that packets of the workload suffered in congestion events.',
    ['namespace', 'workload'],
  ),
  metric(
    'fabric_workload_blame_seconds_total',
    'counter',
    'Wait of others in events, times the share of the build-up that the workload caused.',
    ['namespace', 'workload'],
  ),
  metric(
    'fabric_workload_budget_use_ratio',
    'gauge',
    'Worst wait (p99) of the workload in open incidents over the latency budget of the fabric.',
    ['namespace', 'workload'],
  ),
  metric(
    'fabric_incident_culprit_ratio',
    'gauge',
    'Share of the build-up of the leading culprit of open incidents that are at least half sure.',
    [...QUEUE, 'namespace', 'workload', 'severity'],
  ),
  metric('fabric_incidents_open', 'gauge', 'Open incidents.', ['type', 'severity']),
  metric('fabric_incidents_total', 'counter', 'Incidents opened, by the severity they opened with.', ['type', 'severity']),
  metric('hopscope_clock_steps_total', 'counter', 'Times that the clock of the node was set or began again.', ['node']),
  metric(
    'hopscope_incident_overflow_total',
    'counter',
    'States of events that no incident took: every one in the book is open.',
    [],
  ),
  metric('hopscope_datagrams_received_total', 'counter', 'Datagrams received = decoded + rejected + dropped.', []),
  metric(
    'hopscope_messages_received_total',
    'counter',
    'Messages of the kernel: of one datagram each, or of several of one sender that it coalesced.',
    [],
  ),
  metric('hopscope_datagram_bytes_total', 'counter', 'Octets of the payloads of received datagrams.', []),
  metric('hopscope_datagrams_decoded_total', 'counter', 'Datagrams whose framing was good; duplicates included.', []),
  metric(
    'hopscope_datagrams_duplicate_total',
    'counter',
    'Decoded datagrams that were already seen and therefore not observed again.',
    [],
  ),
  metric('hopscope_datagrams_rejected_total', 'counter', 'Datagrams refused whole, by reason code.', ['reason']),
  metric(
    'hopscope_datagrams_dropped_total',
    'counter',
    'Datagrams received and not decoded: late, from a sender not admitted, above its rate limit, or by a fault of ours.',
    ['place'],
  ),
  metric(
    'hopscope_kernel_dropped_datagrams_total',
    'counter',
    'Messages that the kernel dropped because a socket buffer was full; a coalesced one counts once, for all of its datagrams.',
    [],
  ),
  metric(
    'hopscope_datagrams_lost_before_us',
    'gauge',
    'Gaps in sequence numbers since the start, less what the kernel and the collector itself dropped.',
    [],
  ),
  metric('hopscope_reports_total', 'counter', 'Telemetry reports sent by the node.', ['node']),
  metric('hopscope_reports_lost_total', 'counter', 'Sequence numbers of the node that never arrived (kernel drops included).', [
    'node',
    'hardware_id',
  ]),
  metric('hopscope_sequence_received_total', 'counter', 'Distinct sequence numbers of the node that arrived.', [
    'node',
    'hardware_id',
  ]),
  metric('hopscope_reports_reordered_total', 'counter', 'Reports that arrived late but within the window.', [
    'node',
    'hardware_id',
  ]),
  metric('hopscope_source_restarts_total', 'counter', 'Times that the sequence of the node began again.', [
    'node',
    'hardware_id',
  ]),
  metric('hopscope_reports_framed_total', 'counter', 'Reports in well-framed datagrams = decoded + refused.', []),
  metric('hopscope_reports_decoded_total', 'counter', 'Reports decoded.', []),
  metric('hopscope_reports_duplicate_total', 'counter', 'Decoded reports of duplicate datagrams: not observed again.', []),
  metric('hopscope_reports_refused_total', 'counter', 'Reports refused within a good datagram, by reason code.', ['reason']),
  metric('hopscope_hops_total', 'counter', 'Hops decoded.', []),
  metric('hopscope_links_total', 'counter', 'Interfaces whose counters an agent told, each time.', []),
  metric('hopscope_dialect_datagrams_total', 'counter', 'Decoded datagrams by what they speak; duplicates included.', [
    'dialect',
  ]),
  metric('hopscope_decode_warnings_total', 'counter', 'Oddities that were decoded all the same, by code.', ['code']),
  metric(
    'hopscope_unknown_dialect_datagrams_total',
    'counter',
    'Datagrams of formats that are known, or not even that, and not decoded.',
    ['dialect'],
  ),
  metric('hopscope_telemetry_of_telemetry_total', 'counter', 'Reports about packets to the report port itself.', []),
  metric('hopscope_table_rows', 'gauge', 'Rows in use of a bounded table.', ['table']),
  metric('hopscope_table_capacity', 'gauge', 'Rows that a bounded table has.', ['table']),
  metric('hopscope_table_overflow_total', 'counter', 'Times that a table had no room and the others row was used.', ['table']),
  metric('hopscope_table_evictions_total', 'counter', 'Rows of a bounded table that were given to another key.', ['table']),
  metric('hopscope_event_edges_dropped_total', 'counter', 'Event edges lost because the diagnosis did not keep up.', []),
  metric(
    'hopscope_arrivals_unlogged_total',
    'counter',
    'Arrivals at filling queues that found no log: such an event names nobody.',
    [],
  ),
  metric('hopscope_arrival_logs_reassigned_total', 'counter', 'Arrival logs that were taken from an idle queue.', []),
  metric('hopscope_identity_lookups_total', 'counter', 'Look-ups of address owners.', ['result']),
  metric(
    'hopscope_kubernetes_last_heard_timestamp_seconds',
    'gauge',
    'When the Kubernetes API last answered, Unix time; absent when not configured.',
    [],
  ),
  metric('hopscope_sink_points_total', 'counter', 'Points handed to a sink, by what became of them.', ['sink', 'result']),
  metric('hopscope_remediation_stopped', 'gauge', '1 while the kill switch is on.', []),
  metric('hopscope_remediation_leases', 'gauge', 'Changes in force, by rule.', ['rule']),
  metric(
    'hopscope_remediation_rule_mode',
    'gauge',
    'How far a rule may go now: 0 observe, 1 recommend, 2 approve, 3 auto; lower than configured after a change that did not help.',
    ['rule'],
  ),
  metric('hopscope_remediation_approvals_waiting', 'gauge', 'Changes that wait for a person to say yes or no.', []),
  metric(
    'hopscope_remediation_budget_ratio',
    'gauge',
    'Used part of what may be: leases at a time, changes in ten minutes, changes of the busiest culprit in an hour.',
    ['budget'],
  ),
  metric('hopscope_remediation_decisions_total', 'counter', 'Lines of the audit file, by what was decided.', ['kind']),
  metric(
    'hopscope_remediation_judged_total',
    'counter',
    'Changes whose effect was judged: effective, partial, none, harmful, no-data.',
    ['effect'],
  ),
  metric(
    'hopscope_remediation_effect_ratio_total',
    'counter',
    'Part of the congested time that was to go, and that went, summed over the changes that were judged with data: predicted, achieved.',
    ['what'],
  ),
  metric('hopscope_webhook_pending', 'gauge', 'Webhook events stored and not yet delivered.', ['endpoint']),
  metric('hopscope_webhook_attempts_total', 'counter', 'Delivery attempts, by answer: delivered, retry, refused, gone.', [
    'endpoint',
    'result',
  ]),
  metric(
    'hopscope_webhook_dead_total',
    'counter',
    'Webhook events given up: refused, expired, out of attempts, out of room, or for an endpoint that is gone.',
    ['endpoint', 'reason'],
  ),
  metric('hopscope_webhook_circuit_open', 'gauge', '1 while an endpoint does not answer and is asked now and then only.', [
    'endpoint',
  ]),
  metric('hopscope_alertmanager_sent_total', 'counter', 'Alerts posted to each Alertmanager, again and again while they burn.', [
    'peer',
    'result',
  ]),
  metric('hopscope_alertmanager_burning', 'gauge', 'Alerts that burn at the Alertmanagers by our word.', []),
  metric(
    'hopscope_alertmanager_hints_total',
    'counter',
    'Alerts that Alertmanager told us of: linked to an incident, unmatched, repeated by another copy, truncated before they came.',
    ['result'],
  ),
  metric('hopscope_ingest_up', 'gauge', '1 while all ingest threads listen.', []),
  metric('hopscope_ingest_restarts_total', 'counter', 'Times that an ingest thread died and was started again.', []),
  metric(
    'hopscope_receive_buffer_bytes',
    'gauge',
    'Receive buffer of each socket: asked for and given, and what waits in the fullest.',
    ['kind'],
  ),
  metric('hopscope_series', 'gauge', 'Series of queues, nodes, exporters and workloads in the newest exposition.', []),
  metric(
    'hopscope_series_folded',
    'gauge',
    'Queues, nodes, exporters or workloads without series of their own, for the budget.',
    ['metric'],
  ),
] as const;

export type MetricName = (typeof METRICS)[number]['name'];

/** Metrics with a series for each queue, node, exporter or workload: rendered without an object per series. */
export const WIDE = [
  'fabric_hop_latency_seconds',
  'fabric_queue_peak_wait_seconds',
  'fabric_queue_congested_seconds_total',
  'fabric_queue_bursts_total',
  'fabric_drop_reports_total',
  'fabric_node_hops_total',
  'fabric_node_last_report_timestamp_seconds',
  'fabric_interface_bytes_total',
  'fabric_interface_packets_total',
  'fabric_interface_discards_total',
  'fabric_interface_errors_total',
  'fabric_interface_speed_bytes',
  'fabric_interface_up',
  'fabric_workload_excess_wait_seconds_total',
  'fabric_workload_blame_seconds_total',
  'hopscope_clock_steps_total',
  'hopscope_reports_total',
  'hopscope_reports_lost_total',
  'hopscope_sequence_received_total',
  'hopscope_reports_reordered_total',
  'hopscope_source_restarts_total',
] as const satisfies readonly MetricName[];
export type WideName = (typeof WIDE)[number];

/** How the samples of all other metrics are had: computed when asked. */
export type MetricSource = Record<Exclude<MetricName, WideName>, () => Sample[]>;

/** One of the series that a thing has in a family: a suffix of the name, and labels behind those of the thing, as in the exposition. */
export interface SeriesPart {
  readonly suffix: string;
  readonly labels: string;
}

/** What a wide metric is about: its labels as Prometheus writes them between the braces. */
export interface Subject {
  readonly labels: string;
}

/** A wide metric at this moment. */
export interface WideFamily {
  readonly name: WideName;
  readonly parts: readonly SeriesPart[];
  /** Series that are zero say nothing, and are left out. */
  readonly skipsZero: boolean;
  subjects(): readonly Subject[];
  /** Adds the numbers of one of the subjects to those in `values`, in the order of the parts. */
  add(subject: Subject, values: Float64Array): void;
}

/** Label names and values as Prometheus writes them between the braces. */
export function labelText(labels: Record<string, string | number>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(String(value))}"`)
    .join(',');
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));
}

function metric<const N extends string>(name: N, type: MetricType, help: string, labels: readonly string[]) {
  return { name, type, help, labels } as const;
}
