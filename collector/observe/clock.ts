// Nodes and their clocks: one row per node, with the map from the node's own time to the collector's.
//
//   device timestamp ─▶ node time (ns since the row's first report, wraps undone) ──offset──▶ collector time
//
// The offset is the least delay seen between a timestamp and its arrival, over the last one to two minutes. A stamp from the future, or
// from long ago, is believed only when the next one agrees: then the device clock was set. One alone is garbage, and the arrival of
// its report stands for it: a single bad stamp must not make everything after it look late.
// Rule: differences are taken within one node only. Two nodes meet only through their offsets, which are as good as the delivery.

import { rowTagOf, Present, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { KeyTable, rowLayout } from '../memory/key-table.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const {
  egressTimestamp: HAS_EGRESS_TIMESTAMP,
  hopLatency: HAS_HOP_LATENCY,
  ingressTimestamp: HAS_INGRESS_TIMESTAMP,
  nodeId: HAS_NODE_ID,
} = Present;

const TWO_32 = 0x1_0000_0000;
const OFFSET_WINDOW_NS = 60e9;
/** The least delay is also told for slots of time as short as this. */
export const CLOCK_SLOT_NS = 50e6;
/** A stamp that is so far ahead of its own arrival, the offset taken in, cannot be right. */
const FUTURE_NS = 500e6;
/** Nor can one that is so much older than what came before: no report is under way for so long. */
const PAST_NS = 2e9;
/** Two stamps tell of the same set clock when they agree within this. */
const AGREE_NS = 100e6;
/** A node silent for so long may lose its row to another: invented node ids must not blind the table for good. */
const IDLE_NS = 600e9;

const KEY_WORDS = 2;
const FIELDS = 18;
const LAYOUT = rowLayout(KEY_WORDS, FIELDS);
const { rowDoubles: ROW_DOUBLES, rowWords: ROW_WORDS } = LAYOUT;
/** Fields of a row. */
const [
  OFFSET_NS,
  NEWEST_NODE_NS,
  LAST_ARRIVAL_NS,
  HOPS,
  CLOCK_STEPS,
  REPORTS,
  LAST_REPORT_NS,
  REFERENCE_HIGH,
  REFERENCE_LOW,
  REFERENCE_NS,
  WINDOW_MIN_NS,
  PREVIOUS_MIN_NS,
  WINDOW_START_NS,
  STRANGE_NS,
  SLOT,
  SLOT_LEAST_NS,
  LAST_SLOT,
  LAST_SLOT_LEAST_NS,
] = Array.from({ length: FIELDS }, (_, field) => LAYOUT.fields + field);

export class NodeTable {
  readonly keys: KeyTable;
  /** The same memory as the rows of `keys`. */
  readonly #n: Float64Array;

  constructor(arena: Arena, capacity: number, secret: Uint32Array) {
    this.keys = new KeyTable(arena, capacity, LAYOUT, IDLE_NS, secret);
    this.#n = this.keys.doubles;
  }
  /** Add to node time to get collector time, ns. */
  offsetNs(row: number): number {
    return this.#n[row * ROW_DOUBLES + OFFSET_NS];
  }

  /** Hops of this node, by whomever they were reported. */
  hops(row: number): number {
    return this.#n[row * ROW_DOUBLES + HOPS];
  }

  /** Reports that this node sent itself (not hops that others reported of it). */
  reports(row: number): number {
    return this.#n[row * ROW_DOUBLES + REPORTS];
  }

  /** Collector time of the newest of them, ns; 0 when there was none. */
  lastReportNs(row: number): number {
    return this.#n[row * ROW_DOUBLES + LAST_REPORT_NS];
  }

  clockSteps(row: number): number {
    return this.#n[row * ROW_DOUBLES + CLOCK_STEPS];
  }

  /** The newest slot that is over, of those with a stamp in them: its number, and the least difference of arrival and node time in it, ns. */
  lastSlot(row: number): { slot: number; leastNs: number } | undefined {
    const base = row * ROW_DOUBLES;
    const [slot, leastNs] = [this.#n[base + LAST_SLOT], this.#n[base + LAST_SLOT_LEAST_NS]];
    return slot === 0 ? undefined : { slot, leastNs };
  }

  /**
   * Device time of a node time, ns: the same in every collector that hears the node. Undefined for a node without stamps. For the calm
   * thread.
   */
  deviceTimeNs(row: number, nodeNs: number): bigint | undefined {
    const base = row * ROW_DOUBLES;
    const reference = (BigInt(this.#n[base + REFERENCE_HIGH]) << 32n) | BigInt(this.#n[base + REFERENCE_LOW]);
    return reference === 0n ? undefined : reference + BigInt(Math.round(nodeNs - this.#n[base + REFERENCE_NS]));
  }
}

/**
 * The stage over a batch: fills `nodeTag` and `enqueueNodeNs` of every hop, and `nodeTag` of every interface. Where a report carries no node id, `sourceKey` of its datagram
 * stands for the node: exporters are told apart by address then.
 */
export function clockStage(nodes: NodeTable, batch: HopBatch): () => void {
  const { keys } = nodes;
  const { words, doubles: n, wanted } = keys;
  const { reports, links, datagrams, arrivalNs, present, nodeId, report: reportOf, nodeTag, enqueueNodeNs, hopLatencyNs } = batch;
  const { ingressTimestampWords, egressTimestampWords } = batch;
  const { hopCount, datagram: datagramOf } = reports;
  const { nodeId: reporterNodeId, sourceKey, timestampWrapNs, reportCount } = datagrams;
  /** The node that was looked up last, and its row. */
  let [lastId, lastKey, lastRow] = [0, 0, 0];

  function observe(): void {
    const nowNs = arrivalNs[0];
    for (let hop = 0; hop < batch.length; hop++) {
      const isNamed = (present[hop] & HAS_NODE_ID) !== 0 && nodeId[hop] !== 0;
      const report = reportOf[hop];
      if (!isNamed && hopCount[report] !== 1) {
        // A cut entry of a stack: nobody knows which node it was.
        nodeTag[hop] = 0;
        continue;
      }
      const datagram = datagramOf[report];
      const row = rowOf(isNamed ? nodeId[hop] : 0, isNamed ? 0 : sourceKey[datagram], nowNs);
      if (row === 0) {
        nodeTag[hop] = 0;
        continue;
      }
      nodeTag[hop] = rowTagOf(row, words[row * ROW_WORDS + KEY_WORDS]);
      n[row * ROW_DOUBLES + HOPS]++;
      enqueueNodeNs[hop] = nodeTime(hop, row * ROW_DOUBLES, timestampWrapNs[datagram], nowNs);
    }
    for (let link = 0; link < links.length; link++) {
      const datagram = links.datagram[link];
      const id = reporterNodeId[datagram];
      const row = rowOf(id, id === 0 ? sourceKey[datagram] : 0, nowNs);
      links.nodeTag[link] = row === 0 ? 0 : rowTagOf(row, words[row * ROW_WORDS + KEY_WORDS]);
    }
    for (let datagram = 0; datagram < datagrams.length; datagram++) {
      // A node all of whose reports were refused is as good as silent.
      if (reportCount[datagram] === 0) continue;
      const id = reporterNodeId[datagram];
      const row = rowOf(id, id === 0 ? sourceKey[datagram] : 0, nowNs);
      n[row * ROW_DOUBLES + REPORTS] += reportCount[datagram];
      n[row * ROW_DOUBLES + LAST_REPORT_NS] = nowNs;
    }
  }

  /** Row of a node. A datagram's hops are mostly of one node, and datagrams come in runs: it is not looked up twice. */
  function rowOf(id: number, key: number, nowNs: number): number {
    const base = lastRow * ROW_WORDS;
    // The row may have passed to another node meanwhile.
    if (lastRow !== 0 && id === lastId && key === lastKey && words[base] === id && words[base + 1] === key) {
      n[lastRow * ROW_DOUBLES + LAYOUT.lastSeenNs] = nowNs;
      return lastRow;
    }
    wanted[0] = id;
    wanted[1] = key;
    lastRow = keys.rowOfWanted(nowNs);
    lastId = id;
    lastKey = key;
    if (keys.isNew) begin(lastRow * ROW_DOUBLES);
    return lastRow;
  }

  /** A row that comes from another node begins anew. */
  function begin(base: number): void {
    n[base + HOPS] = 0;
    n[base + CLOCK_STEPS] = 0;
    n[base + REPORTS] = 0;
    n[base + LAST_REPORT_NS] = 0;
    n[base + NEWEST_NODE_NS] = 0;
    n[base + LAST_ARRIVAL_NS] = 0;
    n[base + SLOT] = 0;
    n[base + LAST_SLOT] = 0;
  }

  /** When the packet came in on the node's clock: its ingress stamp, or egress minus latency, or the arrival of the report. */
  function nodeTime(hop: number, base: number, wrapNs: number, nowNs: number): number {
    const carried = present[hop];
    const fromIngress = (carried & HAS_INGRESS_TIMESTAMP) !== 0;
    if (!fromIngress && (carried & HAS_EGRESS_TIMESTAMP) === 0) {
      if (n[base + LAST_ARRIVAL_NS] === 0) anchor(base, 0, 0, nowNs);
      const relativeNs = nowNs - n[base + OFFSET_NS];
      if (relativeNs > n[base + NEWEST_NODE_NS]) n[base + NEWEST_NODE_NS] = relativeNs;
      return relativeNs;
    }
    const words = fromIngress ? ingressTimestampWords : egressTimestampWords;
    const low = words[hop * 2];
    const high = words[hop * 2 + 1];
    if (n[base + LAST_ARRIVAL_NS] === 0) anchor(base, high, low, nowNs);
    let relativeNs = relative(base, high, low, wrapNs, nowNs);
    if (isStrange(base, relativeNs, nowNs)) {
      const strange = relativeNs - nowNs;
      const isConfirmed = Math.abs(strange - n[base + STRANGE_NS]) < AGREE_NS;
      n[base + STRANGE_NS] = strange;
      if (!isConfirmed) return nowNs - n[base + OFFSET_NS];
      n[base + CLOCK_STEPS]++;
      anchor(base, high, low, nowNs);
      relativeNs = relative(base, high, low, wrapNs, nowNs);
    }
    n[base + STRANGE_NS] = Number.NaN;
    if (relativeNs > n[base + NEWEST_NODE_NS]) {
      n[base + NEWEST_NODE_NS] = relativeNs;
      n[base + LAST_ARRIVAL_NS] = nowNs;
    }
    learnOffset(base, nowNs - relativeNs, nowNs);
    return fromIngress ? relativeNs : relativeNs - ((carried & HAS_HOP_LATENCY) !== 0 ? hopLatencyNs[hop] : 0);
  }

  function isStrange(base: number, relative: number, nowNs: number): boolean {
    const expected = n[base + NEWEST_NODE_NS] + (nowNs - n[base + LAST_ARRIVAL_NS]);
    return relative + n[base + OFFSET_NS] - nowNs > FUTURE_NS || expected - relative > PAST_NS;
  }

  /** Node time continues across an anchor, so that a queue's state never sees time run backwards by more than a step. */
  function anchor(base: number, high: number, low: number, nowNs: number): void {
    const lastArrivalNs = n[base + LAST_ARRIVAL_NS];
    const elapsed = lastArrivalNs === 0 ? 0 : n[base + NEWEST_NODE_NS] + (nowNs - lastArrivalNs);
    n[base + REFERENCE_LOW] = low;
    n[base + REFERENCE_HIGH] = high;
    n[base + REFERENCE_NS] = elapsed;
    n[base + NEWEST_NODE_NS] = elapsed;
    n[base + LAST_ARRIVAL_NS] = nowNs;
    n[base + OFFSET_NS] = nowNs - elapsed;
    n[base + STRANGE_NS] = Number.NaN;
    n[base + WINDOW_MIN_NS] = Infinity;
    n[base + PREVIOUS_MIN_NS] = Infinity;
    n[base + WINDOW_START_NS] = nowNs;
  }

  function relative(base: number, high: number, low: number, wrapNs: number, nowNs: number): number {
    const since = ((high - n[base + REFERENCE_HIGH]) | 0) * TWO_32 + (low - n[base + REFERENCE_LOW]) + n[base + REFERENCE_NS];
    // Stamps that never use the upper half wrap with the lower one.
    if (wrapNs === 0 && high === 0 && n[base + REFERENCE_HIGH] === 0) wrapNs = TWO_32;
    if (wrapNs === 0) return since;
    const expected = n[base + NEWEST_NODE_NS] + (nowNs - n[base + LAST_ARRIVAL_NS]);
    return since + Math.round((expected - since) / wrapNs) * wrapNs;
  }

  function learnOffset(base: number, delayNs: number, nowNs: number): void {
    const slot = Math.floor(nowNs / CLOCK_SLOT_NS);
    if (n[base + SLOT] !== slot) {
      n[base + LAST_SLOT_LEAST_NS] = n[base + SLOT_LEAST_NS];
      n[base + LAST_SLOT] = n[base + SLOT];
      n[base + SLOT] = slot;
      n[base + SLOT_LEAST_NS] = delayNs;
    } else if (delayNs < n[base + SLOT_LEAST_NS]) n[base + SLOT_LEAST_NS] = delayNs;
    if (nowNs - n[base + WINDOW_START_NS] > OFFSET_WINDOW_NS) {
      n[base + PREVIOUS_MIN_NS] = n[base + WINDOW_MIN_NS];
      n[base + WINDOW_MIN_NS] = Infinity;
      n[base + WINDOW_START_NS] = nowNs;
    }
    if (delayNs < n[base + WINDOW_MIN_NS]) n[base + WINDOW_MIN_NS] = delayNs;
    n[base + OFFSET_NS] = Math.min(n[base + WINDOW_MIN_NS], n[base + PREVIOUS_MIN_NS]);
  }

  return observe;
}
