// Prometheus recording and alerting rules as code. Alerts are about incidents and about whether the telemetry can be trusted.
// Rule: every expression uses metric names of collector/metric.ts; a test runs promtool over the emitted file.

import type { MetricName } from '../../collector/metric.ts';

interface RecordingRule {
  record: string;
  expr: string;
}

interface AlertingRule {
  alert: string;
  expr: string;
  for?: string;
  labels: { severity: 'page' | 'ticket' | 'none' };
  annotations: { summary: string; description: string };
}

export interface RuleGroup {
  name: string;
  interval?: string;
  rules: (RecordingRule | AlertingRule)[];
}

/** Guards the spelling of a metric at compile time. */
const m = (name: MetricName): string => name;

const WHERE = '{{ $labels.node }} interface {{ $labels.interface }} queue {{ $labels.queue }}';
const WHO = '{{ $labels.namespace }}/{{ $labels.workload }}';

const lostRate = `sum by (node) (rate(${m('hopscope_reports_lost_total')}[1m]))`;
const receivedRate = `sum by (node) (rate(${m('hopscope_sequence_received_total')}[1m]))`;

/** All rule groups, in the order of the file. */
export const RULE_GROUPS: RuleGroup[] = [
  {
    name: 'hopscope-recording',
    rules: [
      { record: 'queue:fabric_congested:ratio_rate1m', expr: `rate(${m('fabric_queue_congested_seconds_total')}[1m])` },
      { record: 'node:hopscope_report_loss:ratio_rate1m', expr: `${lostRate} / (${lostRate} + ${receivedRate})` },
      {
        record: 'workload:fabric_blame_seconds:rate5m',
        expr: `sum by (namespace, workload) (rate(${m('fabric_workload_blame_seconds_total')}[5m]))`,
      },
      {
        record: 'queue:fabric_hop_latency_seconds:p99_5m',
        expr: `histogram_quantile(0.99, sum by (node, interface, queue, le) (rate(${m('fabric_hop_latency_seconds')}_bucket[5m])))`,
      },
    ],
  },
  {
    name: 'hopscope-fabric',
    rules: [
      {
        alert: 'FabricCongestion',
        expr: `max by (node, interface, queue, namespace, workload) (${m('fabric_incident_culprit_ratio')}{severity=~"[345]"}) > 0.3`,
        labels: { severity: 'ticket' },
        annotations: {
          summary: `${WHO} congests ${WHERE}`,
          description: `${WHO} put in {{ $value | humanizePercentage }} of the build-up, and others waited for it. The incident names them and a plan.`,
        },
      },
      {
        alert: 'FabricVictimBudget',
        expr: `${m('fabric_workload_budget_use_ratio')} > 1`,
        labels: { severity: 'page' },
        annotations: {
          summary: `packets of ${WHO} wait longer than the fabric may cost`,
          description: `the 99th percentile of the wait is {{ $value | humanize }} times the latency budget of the fabric, in one queue.`,
        },
      },
      {
        alert: 'QueueStandingCongestion',
        expr: 'queue:fabric_congested:ratio_rate1m > 0.3',
        for: '5m',
        labels: { severity: 'ticket' },
        annotations: {
          summary: `${WHERE} is congested {{ $value | humanizePercentage }} of the time`,
          description: 'a standing queue is a matter of capacity, not of a burst.',
        },
      },
    ],
  },
  {
    name: 'hopscope-trust',
    rules: [
      {
        alert: 'TelemetryLoss',
        expr: 'node:hopscope_report_loss:ratio_rate1m > 0.05',
        for: '2m',
        labels: { severity: 'ticket' },
        annotations: {
          summary: '{{ $value | humanizePercentage }} of the reports of {{ $labels.node }} do not arrive',
          description:
            'verdicts about this node are less sure. See hopscope_kernel_dropped_datagrams_total for losses at the collector.',
        },
      },
      {
        alert: 'SwitchSilent',
        expr: `time() - ${m('fabric_node_last_report_timestamp_seconds')} > 10`,
        labels: { severity: 'page' },
        annotations: {
          summary: '{{ $labels.node }} has sent no report for {{ $value | humanizeDuration }}',
          description: 'a silent switch is blind, not healthy: no verdict about its queues can be made.',
        },
      },
      {
        alert: 'CollectorUnhealthy',
        expr: `up{job="hopscope"} == 0 or ${m('hopscope_ingest_up')} == 0`,
        for: '10s',
        labels: { severity: 'page' },
        annotations: {
          summary: 'the collector at {{ $labels.instance }} does not work',
          description: 'it does not answer, or one of its ingest threads does not listen: the fabric is not watched.',
        },
      },
      {
        alert: 'CollectorLosesDatagrams',
        expr: `rate(${m('hopscope_kernel_dropped_datagrams_total')}[1m]) > 0`,
        for: '1m',
        labels: { severity: 'ticket' },
        annotations: {
          summary: 'the kernel drops reports at {{ $labels.instance }}',
          description: 'the receive buffer is full: raise net.core.rmem_max and ingest.receiveBufferBytes.',
        },
      },
      {
        alert: 'CollectorDropsDatagrams',
        expr: `sum by (instance, place) (rate(${m('hopscope_datagrams_dropped_total')}{place!="not-admitted"}[1m])) > 0`,
        for: '1m',
        labels: { severity: 'ticket' },
        annotations: {
          summary: '{{ $value | humanize }} reports a second are dropped at {{ $labels.instance }}: {{ $labels.place }}',
          description:
            'late: more arrives than can be processed, add ingest.threads. rate-limit: a sender is above ingest.maxRatePerSource. internal-error: a fault of the collector.',
        },
      },
      {
        alert: 'CollectorBooksDoNotBalance',
        expr: `abs(${m('hopscope_datagrams_received_total')} - ${m('hopscope_datagrams_decoded_total')} - on (instance, job) sum by (instance, job) (${m('hopscope_datagrams_rejected_total')}) - on (instance, job) sum by (instance, job) (${m('hopscope_datagrams_dropped_total')})) > 0`,
        for: '2m',
        labels: { severity: 'ticket' },
        annotations: {
          summary: '{{ $value | humanize }} datagrams are unaccounted for at {{ $labels.instance }}',
          description: 'received is not decoded + rejected + dropped: a fault of the collector, please report it.',
        },
      },
      {
        alert: 'SeriesFolded',
        expr: `${m('hopscope_series_folded')} > 0`,
        for: '10m',
        labels: { severity: 'ticket' },
        annotations: {
          summary: '{{ $value }} things have no series of their own in {{ $labels.metric }}',
          description:
            'they are added up as "overflow": raise http.maxSeries and http.maxSeriesPerMetric, if Prometheus can bear it.',
        },
      },
      {
        alert: 'RemediationCannotUndo',
        expr: `increase(${m('hopscope_remediation_decisions_total')}{kind="undo-failed"}[5m]) > 0`,
        labels: { severity: 'page' },
        annotations: {
          summary: 'a change at {{ $labels.instance }} could not be undone',
          description:
            'it is tried again each second, and entries of switches end by themselves; "hopscope remediation history" says why.',
        },
      },
      {
        alert: 'RemediationDrift',
        expr: `increase(${m('hopscope_remediation_decisions_total')}{kind="drift"}[10m]) > 0`,
        labels: { severity: 'ticket' },
        annotations: {
          summary: 'somebody takes off what {{ $labels.instance }} changes',
          description:
            'another controller owns that switch or workload: it was put back once, and is left to it from the second time on.',
        },
      },
      {
        alert: 'WebhookEventsGivenUp',
        expr: `increase(${m('hopscope_webhook_dead_total')}[10m]) > 0`,
        labels: { severity: 'ticket' },
        annotations: {
          summary: 'webhook events for {{ $labels.endpoint }} were given up: {{ $labels.reason }}',
          description: '"hopscope webhooks dead" lists them, "hopscope webhooks replay" sends them anew.',
        },
      },
      {
        alert: 'HopscopeWatchdog',
        expr: 'vector(1)',
        labels: { severity: 'none' },
        annotations: { summary: 'always fires', description: 'if this alert is missing, the alerting chain is broken.' },
      },
    ],
  },
];
