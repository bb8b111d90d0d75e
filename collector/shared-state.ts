// Everything that the hot thread writes and the calm thread reads, cut from one shared buffer in one fixed order.
// Rule: both threads build it from the same Capacity, or they read each other's columns.

import type { Config } from './config.ts';
import { REFUSALS, UNKNOWN_DIALECTS, WARNINGS } from './decode/reason.ts';
import { EDGE_WIDTH } from './edge.ts';
import { Arena, measure } from './memory/arena.ts';
import { ArrivalPool } from './memory/arrivals.ts';
import { Counters } from './memory/counters.ts';
import { Ring } from './memory/ring.ts';
import { NodeTable } from './observe/clock.ts';
import { FlowTable } from './observe/flow.ts';
import { QueueTable, type QueueThresholds } from './observe/queue.ts';
import { SequenceTable } from './observe/sequence.ts';

/** Bounds of every table. What does not fit is counted and lands in the "others" row. */
export interface Capacity {
  sources: number;
  nodes: number;
  queues: number;
  flows: number;
  /** Arrival logs for queues that fill at the same time, and arrivals per log. */
  arrivalLogs: number;
  arrivalsPerLog: number;
  /** Event edges that may wait for the calm thread. */
  edges: number;
}

const EDGES = 4096;
/** A queue that stays above its floor without reports for so long is not filling. */
const LOOSE_LOG_NS = 10e6;

/** Thresholds of the queue machine from the configuration; the build-up may have begun ten opening waits before the opening. */
export function thresholdsOf(config: Config): QueueThresholds {
  const { openWait, closeWait, timeoutAfter } = config.congestion;
  return {
    openWaitNs: openWait,
    closeWaitNs: closeWait,
    floorWaitNs: openWait / 10,
    maxBuildUpNs: openWait * 10,
    timeoutAfterNs: timeoutAfter,
  };
}

/** Bounds of the shared tables from the configuration. */
export function capacityOf(config: Config): Capacity {
  return { ...config.limits, edges: EDGES };
}

export class SharedState {
  readonly buffer: SharedArrayBuffer;
  readonly counters: Counters;
  readonly sources: SequenceTable;
  readonly nodes: NodeTable;
  readonly flows: FlowTable;
  readonly arrivals: ArrivalPool;
  readonly edges: Ring;
  readonly queues: QueueTable;

  /** Without `buffer`, allocates a new zeroed one of the right size. */
  constructor(capacity: Capacity, thresholds: QueueThresholds, buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(measure((arena) => cut(arena, capacity, thresholds)));
    const parts = cut(new Arena(this.buffer), capacity, thresholds);
    this.counters = parts.counters;
    this.sources = parts.sources;
    this.nodes = parts.nodes;
    this.flows = parts.flows;
    this.arrivals = parts.arrivals;
    this.edges = parts.edges;
    this.queues = parts.queues;
  }
}

function cut(arena: Arena, capacity: Capacity, thresholds: QueueThresholds) {
  const counters = new Counters(arena, REFUSALS.length, WARNINGS.length, UNKNOWN_DIALECTS.length);
  const sources = new SequenceTable(arena, capacity.sources);
  const nodes = new NodeTable(arena, capacity.nodes);
  const flows = new FlowTable(arena, capacity.flows);
  const patience = { looseNs: LOOSE_LOG_NS, pinnedNs: thresholds.timeoutAfterNs };
  const arrivals = new ArrivalPool(arena, capacity.arrivalLogs, capacity.arrivalsPerLog, capacity.queues + 1, patience);
  const edges = new Ring(arena, capacity.edges, EDGE_WIDTH);
  const queues = new QueueTable(arena, capacity.queues, thresholds, arrivals, edges);
  return { counters, sources, nodes, flows, arrivals, edges, queues };
}
