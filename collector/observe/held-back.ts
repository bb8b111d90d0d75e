// Packets that a change filter kept back: how many they were, how long they took, and what they carried.
//
//   filtered hop ─▶ slot of (flow, node) ── since its last report: sequence, or time in which the queue stood still ──▶ packets at the level of then
//
// SD-Fabric's filter (fabric-tna, `int.p4`) lets a packet through when its latency has another quantum than that of the last one of its flow that it let
// through. Packets of a long queue are reported past the filter, and leave it as it was. So what was not reported took as long as the last packet that the
// filter let through, whatever was reported since.
// Rule: without a sequence, how many there were is a guess at the rate of the flow. A flow that may have paused is given none.

import { FlowPart } from '../flow-key.ts';
import { FILTER_QUANTUM_NS, latencyOf, ReportFlag, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { HALF_SEQUENCE, TCP_HEADER_BYTES, TCP_SEGMENT_BYTES } from '../tcp.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { congestedQueue: FLAG_CONGESTED_QUEUE, dropped: FLAG_DROPPED } = ReportFlag;
const { tcpSequence: PART_TCP_SEQUENCE } = FlowPart;

/** A flow has five header doubles and its slots. Flows whose reports are not filtered touch none of it. */
const FLOW_DOUBLES = 40;
const FLOW_WORDS = FLOW_DOUBLES * 2;
/**
 * Header words: generation of the flow's row that the slots belong to; slots in use; the usual gap between two packets in units of 16 ns, above the count of
 * gaps that it is the mean of (6 bits); newest TCP sequence; when the flow was heard of last, ms; octets per ms by its newest long step; newest
 * acknowledgment; how far both went, as far as that is believed; and the length of the longest packet.
 */
const [GENERATION, USED, GAP, SEQUENCE, SEEN_LAST_MS, BYTES_PER_MS, ACKNOWLEDGMENT, BELIEVED, LONGEST_BYTES] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8,
];
const FIRST_SLOT_WORD = 10;
const SLOT_WORDS = 14;
const SLOTS = 5;
/** Words of a slot behind its first double, the time when the newest packet came into the node, ns on its clock; the queue's steady time in units of 256 ns. */
const [NODE_TAG, PORT_ROW, LEVEL_NS, LATENCY_NS, SLOT_SEQUENCE, STEADY, SEEN_MS, DEEP, QUEUE_ROW, ACKNOWLEDGED, SLOT_BELIEVED] = [
  2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];
/** The filter's last latency is not known: the node was first heard of past the filter. */
const NO_LEVEL = 0xffff_ffff;
const MOST_LATENCY_NS = NO_LEVEL - 1;
const STEADY_UNIT_NS = 256;
const GAP_UNIT_NS = 16;
const [COUNT_BITS, COUNT_MASK, MOST_GAP] = [6, 0x3f, 2 ** 26 - 1];
/** So many make a mean, and so many are remembered. */
const [SOME, MANY] = [4, 60];
/** A receiver acknowledges every second segment at the latest (RFC 9293, section 3.8.6.3), or what its hardware has put together; and how quickly that is unlearnt. */
const [USUAL_ACKNOWLEDGED_BYTES, MOST_ACKNOWLEDGED_BYTES, ACKNOWLEDGMENT_WEIGHT] = [2920, 65_536, 1 / 64];
/** A flow is reported after this at the latest: the filter as it is shipped. */
const PERIOD_NS = 1.2e9;
const PERIOD_MS = 1200;
/**
 * After a step of the sequence that took longer than this, and is larger than this, another connection may have the same ports: it is believed when the step
 * before was at most so many times slower.
 */
const [LONG_MS, LARGE_BYTES, FASTER] = [15, 1e6, 4];
/** Of a time: less than this does not matter. */
const MOSTLY = 0.9;
/** A packet of TCP as short as this carries nothing. */
const BARE_BYTES = 80;
/** More packets than this, which take a larger share of the line than this, do not all wait alike. */
const [MANY_PACKETS, STILL_SHARE] = [1000, 0.05];
/** Nodes report the same packets within this, ms. */
const ASIDE_MS = 5;

/** What each flow was last reported with, by node. */
export class HeldBackTable {
  readonly doubles: Float64Array;
  readonly words: Uint32Array;

  /** For flow rows below `rows`. */
  constructor(arena: Arena, rows: number) {
    this.doubles = arena.float64(rows * FLOW_DOUBLES);
    this.words = new Uint32Array(this.doubles.buffer, this.doubles.byteOffset, this.doubles.length * 2);
  }
}

/** Where the findings go. */
export interface HeldBackTables {
  /** Rate of the line behind an interface, octets per ns; 0: it is not known. */
  bytesPerNs: (portRow: number) => number;
  /** Packets that a queue let through besides those that were reported. */
  addPackets: (queueRow: number, latencyNs: number, packets: number) => void;
  /** Octets that left by an interface, all of them. */
  addPortBytes: (portRow: number, bytes: number) => void;
  /** Octets of a flow, all of them. */
  addFlowBytes: (flowRow: number, bytes: number) => void;
  /** Whether a node is the first on the way of a flow. */
  isFirst: (flowRow: number, nodeTag: number) => boolean;
}

/** How far an acknowledgment has moved; 0 where one of the two carries none: the first packet of a connection does not. */
function stepOf(before: number, now: number): number {
  return before === 0 || now === 0 ? 0 : (now - before) >>> 0;
}

/** The stage over a batch: works out what was kept back before each hop of a filtered report. */
export function heldBackStage(table: HeldBackTable, batch: HopBatch, tables: HeldBackTables): () => void {
  const { doubles, words } = table;
  const { nodeTag, portRow, queueRow, queueSteadyNs, queueDeepNs, enqueueNodeNs, report: reportOf, datagrams } = batch;
  const {
    flags,
    flowRow,
    flowGeneration,
    flowParts,
    packetLengthBytes,
    tcpSequence,
    tcpAcknowledgment,
    datagram: datagramOf,
  } = batch.reports;
  const { timestampWrapNs, isFiltered } = datagrams;
  let acknowledgmentBytes = USUAL_ACKNOWLEDGED_BYTES;

  function observe(): void {
    if (!isAnyFiltered()) return;
    // They go round after 49 days: only their differences say something.
    const nowMs = Math.floor(batch.arrivalNs[0] / 1e6) >>> 0;
    for (let hop = 0; hop < batch.length; hop++) {
      const report = reportOf[hop];
      const flow = flowRow[report];
      if (isFiltered[datagramOf[report]] === 0 || flow === 0 || portRow[hop] === 0 || (flags[report] & FLAG_DROPPED) !== 0)
        continue;
      const at = flow * FLOW_WORDS;
      if (words[at + GENERATION] !== flowGeneration[report]) {
        words.fill(0, at, at + FIRST_SLOT_WORD);
        words[at + GENERATION] = flowGeneration[report];
      }
      words[at + LONGEST_BYTES] = Math.max(words[at + LONGEST_BYTES], packetLengthBytes[report]);
      const s = slotOf(at, nodeTag[hop], nowMs);
      const latencyNs = Math.min(MOST_LATENCY_NS, Math.max(0, latencyOf(batch, hop, timestampWrapNs[datagramOf[report]])));
      const isNew = words[s + NODE_TAG] !== nodeTag[hop];
      if (!isNew && enqueueNodeNs[hop] < doubles[s >> 1]) continue;
      words[s + PORT_ROW] = portRow[hop];
      words[s + SEEN_MS] = nowMs;
      if ((flowParts[report] & PART_TCP_SEQUENCE) !== 0) advance(at, flow, hop, report, nowMs);
      else carry(flow, hop, packetLengthBytes[report]);
      if (isNew) begin(s, hop);
      else if (words[s + QUEUE_ROW] === queueRow[hop]) holdBack(at, s, hop, report);
      else words[s + DEEP] = deepUnitsOf(hop);
      doubles[s >> 1] = enqueueNodeNs[hop];
      words[s + QUEUE_ROW] = queueRow[hop];
      words[s + LATENCY_NS] = latencyNs;
      if ((flags[report] & FLAG_CONGESTED_QUEUE) === 0) words[s + LEVEL_NS] = latencyNs;
      words[s + SLOT_SEQUENCE] = tcpSequence[report];
      words[s + ACKNOWLEDGED] = tcpAcknowledgment[report];
      words[s + SLOT_BELIEVED] = words[at + BELIEVED];
      words[s + STEADY] = Math.floor(queueSteadyNs[hop] / STEADY_UNIT_NS);
    }
  }

  function isAnyFiltered(): boolean {
    for (let datagram = 0; datagram < datagrams.length; datagram++) if (isFiltered[datagram] === 1) return true;
    return false;
  }

  /** Slot of the node; else a free one, or the one that was not heard of for longest. */
  function slotOf(at: number, tag: number, nowMs: number): number {
    const used = words[at + USED];
    let oldest = at + FIRST_SLOT_WORD;
    for (let slot = 0; slot < used; slot++) {
      const s = at + FIRST_SLOT_WORD + slot * SLOT_WORDS;
      if (words[s + NODE_TAG] === tag) return s;
      if ((nowMs - words[s + SEEN_MS]) >>> 0 > (nowMs - words[oldest + SEEN_MS]) >>> 0) oldest = s;
    }
    if (used === SLOTS) return oldest;
    words[at + USED] = used + 1;
    const s = at + FIRST_SLOT_WORD + used * SLOT_WORDS;
    words[s + NODE_TAG] = 0;
    return s;
  }

  function begin(s: number, hop: number): void {
    words[s + NODE_TAG] = nodeTag[hop];
    words[s + LEVEL_NS] = NO_LEVEL;
    words[s + DEEP] = deepUnitsOf(hop);
  }

  function holdBack(at: number, s: number, hop: number, report: number): void {
    const gapNs = enqueueNodeNs[hop] - doubles[s >> 1];
    const lengthBytes = packetLengthBytes[report];
    const isTcp = (flowParts[report] & PART_TCP_SEQUENCE) !== 0;
    const advanced = (tcpSequence[report] - words[s + SLOT_SEQUENCE]) >>> 0;
    const acknowledged = stepOf(words[s + ACKNOWLEDGED], tcpAcknowledgment[report]);
    const steadyUnits = (Math.floor(queueSteadyNs[hop] / STEADY_UNIT_NS) - words[s + STEADY]) >>> 0;
    const steadyNs = Math.min(gapNs, steadyUnits * STEADY_UNIT_NS);
    let packets = 0;
    if (!isTcp) packets = packetsWithin(at, s, hop, gapNs, steadyNs);
    else if ((advanced + acknowledged) >>> 0 <= ((words[at + BELIEVED] - words[s + SLOT_BELIEVED]) >>> 0) + LARGE_BYTES)
      packets = advanced === 0 ? acknowledgmentsOf(acknowledged, gapNs, steadyNs) : segmentsOf(at, advanced) - 1;
    const rate = tables.bytesPerNs(portRow[hop]);
    if (rate > 0) {
      const most = Math.floor((gapNs * rate) / Math.max(1, lengthBytes));
      // So many so dense would not have left latency as it was: the flow had paused.
      if (!isTcp && packets > MANY_PACKETS && packets > most * STILL_SHARE) packets = 0;
      packets = Math.min(packets, most);
    }
    if (packets <= 0) return;
    if (words[s + LEVEL_NS] !== NO_LEVEL) tables.addPackets(queueRow[hop], words[s + LEVEL_NS], packets);
    if (!isTcp) carry(flowRow[report], hop, packets * lengthBytes);
  }

  function carry(flow: number, hop: number, bytes: number): void {
    tables.addPortBytes(portRow[hop], bytes);
    if (tables.isFirst(flow, nodeTag[hop])) tables.addFlowBytes(flow, bytes);
  }

  /** Segments are as long as the longest of the flow, or as usual where none carried anything. */
  function segmentsOf(at: number, advanced: number): number {
    const payload = words[at + LONGEST_BYTES] > BARE_BYTES ? words[at + LONGEST_BYTES] - TCP_HEADER_BYTES : TCP_SEGMENT_BYTES;
    return advanced < HALF_SEQUENCE ? Math.ceil(advanced / payload) : 0;
  }

  /** What nothing but acknowledgments have brought: so many of the usual size, which is known from those that came while a queue moved. */
  function acknowledgmentsOf(acknowledged: number, gapNs: number, steadyNs: number): number {
    if (acknowledged === 0 || acknowledged >= HALF_SEQUENCE) return 0;
    if (steadyNs > (1 - MOSTLY) * gapNs) return Math.round(acknowledged / acknowledgmentBytes) - 1;
    acknowledgmentBytes += (Math.min(acknowledged, MOST_ACKNOWLEDGED_BYTES) - acknowledgmentBytes) * ACKNOWLEDGMENT_WEIGHT;
    return 0;
  }

  /**
   * Packets that came at the flow's usual pace while the queue stood still: had it moved, they would have been reported. A flow whose packets cease while a
   * queue is still draining has paused, and one that is not reported within the filter's period had.
   */
  function packetsWithin(at: number, s: number, hop: number, gapNs: number, steadyNs: number): number {
    learnGap(at, s, hop);
    const usualNs = (words[at + GAP] >>> COUNT_BITS) * GAP_UNIT_NS;
    const drainNs = words[s + LATENCY_NS] - words[s + LEVEL_NS];
    if ((words[at + GAP] & COUNT_MASK) < SOME || gapNs >= PERIOD_NS || drainNs > 2 * usualNs + FILTER_QUANTUM_NS) return 0;
    // At both ends of a time that stood still there is a report; otherwise there is chance.
    return Math.round(steadyNs / usualNs - (steadyNs >= MOSTLY * gapNs ? 1 : 0.5));
  }

  function deepUnitsOf(hop: number): number {
    return Math.floor((queueDeepNs[hop] < 0 ? -1 - queueDeepNs[hop] : queueDeepNs[hop]) / GAP_UNIT_NS) >>> 0;
  }

  /** While a queue comes or goes, each packet is reported, at whichever node: so much of such time goes by from one to the next. */
  function learnGap(at: number, s: number, hop: number): void {
    if (queueDeepNs[hop] < 0) return;
    const deep = deepUnitsOf(hop);
    const gap = Math.min(MOST_GAP, (deep - words[s + DEEP]) >>> 0);
    words[s + DEEP] = deep;
    const count = words[at + GAP] & COUNT_MASK;
    const mean = words[at + GAP] >>> COUNT_BITS;
    words[at + GAP] = (Math.max(1, Math.round(mean + (gap - mean) / (count + 1))) << COUNT_BITS) | Math.min(MANY, count + 1);
  }

  /** The sequence is the same at every node: whichever tells of it first tells what the flow has sent, by all interfaces on its way. */
  function advance(at: number, flow: number, hop: number, report: number, nowMs: number): void {
    const isNew = words[at + SEEN_LAST_MS] === 0;
    const elapsedMs = (nowMs - words[at + SEEN_LAST_MS]) >>> 0;
    const advanced = (tcpSequence[report] - words[at + SEQUENCE]) >>> 0;
    const acknowledged = stepOf(words[at + ACKNOWLEDGMENT], tcpAcknowledgment[report]);
    const isBack = advanced >= HALF_SEQUENCE || acknowledged >= HALF_SEQUENCE;
    // What is sent again, or comes late, moves nothing; after longer, another connection has the same ports.
    if (!isNew && (isBack || advanced + acknowledged === 0) && elapsedMs <= LONG_MS) return;
    const step = isNew || isBack ? 0 : advanced + acknowledged;
    const isBelieved = step > 0 && isPlausible(at, step, elapsedMs + ASIDE_MS, portRow[hop]);
    const isKnown = isBelieved && advanced > 0;
    const bytes = isKnown ? advanced + segmentsOf(at, advanced) * TCP_HEADER_BYTES : packetLengthBytes[report];
    if (isBelieved) words[at + BELIEVED] += step;
    words[at + SEQUENCE] = tcpSequence[report];
    if (tcpAcknowledgment[report] !== 0) words[at + ACKNOWLEDGMENT] = tcpAcknowledgment[report];
    words[at + SEEN_LAST_MS] = Math.max(1, nowMs);
    tables.addFlowBytes(flow, bytes);
    for (let slot = 0; slot < words[at + USED]; slot++) {
      const s = at + FIRST_SLOT_WORD + slot * SLOT_WORDS;
      if ((nowMs - words[s + SEEN_MS]) >>> 0 <= PERIOD_MS) tables.addPortBytes(words[s + PORT_ROW], bytes);
    }
  }

  /** A large step in a long time needs a second one of its like, whichever node tells of it. */
  function isPlausible(at: number, step: number, ms: number, port: number): boolean {
    const rate = tables.bytesPerNs(port);
    if (rate > 0 && step > rate * ms * 1e6) return false;
    if (ms <= LONG_MS) return true;
    const isAlike = step <= LARGE_BYTES || step / ms <= FASTER * words[at + BYTES_PER_MS];
    words[at + BYTES_PER_MS] = step / ms;
    return isAlike;
  }

  return observe;
}
