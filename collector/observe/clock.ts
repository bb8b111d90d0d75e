// Nodes and their clocks: one row per node, with the map from the node's own time to the collector's.
//
//   device timestamp ─▶ node time (ns since the row's first report, wraps undone) ──offset──▶ collector time
//
// The offset is the least delay seen between a timestamp and its arrival, over the last one to two minutes. A stamp from the future, or
// from long ago, is believed only when the next one agrees: then the device clock was set. One alone is garbage, and the arrival of
// its report stands for it: a single bad stamp must not make everything after it look late.
// Rule: differences are taken within one node only. Two nodes meet only through their offsets, which are as good as the delivery.

import { Present, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { KeyTable } from '../memory/key-table.ts';

const TWO_32 = 0x1_0000_0000;
const OFFSET_WINDOW_NS = 60e9;
/** A stamp that is so far ahead of its own arrival, the offset taken in, cannot be right. */
const FUTURE_NS = 500e6;
/** Nor can one that is so much older than what came before: no report is under way for so long. */
const PAST_NS = 2e9;
/** Two stamps tell of the same set clock when they agree within this. */
const AGREE_NS = 100e6;
/** A node silent for so long may lose its row to another: invented node ids must not blind the table for good. */
const IDLE_NS = 600e9;

export class NodeTable {
  readonly keys: KeyTable;
  /** Add to node time to get collector time, ns. */
  readonly offsetNs: Float64Array;
  /** Newest node time, ns. */
  readonly newestNodeNs: Float64Array;
  readonly hops: Float64Array;
  readonly clockSteps: Float64Array;
  /** Reports that this node sent itself (not hops that others reported of it). */
  readonly reports: Float64Array;
  readonly lastReportNs: Float64Array;
  readonly #referenceWords: Uint32Array;
  readonly #referenceNs: Float64Array;
  readonly #lastArrivalNs: Float64Array;
  readonly #windowMinNs: Float64Array;
  readonly #previousMinNs: Float64Array;
  readonly #windowStartNs: Float64Array;
  /** What a strange stamp makes of the time of its arrival: node time minus arrival; NaN when the last stamp was not strange. */
  readonly #strangeNs: Float64Array;

  constructor(arena: Arena, capacity: number) {
    this.keys = new KeyTable(arena, capacity, 2, IDLE_NS);
    const rows = this.keys.capacity;
    this.offsetNs = arena.float64(rows);
    this.newestNodeNs = arena.float64(rows);
    this.hops = arena.float64(rows);
    this.clockSteps = arena.float64(rows);
    this.reports = arena.float64(rows);
    this.lastReportNs = arena.float64(rows);
    this.#referenceWords = arena.uint32(rows * 2);
    this.#referenceNs = arena.float64(rows);
    this.#lastArrivalNs = arena.float64(rows);
    this.#windowMinNs = arena.float64(rows);
    this.#previousMinNs = arena.float64(rows);
    this.#windowStartNs = arena.float64(rows);
    this.#strangeNs = arena.float64(rows);
  }

  /**
   * Fills `nodeRow` and `enqueueNodeNs` of every hop in the batch. `sourceKey` stands for the node where a report carries no
   * node id: exporters are told apart by address then. `nowNs` is the collector's time of arrival.
   */
  observe(batch: HopBatch, sourceKey: number, nowNs: number): void {
    const reports = batch.reports;
    for (let hop = 0; hop < batch.length; hop++) {
      const present = batch.present[hop];
      const report = batch.report[hop];
      const named = (present & Present.nodeId) !== 0 && batch.nodeId[hop] !== 0;
      if (!named && reports.hopCount[report] !== 1) {
        // A cut entry of a stack: nobody knows which node it was.
        batch.nodeRow[hop] = 0;
        continue;
      }
      this.keys.wanted[0] = named ? batch.nodeId[hop] : 0;
      this.keys.wanted[1] = named ? 0 : sourceKey;
      const row = this.#rowOf(nowNs);
      batch.nodeRow[hop] = row;
      if (row === 0) continue;
      batch.nodeGeneration[hop] = this.keys.generation[row];
      this.hops[row]++;
      batch.enqueueNodeNs[hop] = this.#nodeTime(batch, hop, row, reports.timestampWrapNs[report], nowNs);
    }
    for (let report = 0; report < reports.length; report++) {
      const id = reports.reporterNodeId[report];
      this.keys.wanted[0] = id;
      this.keys.wanted[1] = id !== 0 ? 0 : sourceKey;
      const row = this.#rowOf(nowNs);
      this.reports[row]++;
      this.lastReportNs[row] = nowNs;
    }
  }

  /** Row of the wanted key; one that comes from another node begins anew. */
  #rowOf(nowNs: number): number {
    const row = this.keys.rowOf(nowNs);
    if (!this.keys.isNew) return row;
    this.hops[row] = 0;
    this.clockSteps[row] = 0;
    this.reports[row] = 0;
    this.lastReportNs[row] = 0;
    this.newestNodeNs[row] = 0;
    this.#lastArrivalNs[row] = 0;
    return row;
  }

  /**
   * Device time of a node time, ns: the same in every collector that hears the node. Undefined for a node without stamps. For the calm
   * thread.
   */
  deviceTimeNs(row: number, nodeNs: number): bigint | undefined {
    const reference = (BigInt(this.#referenceWords[row * 2 + 1]) << 32n) | BigInt(this.#referenceWords[row * 2]);
    return reference === 0n ? undefined : reference + BigInt(Math.round(nodeNs - this.#referenceNs[row]));
  }

  /** When the packet came in on the node's clock: its ingress stamp, or egress minus latency, or the arrival of the report. */
  #nodeTime(batch: HopBatch, hop: number, row: number, wrapNs: number, nowNs: number): number {
    const present = batch.present[hop];
    const fromIngress = (present & Present.ingressTimestamp) !== 0;
    if (!fromIngress && (present & Present.egressTimestamp) === 0) {
      if (this.#lastArrivalNs[row] === 0) this.#anchor(row, 0, 0, nowNs);
      const relative = nowNs - this.offsetNs[row];
      if (relative > this.newestNodeNs[row]) this.newestNodeNs[row] = relative;
      return relative;
    }
    const words = fromIngress ? batch.ingressTimestampWords : batch.egressTimestampWords;
    const low = words[hop * 2];
    const high = words[hop * 2 + 1];
    if (this.#lastArrivalNs[row] === 0) this.#anchor(row, high, low, nowNs);
    let relative = this.#relative(row, high, low, wrapNs, nowNs);
    if (this.#isStrange(row, relative, nowNs)) {
      const strange = relative - nowNs;
      const isConfirmed = Math.abs(strange - this.#strangeNs[row]) < AGREE_NS;
      this.#strangeNs[row] = strange;
      if (!isConfirmed) return nowNs - this.offsetNs[row];
      this.clockSteps[row]++;
      this.#anchor(row, high, low, nowNs);
      relative = this.#relative(row, high, low, wrapNs, nowNs);
    }
    this.#strangeNs[row] = Number.NaN;
    if (relative > this.newestNodeNs[row]) {
      this.newestNodeNs[row] = relative;
      this.#lastArrivalNs[row] = nowNs;
    }
    this.#learnOffset(row, nowNs - relative, nowNs);
    return fromIngress ? relative : relative - ((present & Present.hopLatency) !== 0 ? batch.hopLatencyNs[hop] : 0);
  }

  #isStrange(row: number, relative: number, nowNs: number): boolean {
    const expected = this.newestNodeNs[row] + (nowNs - this.#lastArrivalNs[row]);
    return relative + this.offsetNs[row] - nowNs > FUTURE_NS || expected - relative > PAST_NS;
  }

  /** Node time continues across an anchor, so that a queue's state never sees time run backwards by more than a step. */
  #anchor(row: number, high: number, low: number, nowNs: number): void {
    const elapsed = this.#lastArrivalNs[row] === 0 ? 0 : this.newestNodeNs[row] + (nowNs - this.#lastArrivalNs[row]);
    this.#referenceWords[row * 2] = low;
    this.#referenceWords[row * 2 + 1] = high;
    this.#referenceNs[row] = elapsed;
    this.newestNodeNs[row] = elapsed;
    this.#lastArrivalNs[row] = nowNs;
    this.offsetNs[row] = nowNs - elapsed;
    this.#strangeNs[row] = Number.NaN;
    this.#windowMinNs[row] = Infinity;
    this.#previousMinNs[row] = Infinity;
    this.#windowStartNs[row] = nowNs;
  }

  #relative(row: number, high: number, low: number, wrapNs: number, nowNs: number): number {
    const since =
      ((high - this.#referenceWords[row * 2 + 1]) | 0) * TWO_32 + (low - this.#referenceWords[row * 2]) + this.#referenceNs[row];
    if (wrapNs === 0) return since;
    const expected = this.newestNodeNs[row] + (nowNs - this.#lastArrivalNs[row]);
    return since + Math.round((expected - since) / wrapNs) * wrapNs;
  }

  #learnOffset(row: number, delayNs: number, nowNs: number): void {
    if (nowNs - this.#windowStartNs[row] > OFFSET_WINDOW_NS) {
      this.#previousMinNs[row] = this.#windowMinNs[row];
      this.#windowMinNs[row] = Infinity;
      this.#windowStartNs[row] = nowNs;
    }
    if (delayNs < this.#windowMinNs[row]) this.#windowMinNs[row] = delayNs;
    this.offsetNs[row] = Math.min(this.#windowMinNs[row], this.#previousMinNs[row]);
  }
}
