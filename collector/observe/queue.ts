// Queues: one row per (node, egress interface, queue), the two-threshold machine that opens and closes congestion, and the
// arrival log of a queue that is filling. Method: low and high threshold with build-up start, as in Arista LANZ and PrintQueue.
//
//   wait < floor ── wait >= open ──▶ OPENED ── 1, 5, 100 ms ──▶ GREW ── wait < close ──▶ CLOSED (observed)
//                                                                  └── reports, after a silence unlike it ──▶ DRAINED (inferred)
//
// Rule: only a report closes here. Silence never means "over", because quotas and filters make it: the calm thread calls it so, and what comes
// after a long one is another event. A report that comes late is evidence, and moves nothing.

import { Edge, EDGE_WIDTH, EdgeKind } from '../edge.ts';
import { FlowPart } from '../flow-key.ts';
import { FILTER_QUANTUM_NS, latencyOf, Present, ReportFlag, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import type { ArrivalPool } from '../memory/arrivals.ts';
import { FINE_BUCKETS, fineBucket, fineQuantileNs, LATENCY_BUCKETS, latencyBucket } from '../memory/histogram.ts';
import { KeyTable, rowLayout } from '../memory/key-table.ts';
import { PortArrivals } from '../memory/port-arrivals.ts';
import type { Ring } from '../memory/ring.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { egressInterfaceId: HAS_EGRESS_INTERFACE_ID, queueId: HAS_QUEUE_ID, queueOccupancy: HAS_QUEUE_OCCUPANCY } = Present;
const { dropped: FLAG_DROPPED, congestedQueue: FLAG_CONGESTED_QUEUE } = ReportFlag;
const { tcpSequence: PART_TCP_SEQUENCE } = FlowPart;

/** Thresholds on the wait in the queue, nanoseconds, and what is known of ports. */
export interface QueueSettings {
  openWaitNs: number;
  closeWaitNs: number;
  /** Below it the queue counts as empty: what came before cannot be part of a build-up. */
  floorWaitNs: number;
  /** The build-up cannot have begun earlier than this before the opening. */
  maxBuildUpNs: number;
  /** After so long without a report, collector time, an open event is given up. */
  timeoutAfterNs: number;
  /** Rates of ports in octets per ns, by node id and interface, where they are not those of their source. */
  portRates: ReadonlyMap<number, ReadonlyMap<number, number>>;
}

/** Ages of an open event at which the calm thread hears of it again: no longer micro, worth an early word, sustained. */
const GROWTH_NS = [1e6, 5e6, 100e6] as const;
/** A queue is deep with more octets than the chance meeting of a few packets makes; where the rate is not known, with this wait. */
const [DEEP_BYTES, DEEP_WAIT_NS] = [6000, 5000];
/**
 * Where each packet is reported, a queue whose packets came in quick succession has drained in a silence that is longer than this, than so many times the wait
 * of the last one, and than so many times the time between two of them.
 */
const [DRAINED_NS, DRAINED_WAITS, DRAINED_GAPS, DRAINED_REPORTS] = [1e6, 4, 100, 8];
/** A queue without reports for so long may lose its row to another. */
const IDLE_NS = 600e9;
/** A queue that stands for hours must not become its own normal: the least latency is held for one to two days. */
const BASE_WINDOW_NS = 24 * 3600e9;
/** Ports of several queues whose newest arrivals are kept, and how many of each. */
const SHARED_PORTS = 64;
const ARRIVALS_PER_PORT = 2048;

/** Node tag, egress interface, queue. */
const KEY_WORDS = 3;
const HOT_FIELDS = 13;
const EVENT_FIELDS = 17;
const LAYOUT = rowLayout(KEY_WORDS, HOT_FIELDS + LATENCY_BUCKETS + EVENT_FIELDS);
const { rowDoubles: ROW_DOUBLES } = LAYOUT;
/** Fields of a row: what every hop touches first, so that it lies in two cache lines; then the histogram; then the open event. */
const [
  REPORTS,
  LATENCY_SUM_NS,
  PEAK_WAIT_NS,
  LAST_WAIT_NS,
  LAST_NODE_NS,
  LAST_WAIT_SEEN_NS,
  BASE_NS,
  PREVIOUS_BASE_NS,
  BASE_SINCE_NS,
  EMPTY_NODE_NS,
  OPEN,
  CONGESTED_NS,
  LAST_LATENCY_NS,
] = Array.from({ length: HOT_FIELDS }, (_, field) => LAYOUT.fields + field);
const LATENCY_COUNTS = LAYOUT.fields + HOT_FIELDS;
const [
  DROP_REPORTS,
  OPEN_COUNT,
  PORT_BYTES_PER_NS,
  OWN_BYTES_PER_NS,
  OPENED_NODE_NS,
  BUILD_UP_NODE_NS,
  EVENT_PEAK_NODE_NS,
  EVENT_PEAK_WAIT_NS,
  EVENT_PEAK_DEPTH_BYTES,
  EVENT_REPORTS,
  EVENT_DROPS,
  NEXT_GROWTH_NS,
  HAS_OTHERS,
  IS_FILTERED,
  IS_OF_QUEUE,
  STEADY_NS,
  DEEP_NS,
] = Array.from({ length: EVENT_FIELDS }, (_, field) => LATENCY_COUNTS + LATENCY_BUCKETS + field);

export class QueueTable {
  readonly keys: KeyTable;
  /** The same memory as the rows of `keys`. */
  readonly #n: Float64Array;
  readonly #arrivals: ArrivalPool;
  /** By row: counts of hops by fine bucket of their latency. Pages that no queue has used take no memory. */
  readonly fineCounts: Uint32Array;

  constructor(arena: Arena, capacity: number, secret: Uint32Array, arrivals: ArrivalPool) {
    this.keys = new KeyTable(arena, capacity, LAYOUT, IDLE_NS, secret);
    this.#n = this.keys.doubles;
    this.#arrivals = arrivals;
    this.fineCounts = arena.uint32((capacity + 1) * FINE_BUCKETS);
  }

  reports(row: number): number {
    return this.#n[row * ROW_DOUBLES + REPORTS];
  }

  /** Hops by bucket of their latency, see memory/histogram. */
  latencyCount(row: number, bucket: number): number {
    return this.#n[row * ROW_DOUBLES + LATENCY_COUNTS + bucket];
  }

  /** The latency that a share `q` of the hops do not exceed, within 1 %; NaN when there were none. */
  latencyQuantileNs(row: number, q: number): number {
    return fineQuantileNs(this.fineCounts.subarray(row * FINE_BUCKETS, (row + 1) * FINE_BUCKETS), q);
  }

  latencySumNs(row: number): number {
    return this.#n[row * ROW_DOUBLES + LATENCY_SUM_NS];
  }

  /** Largest wait since it was last taken. */
  peakWaitNs(row: number): number {
    return this.#n[row * ROW_DOUBLES + PEAK_WAIT_NS];
  }

  /** The largest wait, which then begins anew. The one thing that the calm thread writes: a wait of this very moment may be missed. */
  takePeakWaitNs(row: number): number {
    const peak = this.#n[row * ROW_DOUBLES + PEAK_WAIT_NS];
    this.#n[row * ROW_DOUBLES + PEAK_WAIT_NS] = 0;
    return peak;
  }

  /** Collector time of the newest report that told a wait, ns: silence is counted from here. */
  lastWaitSeenNs(row: number): number {
    return this.#n[row * ROW_DOUBLES + LAST_WAIT_SEEN_NS];
  }

  /** Time above the low threshold, ns. */
  congestedNs(row: number): number {
    return this.#n[row * ROW_DOUBLES + CONGESTED_NS];
  }

  dropReports(row: number): number {
    return this.#n[row * ROW_DOUBLES + DROP_REPORTS];
  }

  /** Whether an event is open; `openCount` tells which one. */
  isOpen(row: number): boolean {
    return this.#n[row * ROW_DOUBLES + OPEN] === 1;
  }

  /** Whether the newest report told of a change of latency only. */
  isFiltered(row: number): boolean {
    return this.#n[row * ROW_DOUBLES + IS_FILTERED] === 1;
  }

  /** Whether the newest report came because the queue was long. */
  isOfQueue(row: number): boolean {
    return this.#n[row * ROW_DOUBLES + IS_OF_QUEUE] === 1;
  }

  /** Reports of the newest event. */
  eventReports(row: number): number {
    return this.#n[row * ROW_DOUBLES + EVENT_REPORTS];
  }

  /** Wait of the packet that came in last, ns. */
  lastWaitNs(row: number): number {
    return this.#n[row * ROW_DOUBLES + LAST_WAIT_NS];
  }

  openCount(row: number): number {
    return this.#n[row * ROW_DOUBLES + OPEN_COUNT];
  }

  /** Rate of the port as of the newest event, octets per ns; 0 when it is not known. */
  portBytesPerNs(row: number): number {
    return this.#n[row * ROW_DOUBLES + PORT_BYTES_PER_NS];
  }

  /** Counts packets that were not reported because they took as long as the one before them. */
  hold(row: number, latencyNs: number, packets: number): void {
    this.fineCounts[row * FINE_BUCKETS + fineBucket(Math.floor(latencyNs))] += packets;
    this.#n[row * ROW_DOUBLES + LATENCY_COUNTS + latencyBucket(latencyNs)] += packets;
    this.#n[row * ROW_DOUBLES + LATENCY_SUM_NS] += latencyNs * packets;
  }

  /** Writes the event of a queue as an edge: its newest one, at node time `lastNs`, with the arrival log `log` (-1: none). */
  describe(e: Float64Array, kind: number, row: number, lastNs: number, log: number): void {
    const n = this.#n;
    const base = row * ROW_DOUBLES;
    e[Edge.kind] = kind;
    e[Edge.queueRow] = row;
    e[Edge.openedNodeNs] = n[base + OPENED_NODE_NS];
    e[Edge.buildUpNodeNs] = n[base + BUILD_UP_NODE_NS];
    e[Edge.peakNodeNs] = n[base + EVENT_PEAK_NODE_NS];
    e[Edge.lastNodeNs] = lastNs;
    e[Edge.peakWaitNs] = n[base + EVENT_PEAK_WAIT_NS];
    e[Edge.peakDepthBytes] = n[base + EVENT_PEAK_DEPTH_BYTES];
    e[Edge.reports] = n[base + EVENT_REPORTS];
    e[Edge.log] = log;
    e[Edge.dropReports] = n[base + EVENT_DROPS];
    e[Edge.openCount] = n[base + OPEN_COUNT];
    e[Edge.logGeneration] = this.#arrivals.generationOf(log);
    e[Edge.hasOthers] = n[base + HAS_OTHERS];
  }

  /** The event of the queue as it stands now, as an edge that nobody sent. For the calm thread. */
  describeNow(row: number, edge: Float64Array): void {
    this.describe(edge, EdgeKind.grew, row, this.#n[row * ROW_DOUBLES + LAST_NODE_NS], this.#arrivals.logOf(row));
  }
}

/** The stage over a batch: feeds every hop that names its egress interface into its queue's row. */
export function queueStage(
  queues: QueueTable,
  batch: HopBatch,
  thresholds: QueueSettings,
  arrivals: ArrivalPool,
  edges: Ring,
  portRows: number,
): () => void {
  const { keys } = queues;
  const { doubles: n, wanted } = keys;
  const { fineCounts } = queues;
  const { portRates } = thresholds;
  const {
    present,
    nodeId,
    nodeTag,
    egressInterfaceId,
    queueId,
    queueOccupancy,
    enqueueNodeNs,
    queueRow,
    queueSteadyNs,
    queueDeepNs,
    portRow,
    report: reportOf,
  } = batch;
  const {
    flags,
    datagram: datagramOf,
    packetLengthBytes,
    representedPackets,
    flowRow,
    flowGeneration,
    flowParts,
    tcpSequence,
  } = batch.reports;
  const { timestampWrapNs, portBytesPerNs, occupancyUnitBytes, emptyLatencyNs, isFiltered } = batch.datagrams;
  const edge = new Float64Array(EDGE_WIDTH);
  const portArrivals = new PortArrivals(portRows, SHARED_PORTS, ARRIVALS_PER_PORT);

  function observe(): void {
    const nowNs = batch.arrivalNs[0];
    for (let hop = 0; hop < batch.length; hop++) {
      const carried = present[hop];
      queueRow[hop] = 0;
      queueSteadyNs[hop] = 0;
      queueDeepNs[hop] = -1;
      if (nodeTag[hop] === 0 || (carried & HAS_EGRESS_INTERFACE_ID) === 0) continue;
      wanted[0] = nodeTag[hop];
      wanted[1] = egressInterfaceId[hop];
      wanted[2] = (carried & HAS_QUEUE_ID) !== 0 ? queueId[hop] : 0;
      const row = keys.rowOfWanted(nowNs);
      queueRow[hop] = row;
      if (keys.isNew) begin(row, hop);
      observeHop(hop, row, nowNs);
    }
  }

  /** A row for a new queue, or one that belonged to another before. Counts of events go on, so that no two have one number. */
  function begin(row: number, hop: number): void {
    const base = row * ROW_DOUBLES;
    n[base + OWN_BYTES_PER_NS] = portRates.get(nodeId[hop])?.get(egressInterfaceId[hop]) ?? 0;
    arrivals.forget(row);
    n[base + OPEN] = 0;
    n[base + REPORTS] = 0;
    n.fill(0, base + LATENCY_COUNTS, base + LATENCY_COUNTS + LATENCY_BUCKETS);
    fineCounts.fill(0, row * FINE_BUCKETS, (row + 1) * FINE_BUCKETS);
    n[base + LATENCY_SUM_NS] = 0;
    n[base + PEAK_WAIT_NS] = 0;
    n[base + LAST_LATENCY_NS] = -1;
    n[base + STEADY_NS] = 0;
    n[base + DEEP_NS] = 0;
    n[base + LAST_WAIT_NS] = 0;
    n[base + LAST_NODE_NS] = -Infinity;
    n[base + LAST_WAIT_SEEN_NS] = 0;
    n[base + CONGESTED_NS] = 0;
    n[base + DROP_REPORTS] = 0;
    n[base + BASE_NS] = Infinity;
    n[base + PREVIOUS_BASE_NS] = Infinity;
    n[base + BASE_SINCE_NS] = -Infinity;
    n[base + EMPTY_NODE_NS] = -Infinity;
  }

  function observeHop(hop: number, row: number, nowNs: number): void {
    const base = row * ROW_DOUBLES;
    const report = reportOf[hop];
    n[base + REPORTS]++;
    if ((flags[report] & FLAG_DROPPED) !== 0) {
      n[base + DROP_REPORTS]++;
      if (n[base + OPEN] === 1) n[base + EVENT_DROPS]++;
      return;
    }
    const datagram = datagramOf[report];
    const latencyNs = latencyOf(batch, hop, timestampWrapNs[datagram]);
    const own = n[base + OWN_BYTES_PER_NS];
    const rate = own > 0 ? own : portBytesPerNs[datagram];
    const unit = occupancyUnitBytes[datagram];
    const depthKnown = unit > 0 && (present[hop] & HAS_QUEUE_OCCUPANCY) !== 0;
    const depthGivesWait = depthKnown && rate > 0;
    if (latencyNs < 0 && !depthGivesWait) return;
    let waitNs = depthGivesWait ? (queueOccupancy[hop] * unit) / rate : 0;
    if (latencyNs >= 0) {
      n[base + LATENCY_COUNTS + latencyBucket(latencyNs)]++;
      fineCounts[row * FINE_BUCKETS + fineBucket(Math.floor(latencyNs))]++;
      n[base + LATENCY_SUM_NS] += latencyNs;
      learnBase(row, Math.min(latencyNs, emptyLatencyNs[datagram]), nowNs);
      waitNs = Math.max(waitNs, latencyNs - Math.min(n[base + BASE_NS], n[base + PREVIOUS_BASE_NS]));
    }
    if (row === 0) return;
    if (isFiltered[datagram] === 1) keepTimes(hop, base, latencyNs, waitNs, rate > 0 ? DEEP_BYTES / rate : DEEP_WAIT_NS);
    const depthBytes = depthKnown ? queueOccupancy[hop] * unit : waitNs * rate;
    if (n[base + PORT_BYTES_PER_NS] !== rate) n[base + PORT_BYTES_PER_NS] = rate;
    if (portRow[hop] !== 0) keepForOthers(row, portRow[hop], enqueueNodeNs[hop], waitNs, nowNs, report);
    step(row, portRow[hop], enqueueNodeNs[hop], waitNs, depthBytes, nowNs, report);
    // After that: what a silence means, the reports before it say.
    const isOfQueue = (flags[report] & FLAG_CONGESTED_QUEUE) !== 0 ? 1 : 0;
    if (n[base + IS_OF_QUEUE] !== isOfQueue) n[base + IS_OF_QUEUE] = isOfQueue;
    if (n[base + IS_FILTERED] !== isFiltered[datagram]) n[base + IS_FILTERED] = isFiltered[datagram];
  }

  /** Time between two packets that waited alike is steady, and so is what is left of it when the queue of the one before had drained. */
  function keepTimes(hop: number, base: number, latencyNs: number, waitNs: number, deepNs: number): void {
    const gapNs = enqueueNodeNs[hop] - n[base + LAST_NODE_NS];
    const lastWaitNs = n[base + LAST_WAIT_NS];
    if (gapNs > 0 && gapNs < Infinity) {
      const isSame = Math.abs(latencyNs - n[base + LAST_LATENCY_NS]) < FILTER_QUANTUM_NS;
      n[base + STEADY_NS] += isSame ? gapNs : Math.max(0, gapNs - lastWaitNs);
      if (!isSame && lastWaitNs >= deepNs) n[base + DEEP_NS] += Math.min(gapNs, lastWaitNs);
    }
    queueSteadyNs[hop] = n[base + STEADY_NS];
    queueDeepNs[hop] = waitNs >= deepNs ? n[base + DEEP_NS] : -1 - n[base + DEEP_NS];
    if (gapNs >= 0) n[base + LAST_LATENCY_NS] = latencyNs;
  }

  /** The queue's latency when empty: the least of the last one to two days. */
  function learnBase(row: number, latencyNs: number, nowNs: number): void {
    const base = row * ROW_DOUBLES;
    if (nowNs - n[base + BASE_SINCE_NS] > BASE_WINDOW_NS) {
      n[base + PREVIOUS_BASE_NS] = n[base + BASE_NS];
      n[base + BASE_NS] = latencyNs;
      n[base + BASE_SINCE_NS] = nowNs;
    } else if (latencyNs < n[base + BASE_NS]) n[base + BASE_NS] = latencyNs;
  }

  function step(
    row: number,
    port: number,
    enqueueNs: number,
    waitNs: number,
    depthBytes: number,
    nowNs: number,
    report: number,
  ): void {
    const base = row * ROW_DOUBLES;
    const t = thresholds;
    if (waitNs > n[base + PEAK_WAIT_NS]) n[base + PEAK_WAIT_NS] = waitNs;
    if (n[base + OPEN] === 1 && nowNs - n[base + LAST_WAIT_SEEN_NS] >= t.timeoutAfterNs) giveUp(row, port);
    n[base + LAST_WAIT_SEEN_NS] = nowNs;
    const sinceLastNs = enqueueNs - n[base + LAST_NODE_NS];
    if (n[base + OPEN] === 1 && hasDrained(base, sinceLastNs))
      closeEvent(row, port, n[base + LAST_NODE_NS] + n[base + LAST_WAIT_NS], EdgeKind.drained);
    const isBelowFloor = waitNs < t.floorWaitNs && n[base + OPEN] === 0;
    if (!isBelowFloor) logArrival(row, enqueueNs, waitNs, nowNs, report);
    if (sinceLastNs < 0) return;
    if (n[base + LAST_WAIT_NS] >= t.closeWaitNs) {
      // The queue drains at most at line rate: beyond its own wait, silence proves no congestion.
      n[base + CONGESTED_NS] += Math.min(sinceLastNs, n[base + LAST_WAIT_NS]);
    }
    if (isBelowFloor) {
      n[base + EMPTY_NODE_NS] = enqueueNs;
      arrivals.release(row);
    } else if (n[base + OPEN] === 1) continueEvent(row, port, enqueueNs, waitNs, depthBytes);
    else if (waitNs >= t.openWaitNs) openEvent(row, port, enqueueNs, waitNs, depthBytes, nowNs);
    n[base + LAST_NODE_NS] = enqueueNs;
    n[base + LAST_WAIT_NS] = waitNs;
  }

  function logArrival(row: number, enqueueNs: number, waitNs: number, nowNs: number, report: number): void {
    const base = row * ROW_DOUBLES;
    arrivals.append(
      row,
      n[base + OPEN] === 0,
      nowNs,
      enqueueNs,
      waitNs,
      packetLengthBytes[report],
      representedPackets[report],
      flowRow[report],
      flowGeneration[report],
      tcpSequence[report],
      (flowParts[report] & PART_TCP_SEQUENCE) !== 0,
      row,
    );
  }

  /** What leaves by a port that several queues share is kept: a packet waits for those of other queues, too. */
  function keepForOthers(row: number, port: number, enqueueNs: number, waitNs: number, nowNs: number, report: number): void {
    if (!portArrivals.isShared(port, row)) return;
    portArrivals.add(
      port,
      row,
      nowNs,
      enqueueNs,
      waitNs,
      packetLengthBytes[report],
      representedPackets[report],
      flowRow[report],
      flowGeneration[report],
      tcpSequence[report],
      (flowParts[report] & PART_TCP_SEQUENCE) !== 0,
      arrivals,
    );
  }

  function openEvent(row: number, port: number, enqueueNs: number, waitNs: number, depthBytes: number, nowNs: number): void {
    const base = row * ROW_DOUBLES;
    n[base + OPEN] = 1;
    n[base + OPEN_COUNT]++;
    n[base + OPENED_NODE_NS] = enqueueNs;
    n[base + BUILD_UP_NODE_NS] = Math.max(n[base + EMPTY_NODE_NS], enqueueNs - thresholds.maxBuildUpNs);
    n[base + EVENT_PEAK_NODE_NS] = enqueueNs;
    n[base + EVENT_PEAK_WAIT_NS] = waitNs;
    n[base + EVENT_PEAK_DEPTH_BYTES] = depthBytes;
    n[base + EVENT_REPORTS] = 1;
    n[base + EVENT_DROPS] = 0;
    n[base + NEXT_GROWTH_NS] = GROWTH_NS[0];
    // Evidence that lacks a part of the build-up would accuse whoever came last: none is better.
    const buildUpNs = n[base + BUILD_UP_NODE_NS];
    n[base + HAS_OTHERS] = 0;
    if (arrivals.isCompleteSince(row, buildUpNs)) {
      arrivals.pin(row);
      if (portArrivals.listen(port, row, buildUpNs, nowNs, arrivals)) n[base + HAS_OTHERS] = 1;
    } else arrivals.release(row);
    emit(EdgeKind.opened, row, enqueueNs, arrivals.logOf(row));
  }

  function continueEvent(row: number, port: number, enqueueNs: number, waitNs: number, depthBytes: number): void {
    const base = row * ROW_DOUBLES;
    n[base + EVENT_REPORTS]++;
    if (waitNs > n[base + EVENT_PEAK_WAIT_NS]) {
      n[base + EVENT_PEAK_WAIT_NS] = waitNs;
      n[base + EVENT_PEAK_NODE_NS] = enqueueNs;
    }
    if (depthBytes > n[base + EVENT_PEAK_DEPTH_BYTES]) n[base + EVENT_PEAK_DEPTH_BYTES] = depthBytes;
    if (waitNs < thresholds.closeWaitNs) return closeEvent(row, port, enqueueNs);
    const ageNs = enqueueNs - n[base + OPENED_NODE_NS];
    if (ageNs < n[base + NEXT_GROWTH_NS]) return;
    n[base + NEXT_GROWTH_NS] = nextGrowth(ageNs);
    emit(EdgeKind.grew, row, enqueueNs, arrivals.logOf(row));
  }

  function hasDrained(base: number, silenceNs: number): boolean {
    if (silenceNs < DRAINED_NS || n[base + IS_FILTERED] === 1 || n[base + IS_OF_QUEUE] === 1) return false;
    const gapNs = (n[base + LAST_NODE_NS] - n[base + OPENED_NODE_NS]) / n[base + EVENT_REPORTS];
    const isLong = silenceNs > DRAINED_WAITS * n[base + LAST_WAIT_NS] && silenceNs > DRAINED_GAPS * gapNs;
    return isLong && n[base + EVENT_REPORTS] >= DRAINED_REPORTS;
  }

  function closeEvent(row: number, port: number, enqueueNs: number, kind: number = EdgeKind.closed): void {
    const base = row * ROW_DOUBLES;
    portArrivals.leave(port, row);
    n[base + OPEN] = 0;
    n[base + EMPTY_NODE_NS] = enqueueNs;
    const log = arrivals.detach(row);
    if (log >= 0) arrivals.handOver(log);
    if (!emit(kind, row, enqueueNs, log) && log >= 0) arrivals.free(log);
  }

  /** Ends an event that nobody has heard of for too long; the calm thread has done the same on its side. */
  function giveUp(row: number, port: number): void {
    const base = row * ROW_DOUBLES;
    portArrivals.leave(port, row);
    n[base + OPEN] = 0;
    n[base + LAST_WAIT_NS] = 0;
    arrivals.release(row);
  }

  function emit(kind: number, row: number, lastNs: number, log: number): boolean {
    queues.describe(edge, kind, row, lastNs, log);
    return edges.push(edge);
  }

  return observe;
}

/** The age at which an event of this age is told of again. */
function nextGrowth(ageNs: number): number {
  for (const step of GROWTH_NS) if (ageNs < step) return step;
  return Infinity;
}
