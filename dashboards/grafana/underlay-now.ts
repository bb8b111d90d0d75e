// The dashboard "Underlay now" as code: the five signals of the fabric (latency, traffic, errors, saturation, trust), who causes
// and who suffers. Every query is run against a real Prometheus by a test.

import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { board, books, chart, list, row, tile } from './panels.ts';

const QUEUE = '{{node}} interface {{interface}} queue {{queue}}';
const WORKLOAD = '{{namespace}}/{{workload}}';

/** The dashboard as plain JSON. */
export function underlayNow(): Dashboard {
  return board(
    'Underlay now',
    'hopscope-underlay-now',
    'When, where and how bad the fabric is congested, who suffers and who causes it.',
  )
    .withRow(row('Signals'))
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
    .withRow(row('Where'))
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
    .withRow(row('Who'))
    .withPanel(
      list(
        'Open incidents: leading culprit',
        'sort_desc(fabric_incident_culprit_ratio)',
        'percentunit',
        'Share of the build-up that the culprit put in.',
      ),
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
    .withRow(row('Trust'))
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
    .withRow(row('Books'))
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
