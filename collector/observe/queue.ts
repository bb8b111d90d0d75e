// Queues: one row per (node, egress interface, queue), the two-threshold machine that opens and closes congestion, and the
// arrival log of a queue that is filling. Method: low and high threshold with build-up start, as in Arista LANZ and PrintQueue.
//
//   wait < floor ── wait >= open ──▶ OPENED ── 1, 5, 100 ms ──▶ GREW ── wait < close ──▶ CLOSED (observed)
//
// Rule: only a report below the low threshold closes here. Silence never means "over": the calm thread calls it so, and what comes
// after a long one is another event. A report that comes late is evidence, and moves nothing.

import { Edge, EDGE_WIDTH, EdgeKind } from '../edge.ts';
import { FlowPart, latencyOf, Present, ReportFlag, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import type { ArrivalPool } from '../memory/arrivals.ts';
import { LATENCY_BUCKETS, latencyBucket } from '../memory/histogram.ts';
import { KeyTable } from '../memory/key-table.ts';
import type { Ring } from '../memory/ring.ts';

/** Thresholds on the wait in the queue, nanoseconds. */
export interface QueueThresholds {
  openWaitNs: number;
  closeWaitNs: number;
  /** Below it the queue counts as empty: what came before cannot be part of a build-up. */
  floorWaitNs: number;
  /** The build-up cannot have begun earlier than this before the opening. */
  maxBuildUpNs: number;
  /** After so long without a report, collector time, an open event is given up. */
  timeoutAfterNs: number;
}

/** Ages of an open event at which the calm thread hears of it again: no longer micro, worth an early word, sustained. */
const GROWTH_NS = [1e6, 5e6, 100e6] as const;
/** A queue without reports for so long may lose its row to another. */
const IDLE_NS = 600e9;
/** A queue that stands for hours must not become its own normal: the least latency is held for one to two days. */
const BASE_WINDOW_NS = 24 * 3600e9;

export class QueueTable {
  readonly keys: KeyTable;
  readonly reports: Float64Array;
  readonly bytes: Float64Array;
  readonly latencyCounts: Float64Array;
  readonly latencySumNs: Float64Array;
  /** Largest wait since the exporter last took it (the calm thread writes zero back). */
  readonly peakWaitNs: Float64Array;
  readonly lastWaitNs: Float64Array;
  readonly lastNodeNs: Float64Array;
  /** Collector time of the newest report that told a wait, ns: silence is counted from here. */
  readonly lastWaitSeenNs: Float64Array;
  /** Time above the low threshold, ns. */
  readonly congestedNs: Float64Array;
  readonly dropReports: Float64Array;
  /** 1 while an event is open; `openCount` tells which one. */
  readonly open: Uint8Array;
  readonly openCount: Float64Array;
  readonly portBytesPerNs: Float64Array;
  readonly #baseNs: Float64Array;
  readonly #previousBaseNs: Float64Array;
  readonly #baseSinceNs: Float64Array;
  readonly #emptyNodeNs: Float64Array;
  readonly #openedNodeNs: Float64Array;
  readonly #buildUpNodeNs: Float64Array;
  readonly #eventPeakNodeNs: Float64Array;
  readonly #eventPeakWaitNs: Float64Array;
  readonly #eventPeakDepthBytes: Float64Array;
  readonly #eventReports: Float64Array;
  readonly #eventDrops: Float64Array;
  readonly #nextGrowthNs: Float64Array;
  readonly #thresholds: QueueThresholds;
  readonly #arrivals: ArrivalPool;
  readonly #edges: Ring;
  readonly #edge = new Float64Array(EDGE_WIDTH);

  constructor(arena: Arena, capacity: number, thresholds: QueueThresholds, arrivals: ArrivalPool, edges: Ring) {
    this.keys = new KeyTable(arena, capacity, 4, IDLE_NS);
    const rows = this.keys.capacity;
    this.reports = arena.float64(rows);
    this.bytes = arena.float64(rows);
    this.latencyCounts = arena.float64(rows * LATENCY_BUCKETS);
    this.latencySumNs = arena.float64(rows);
    this.peakWaitNs = arena.float64(rows);
    this.lastWaitNs = arena.float64(rows);
    this.lastNodeNs = arena.float64(rows);
    this.lastWaitSeenNs = arena.float64(rows);
    this.congestedNs = arena.float64(rows);
    this.dropReports = arena.float64(rows);
    this.open = arena.uint8(rows);
    this.openCount = arena.float64(rows);
    this.portBytesPerNs = arena.float64(rows);
    this.#baseNs = arena.float64(rows);
    this.#previousBaseNs = arena.float64(rows);
    this.#baseSinceNs = arena.float64(rows);
    this.#emptyNodeNs = arena.float64(rows);
    this.#openedNodeNs = arena.float64(rows);
    this.#buildUpNodeNs = arena.float64(rows);
    this.#eventPeakNodeNs = arena.float64(rows);
    this.#eventPeakWaitNs = arena.float64(rows);
    this.#eventPeakDepthBytes = arena.float64(rows);
    this.#eventReports = arena.float64(rows);
    this.#eventDrops = arena.float64(rows);
    this.#nextGrowthNs = arena.float64(rows);
    this.#thresholds = thresholds;
    this.#arrivals = arrivals;
    this.#edges = edges;
  }

  /** Feeds every hop that names its egress interface into its queue's row. */
  observe(batch: HopBatch, nowNs: number): void {
    for (let hop = 0; hop < batch.length; hop++) {
      const present = batch.present[hop];
      if (batch.nodeRow[hop] === 0 || (present & Present.egressInterfaceId) === 0) continue;
      this.keys.wanted[0] = batch.nodeRow[hop];
      this.keys.wanted[1] = batch.nodeGeneration[hop];
      this.keys.wanted[2] = batch.egressInterfaceId[hop];
      this.keys.wanted[3] = (present & Present.queueId) !== 0 ? batch.queueId[hop] : 0;
      const row = this.keys.rowOf(nowNs);
      if (this.keys.isNew) this.#begin(row);
      this.#observeHop(batch, hop, row, nowNs);
    }
  }

  /** A row for a new queue, or one that belonged to another before. Counts of events go on, so that no two have one number. */
  #begin(row: number): void {
    this.#arrivals.forget(row);
    this.open[row] = 0;
    this.reports[row] = 0;
    this.bytes[row] = 0;
    this.latencyCounts.fill(0, row * LATENCY_BUCKETS, (row + 1) * LATENCY_BUCKETS);
    this.latencySumNs[row] = 0;
    this.peakWaitNs[row] = 0;
    this.lastWaitNs[row] = 0;
    this.lastNodeNs[row] = -Infinity;
    this.lastWaitSeenNs[row] = 0;
    this.congestedNs[row] = 0;
    this.dropReports[row] = 0;
    this.#baseNs[row] = Infinity;
    this.#previousBaseNs[row] = Infinity;
    this.#baseSinceNs[row] = -Infinity;
    this.#emptyNodeNs[row] = -Infinity;
  }

  #observeHop(batch: HopBatch, hop: number, row: number, nowNs: number): void {
    const report = batch.report[hop];
    const r = batch.reports;
    this.reports[row]++;
    this.bytes[row] += r.packetLengthBytes[report];
    if ((r.flags[report] & ReportFlag.dropped) !== 0) {
      this.dropReports[row]++;
      if (this.open[row] === 1) this.#eventDrops[row]++;
      return;
    }
    const latencyNs = latencyOf(batch, hop, r.timestampWrapNs[report]);
    const rate = r.portBytesPerNs[report];
    const unit = r.occupancyUnitBytes[report];
    const depthKnown = unit > 0 && (batch.present[hop] & Present.queueOccupancy) !== 0;
    const depthGivesWait = depthKnown && rate > 0;
    if (latencyNs < 0 && !depthGivesWait) return;
    let waitNs = depthGivesWait ? (batch.queueOccupancy[hop] * unit) / rate : 0;
    if (latencyNs >= 0) {
      this.latencyCounts[row * LATENCY_BUCKETS + latencyBucket(latencyNs)]++;
      this.latencySumNs[row] += latencyNs;
      this.#learnBase(row, Math.min(latencyNs, r.emptyLatencyNs[report]), nowNs);
      waitNs = Math.max(waitNs, latencyNs - Math.min(this.#baseNs[row], this.#previousBaseNs[row]));
    }
    if (row === 0) return;
    const depthBytes = depthKnown ? batch.queueOccupancy[hop] * unit : waitNs * rate;
    this.portBytesPerNs[row] = rate;
    this.#step(row, batch.enqueueNodeNs[hop], waitNs, depthBytes, nowNs, batch, report);
  }

  /** The queue's latency when empty: the least of the last one to two days. */
  #learnBase(row: number, latencyNs: number, nowNs: number): void {
    if (nowNs - this.#baseSinceNs[row] > BASE_WINDOW_NS) {
      this.#previousBaseNs[row] = this.#baseNs[row];
      this.#baseNs[row] = latencyNs;
      this.#baseSinceNs[row] = nowNs;
    } else if (latencyNs < this.#baseNs[row]) this.#baseNs[row] = latencyNs;
  }

  #step(
    row: number,
    enqueueNs: number,
    waitNs: number,
    depthBytes: number,
    nowNs: number,
    batch: HopBatch,
    report: number,
  ): void {
    const t = this.#thresholds;
    if (waitNs > this.peakWaitNs[row]) this.peakWaitNs[row] = waitNs;
    if (this.open[row] === 1 && nowNs - this.lastWaitSeenNs[row] >= t.timeoutAfterNs) this.#giveUp(row);
    this.lastWaitSeenNs[row] = nowNs;
    const sinceLastNs = enqueueNs - this.lastNodeNs[row];
    const isBelowFloor = waitNs < t.floorWaitNs && this.open[row] === 0;
    if (!isBelowFloor) this.#logArrival(row, enqueueNs, waitNs, nowNs, batch, report);
    if (sinceLastNs < 0) return;
    if (this.lastWaitNs[row] >= t.closeWaitNs) {
      // The queue drains at most at line rate: beyond its own wait, silence proves no congestion.
      this.congestedNs[row] += Math.min(sinceLastNs, this.lastWaitNs[row]);
    }
    if (isBelowFloor) {
      this.#emptyNodeNs[row] = enqueueNs;
      this.#arrivals.release(row);
    } else if (this.open[row] === 1) this.#continueEvent(row, enqueueNs, waitNs, depthBytes);
    else if (waitNs >= t.openWaitNs) this.#openEvent(row, enqueueNs, waitNs, depthBytes);
    this.lastNodeNs[row] = enqueueNs;
    this.lastWaitNs[row] = waitNs;
  }

  #logArrival(row: number, enqueueNs: number, waitNs: number, nowNs: number, batch: HopBatch, report: number): void {
    const r = batch.reports;
    this.#arrivals.append(
      row,
      this.open[row] === 0,
      nowNs,
      enqueueNs,
      waitNs,
      r.packetLengthBytes[report],
      r.flowRow[report],
      r.flowGeneration[report],
      r.tcpSequence[report],
      (r.flowParts[report] & FlowPart.tcpSequence) !== 0,
    );
  }

  #openEvent(row: number, enqueueNs: number, waitNs: number, depthBytes: number): void {
    this.open[row] = 1;
    this.openCount[row]++;
    this.#openedNodeNs[row] = enqueueNs;
    this.#buildUpNodeNs[row] = Math.max(this.#emptyNodeNs[row], enqueueNs - this.#thresholds.maxBuildUpNs);
    this.#eventPeakNodeNs[row] = enqueueNs;
    this.#eventPeakWaitNs[row] = waitNs;
    this.#eventPeakDepthBytes[row] = depthBytes;
    this.#eventReports[row] = 1;
    this.#eventDrops[row] = 0;
    this.#nextGrowthNs[row] = GROWTH_NS[0];
    // Evidence that lacks a part of the build-up would accuse whoever came last: none is better.
    if (this.#arrivals.isCompleteSince(row, this.#buildUpNodeNs[row])) this.#arrivals.pin(row);
    else this.#arrivals.release(row);
    this.#emit(EdgeKind.opened, row, enqueueNs, this.#arrivals.logOf(row));
  }

  #continueEvent(row: number, enqueueNs: number, waitNs: number, depthBytes: number): void {
    this.#eventReports[row]++;
    if (waitNs > this.#eventPeakWaitNs[row]) {
      this.#eventPeakWaitNs[row] = waitNs;
      this.#eventPeakNodeNs[row] = enqueueNs;
    }
    if (depthBytes > this.#eventPeakDepthBytes[row]) this.#eventPeakDepthBytes[row] = depthBytes;
    if (waitNs < this.#thresholds.closeWaitNs) return this.#closeEvent(row, enqueueNs);
    const ageNs = enqueueNs - this.#openedNodeNs[row];
    if (ageNs < this.#nextGrowthNs[row]) return;
    this.#nextGrowthNs[row] = nextGrowth(ageNs);
    this.#emit(EdgeKind.grew, row, enqueueNs, this.#arrivals.logOf(row));
  }

  #closeEvent(row: number, enqueueNs: number): void {
    this.open[row] = 0;
    this.#emptyNodeNs[row] = enqueueNs;
    const log = this.#arrivals.detach(row);
    if (log >= 0) this.#arrivals.handOver(log);
    if (!this.#emit(EdgeKind.closed, row, enqueueNs, log) && log >= 0) this.#arrivals.free(log);
  }

  /** Ends an event that nobody has heard of for too long; the calm thread has done the same on its side. */
  #giveUp(row: number): void {
    this.open[row] = 0;
    this.lastWaitNs[row] = 0;
    this.#arrivals.release(row);
  }

  #emit(kind: number, row: number, lastNs: number, log: number): boolean {
    this.#describe(this.#edge, kind, row, lastNs, log);
    return this.#edges.push(this.#edge);
  }

  /** The event of the queue as it stands now, as an edge that nobody sent. For the calm thread. */
  describe(row: number, edge: Float64Array): void {
    this.#describe(edge, EdgeKind.grew, row, this.lastNodeNs[row], this.#arrivals.logOf(row));
  }

  #describe(e: Float64Array, kind: number, row: number, lastNs: number, log: number): void {
    e[Edge.kind] = kind;
    e[Edge.queueRow] = row;
    e[Edge.openedNodeNs] = this.#openedNodeNs[row];
    e[Edge.buildUpNodeNs] = this.#buildUpNodeNs[row];
    e[Edge.peakNodeNs] = this.#eventPeakNodeNs[row];
    e[Edge.lastNodeNs] = lastNs;
    e[Edge.peakWaitNs] = this.#eventPeakWaitNs[row];
    e[Edge.peakDepthBytes] = this.#eventPeakDepthBytes[row];
    e[Edge.reports] = this.#eventReports[row];
    e[Edge.log] = log;
    e[Edge.dropReports] = this.#eventDrops[row];
    e[Edge.openCount] = this.openCount[row];
    e[Edge.logGeneration] = this.#arrivals.generationOf(log);
  }
}

/** The age at which an event of this age is told of again. */
function nextGrowth(ageNs: number): number {
  for (const step of GROWTH_NS) if (ageNs < step) return step;
  return Infinity;
}
