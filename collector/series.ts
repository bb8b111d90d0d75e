// The wide metrics out of the shared tables of all lanes: what each queue, node, exporter and workload has to say.
// Rows that go by one name (a node heard from two addresses, or in two lanes) are one subject.
// Rule: reads only, and no object per series.

import type { Diagnosis } from './diagnosis.ts';
import { EVENT_KINDS } from './event.ts';
import { LinkCounter } from './hop.ts';
import type { KeyTable } from './memory/key-table.ts';
import { LATENCY_BOUNDS_NS, LATENCY_BUCKETS } from './memory/histogram.ts';
import { labelText, type SeriesPart, type Subject, type WideFamily, type WideName } from './metric.ts';
import type { PeakWaits } from './peak-waits.ts';
import type { Timeline } from './timeline.ts';

/** One ingest thread's tables, diagnosis and peaks. */
export interface Lane {
  diagnosis: Diagnosis;
  peaks: PeakWaits;
}

/** Row `row` of one of the tables of a lane. */
interface Place {
  lane: Lane;
  row: number;
}

/** What goes by one name, and where its numbers are. */
interface Named extends Subject {
  places: Place[];
}

/** Writes what a row has to say onto the values of its subject. */
type AddRow = (place: Place, values: Float64Array) => void;

const WHOLE: readonly SeriesPart[] = [{ suffix: '', labels: '' }];
const SIZES: readonly SeriesPart[] = EVENT_KINDS.map((size) => ({ suffix: '', labels: `,size="${size}"` }));
const DIRECTIONS: readonly SeriesPart[] = ['receive', 'transmit'].map((direction) => ({
  suffix: '',
  labels: `,direction="${direction}"`,
}));
const LATENCY: readonly SeriesPart[] = [
  ...LATENCY_BOUNDS_NS.map((ns) => ({ suffix: '_bucket', labels: `,le="${ns / 1e9}"` })),
  { suffix: '_bucket', labels: ',le="+Inf"' },
  { suffix: '_sum', labels: '' },
  { suffix: '_count', labels: '' },
];

/** Makes the wide families, in the order of the exposition (and of the budget), as the tables are when it is called. */
export function wideSeries(lanes: readonly Lane[], timeline: Timeline): () => WideFamily[] {
  const queues = new Subjects(
    lanes,
    ({ diagnosis }) => diagnosis.state.queues.keys,
    ({ diagnosis }) => diagnosis.names.queueRows(),
    ({ diagnosis }, row) => {
      const scope = diagnosis.names.queueScope(row);
      return labelText({ node: scope.node, interface: scope.interface, queue: scope.queue });
    },
  );
  const links = new Subjects(
    lanes,
    ({ diagnosis }) => diagnosis.state.links.keys,
    ({ diagnosis }) => diagnosis.names.linkRows(),
    ({ diagnosis }, row) => labelText(diagnosis.names.linkScope(row)),
  );
  const nodes = new Subjects(
    lanes,
    ({ diagnosis }) => diagnosis.state.nodes.keys,
    ({ diagnosis }) => diagnosis.state.nodes.keys.usedRows(),
    ({ diagnosis }, row) => labelText({ node: diagnosis.names.nodeName(row) }),
  );
  const sources = new Subjects(
    lanes,
    ({ diagnosis }) => diagnosis.state.sources.keys,
    ({ diagnosis }) => diagnosis.state.sources.keys.usedRows(),
    ({ diagnosis }, row) =>
      labelText({
        node: row === 0 ? 'others' : diagnosis.names.sourceNodeName(row),
        hardware_id: diagnosis.state.sources.keys.keyWord(row, HARDWARE_ID_WORD),
      }),
  );
  const sum = (read: (place: Place) => number): AddRow => {
    return (place, values) => {
      values[0] += read(place);
    };
  };
  const max = (read: (place: Place) => number): AddRow => {
    return (place, values) => {
      values[0] = Math.max(values[0], read(place));
    };
  };
  const family = (name: WideName, subjects: Subjects, add: AddRow, parts = WHOLE, skipsZero = false): WideFamily => ({
    name,
    parts,
    skipsZero,
    subjects: () => subjects.list,
    add: (subject, values) => {
      for (const place of (subject as Named).places) add(place, values);
    },
  });
  const linkCounters = (name: WideName, inbound: number, outbound: number): WideFamily =>
    family(
      name,
      links,
      ({ lane, row }, values) => {
        const { links: table } = lane.diagnosis.state;
        [inbound, outbound].forEach((counter, i) => (values[i] += table.total(row, counter) ?? 0));
      },
      DIRECTIONS,
    );
  const workloads = (name: WideName, read: 'excessWaitNs' | 'blameNs'): WideFamily => {
    const sums = new Map<string, number>();
    return {
      name,
      parts: WHOLE,
      skipsZero: false,
      subjects: () => {
        sumWorkloads(lanes, read, sums);
        return [...sums.keys()].map((labels) => ({ labels }));
      },
      add: ({ labels }, values) => {
        values[0] += sums.get(labels)!;
      },
    };
  };
  // Those that say how far the rest can be trusted come first: the budget must not reach them.
  const families = [
    family(
      'fabric_node_last_report_timestamp_seconds',
      nodes,
      max(({ lane, row }) => {
        const { nodes: table } = lane.diagnosis.state;
        return table.reports(row) === 0 ? 0 : timeline.unixMs(table.lastReportNs(row)) / 1000;
      }),
      WHOLE,
      true,
    ),
    family(
      'hopscope_reports_total',
      nodes,
      sum(({ lane, row }) => lane.diagnosis.state.nodes.reports(row)),
    ),
    family(
      'hopscope_reports_lost_total',
      sources,
      sum(({ lane, row }) => lane.diagnosis.state.sources.lost(row)),
    ),
    family(
      'hopscope_sequence_received_total',
      sources,
      sum(({ lane, row }) => lane.diagnosis.state.sources.received(row)),
    ),
    family(
      'hopscope_reports_reordered_total',
      sources,
      sum(({ lane, row }) => lane.diagnosis.state.sources.reordered(row)),
    ),
    family(
      'hopscope_source_restarts_total',
      sources,
      sum(({ lane, row }) => lane.diagnosis.state.sources.restarts(row)),
    ),
    family(
      'hopscope_clock_steps_total',
      nodes,
      sum(({ lane, row }) => lane.diagnosis.state.nodes.clockSteps(row)),
    ),
    family(
      'fabric_node_hops_total',
      nodes,
      sum(({ lane, row }) => lane.diagnosis.state.nodes.hops(row)),
    ),
    linkCounters('fabric_interface_bytes_total', LinkCounter.inOctets, LinkCounter.outOctets),
    linkCounters('fabric_interface_packets_total', LinkCounter.inPackets, LinkCounter.outPackets),
    linkCounters('fabric_interface_discards_total', LinkCounter.inDiscards, LinkCounter.outDiscards),
    linkCounters('fabric_interface_errors_total', LinkCounter.inErrors, LinkCounter.outErrors),
    family(
      'fabric_interface_speed_bytes',
      links,
      max(({ lane, row }) => (lane.diagnosis.state.links.total(row, LinkCounter.speedBitsPerSecond) ?? 0) / 8),
      WHOLE,
      true,
    ),
    family(
      'fabric_interface_up',
      links,
      max(({ lane, row }) => (lane.diagnosis.state.links.isUp(row) === false ? 0 : 1)),
    ),
    workloads('fabric_workload_excess_wait_seconds_total', 'excessWaitNs'),
    workloads('fabric_workload_blame_seconds_total', 'blameNs'),
    family(
      'fabric_queue_peak_wait_seconds',
      queues,
      max(({ lane, row }) => lane.peaks.of(row) / 1e9),
    ),
    family(
      'fabric_queue_congested_seconds_total',
      queues,
      // Time does not add up: two lanes that hear of one queue saw the same congestion.
      max(({ lane, row }) => lane.diagnosis.state.queues.congestedNs(row) / 1e9),
    ),
    family(
      'fabric_drop_reports_total',
      queues,
      sum(({ lane, row }) => lane.diagnosis.state.queues.dropReports(row)),
    ),
    family('fabric_hop_latency_seconds', queues, addLatency, LATENCY),
    family(
      'fabric_queue_bursts_total',
      queues,
      ({ lane, row }, values) => EVENT_KINDS.forEach((size, i) => (values[i] += lane.diagnosis.totals.closedEvents(row, size))),
      SIZES,
      true,
    ),
  ];
  return () => {
    for (const subjects of [queues, links, nodes, sources]) subjects.refresh();
    return families;
  };
}

const HARDWARE_ID_WORD = 5;

/** The rows of one kind in all lanes, by what they are called; names are made once for each owner of a row. */
class Subjects {
  readonly #lanes: readonly Lane[];
  readonly #keysOf: (lane: Lane) => KeyTable;
  readonly #rowsOf: (lane: Lane) => number[];
  readonly #labelsOf: (lane: Lane, row: number) => string;
  readonly #names: { generation: number; labels: string }[][];
  list: readonly Named[] = [];

  constructor(
    lanes: readonly Lane[],
    keysOf: (lane: Lane) => KeyTable,
    rowsOf: (lane: Lane) => number[],
    labelsOf: (lane: Lane, row: number) => string,
  ) {
    this.#lanes = lanes;
    this.#keysOf = keysOf;
    this.#rowsOf = rowsOf;
    this.#labelsOf = labelsOf;
    this.#names = lanes.map(() => []);
  }

  /** Looks again which rows are in use. */
  refresh(): void {
    const byLabels = new Map<string, Named>();
    this.#lanes.forEach((lane, i) => {
      // Row 0 holds the numbers of what found no room.
      const others = this.#keysOf(lane).totals[1] > 0 ? [0] : [];
      for (const row of [...others, ...this.#rowsOf(lane)]) {
        const labels = this.#nameOf(lane, i, row);
        const known = byLabels.get(labels);
        if (known === undefined) byLabels.set(labels, { labels, places: [{ lane, row }] });
        else known.places.push({ lane, row });
      }
    });
    this.list = [...byLabels.values()];
  }

  #nameOf(lane: Lane, i: number, row: number): string {
    const generation = this.#keysOf(lane).generationOf(row);
    const known = this.#names[i][row] as { generation: number; labels: string } | undefined;
    if (known?.generation === generation) return known.labels;
    const labels = this.#labelsOf(lane, row);
    this.#names[i][row] = { generation, labels };
    return labels;
  }
}

function addLatency({ lane, row }: Place, values: Float64Array): void {
  const { queues } = lane.diagnosis.state;
  let cumulative = 0;
  for (let bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
    cumulative += queues.latencyCount(row, bucket);
    values[bucket] += cumulative;
  }
  values[LATENCY_BUCKETS] += queues.latencySumNs(row) / 1e9;
  values[LATENCY_BUCKETS + 1] += cumulative;
}

function sumWorkloads(lanes: readonly Lane[], read: 'excessWaitNs' | 'blameNs', sums: Map<string, number>): void {
  sums.clear();
  for (const { diagnosis } of lanes) {
    for (const totals of diagnosis.totals.workloads.values()) {
      const labels = labelText({ namespace: totals.namespace, workload: totals.workload });
      sums.set(labels, (sums.get(labels) ?? 0) + totals[read] / 1e9);
    }
  }
}
