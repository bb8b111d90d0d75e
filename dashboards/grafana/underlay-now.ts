// The dashboard "Underlay now" as code: the five signals of the fabric (latency, traffic, errors, saturation, trust), who causes
// and who suffers. Built with Grafana's foundation SDK; every query is run against a real Prometheus by a test.

import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as table from '@grafana/grafana-foundation-sdk/table';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';

const SOURCE = { type: 'prometheus', uid: 'hopscope-prometheus' };
const QUEUE = '{{node}} interface {{interface}} queue {{queue}}';
const WORKLOAD = '{{namespace}}/{{workload}}';

function query(expr: string, legend: string): prometheus.DataqueryBuilder {
  return new prometheus.DataqueryBuilder().expr(expr).legendFormat(legend).refId('A');
}

function tile(title: string, expr: string, unit: string, description: string, warnAt?: number): stat.PanelBuilder {
  const steps = [
    { value: null, color: 'green' },
    ...(warnAt === undefined ? [] : [{ value: warnAt, color: 'red' }]),
  ] as dashboard.Threshold[];
  return new stat.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(SOURCE)
    .unit(unit)
    .span(4)
    .height(4)
    .thresholds(new dashboard.ThresholdsConfigBuilder().mode(dashboard.ThresholdsMode.Absolute).steps(steps))
    .withTarget(query(expr, ''));
}

function chart(title: string, expr: string, legend: string, unit: string, description: string): timeseries.PanelBuilder {
  return new timeseries.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(SOURCE)
    .unit(unit)
    .span(12)
    .height(8)
    .withTarget(query(expr, legend));
}

/** A chart of several queries on top of one another, per second. */
function books(title: string, description: string, queries: readonly [expr: string, legend: string][]): timeseries.PanelBuilder {
  return queries.reduce(
    (panel, [expr, legend], i) => panel.withTarget(query(expr, legend).refId(String.fromCharCode(65 + i))),
    new timeseries.PanelBuilder().title(title).description(description).datasource(SOURCE).unit('cps').span(12).height(8),
  );
}

/** The dashboard as plain JSON. */
export function underlayNow(): dashboard.Dashboard {
  return new dashboard.DashboardBuilder('Underlay now')
    .uid('hopscope-underlay-now')
    .description('When, where and how bad the fabric is congested, who suffers and who causes it.')
    .tags(['hopscope'])
    .refresh('10s')
    .time({ from: 'now-15m', to: 'now' })
    .readonly()
    .withRow(new dashboard.RowBuilder('Signals'))
    .withPanel(tile('Open incidents', 'sum(fabric_incidents_open)', 'none', 'Incidents that are open now.', 1))
    .withPanel(
      tile('Worst wait', 'max(fabric_queue_peak_wait_seconds)', 's', 'Largest wait in any queue, last 15 to 30 s.', 0.001),
    )
    .withPanel(
      tile(
        'Hop latency p99',
        'histogram_quantile(0.99, sum by (le) (rate(fabric_hop_latency_seconds_bucket[1m])))',
        's',
        'Of all reported hops.',
      ),
    )
    .withPanel(tile('Reports', 'sum(rate(hopscope_reports_total[1m]))', 'cps', 'Telemetry reports per second.'))
    .withPanel(tile('Drop reports', 'sum(rate(fabric_drop_reports_total[1m]))', 'cps', 'A lower bound for packets dropped.', 1))
    .withPanel(
      tile(
        'Report loss',
        'max(node:hopscope_report_loss:ratio_rate1m)',
        'percentunit',
        'Worst node: how far the rest can be trusted.',
        0.05,
      ),
    )
    .withRow(new dashboard.RowBuilder('Where'))
    .withPanel(
      chart(
        'Peak wait by queue',
        'topk(10, fabric_queue_peak_wait_seconds)',
        QUEUE,
        's',
        'The ten queues with the largest wait.',
      ),
    )
    .withPanel(
      chart(
        'Congested time by queue',
        'topk(10, queue:fabric_congested:ratio_rate1m)',
        QUEUE,
        'percentunit',
        'Share of time above the closing threshold.',
      ),
    )
    .withRow(new dashboard.RowBuilder('Who'))
    .withPanel(
      new table.PanelBuilder()
        .title('Open incidents: leading culprit')
        .description('Share of the build-up that the culprit put in.')
        .datasource(SOURCE)
        .unit('percentunit')
        .span(12)
        .height(8)
        .withTarget(query('sort_desc(fabric_incident_culprit_ratio)', '').instant().format(prometheus.PromQueryFormat.Table)),
    )
    .withPanel(
      chart(
        'Budget use of victims',
        'fabric_workload_budget_use_ratio',
        WORKLOAD,
        'percentunit',
        'Worst wait of the workload in open incidents over the latency budget.',
      ),
    )
    .withPanel(
      chart(
        'Wait caused to others',
        'topk(10, workload:fabric_blame_seconds:rate5m)',
        WORKLOAD,
        's',
        'Seconds of wait per second, by culprit.',
      ),
    )
    .withPanel(
      chart(
        'Wait suffered',
        'topk(10, sum by (namespace, workload) (rate(fabric_workload_excess_wait_seconds_total[5m])))',
        WORKLOAD,
        's',
        'Seconds of wait per second, by victim.',
      ),
    )
    .withRow(new dashboard.RowBuilder('Trust'))
    .withPanel(
      chart(
        'Last report of each node',
        'time() - fabric_node_last_report_timestamp_seconds',
        '{{node}}',
        's',
        'A silent switch is blind, not healthy.',
      ),
    )
    .withPanel(
      chart(
        'Datagrams rejected',
        'sum by (reason) (rate(hopscope_datagrams_rejected_total[1m]))',
        '{{reason}}',
        'cps',
        'Refused whole, by reason.',
      ),
    )
    .withRow(new dashboard.RowBuilder('Books'))
    .withPanel(
      books(
        'What became of the datagrams',
        'Received = decoded + rejected + dropped; on top what never got here, by whose doing.',
        [
          ['rate(hopscope_datagrams_decoded_total[1m])', 'decoded'],
          ['sum(rate(hopscope_datagrams_rejected_total[1m]))', 'rejected'],
          ['sum by (place) (rate(hopscope_datagrams_dropped_total[1m]))', 'dropped here: {{place}}'],
          ['rate(hopscope_kernel_dropped_datagrams_total[1m])', 'dropped by the kernel'],
          ['clamp_min(deriv(hopscope_datagrams_lost_before_us[1m]), 0)', 'lost before us'],
        ],
      ),
    )
    .withPanel(
      books('What became of the reports', 'Framed = decoded + refused; duplicates are decoded and not observed again.', [
        ['rate(hopscope_reports_decoded_total[1m])', 'decoded'],
        ['rate(hopscope_reports_duplicate_total[1m])', 'of these duplicates'],
        ['sum by (reason) (rate(hopscope_reports_refused_total[1m]))', 'refused: {{reason}}'],
      ]),
    )
    .withPanel(
      chart(
        'Receive buffer in use',
        'hopscope_receive_buffer_bytes{kind="queued"} / ignoring (kind) hopscope_receive_buffer_bytes{kind="given"}',
        'used',
        'percentunit',
        'At 100 % the kernel drops.',
      ),
    )
    .withPanel(
      chart(
        'Bounded tables',
        'hopscope_table_rows / hopscope_table_capacity',
        '{{table}}',
        'percentunit',
        'A full table gives idle rows away, and sends what finds no room to the others row.',
      ),
    )
    .build();
}
