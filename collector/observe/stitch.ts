// Histories of packets: postcards of one packet from several nodes, put together by what no node changes (RFC 5475 section 6.2.2; NetSight, NSDI'14).
//
//   hop ─▶ history of its packet ── 100 ms later ──▶ ordered by TTL ─▶ neighbours · delays between them · packets that were never seen again
//
// What identifies a packet: its flow, its length, and the TCP sequence number or (never alone) the IP identification. Where there is neither, two
// packets look alike, and their histories are not used. A TCP segment that comes by the same node again was sent again: the first one was
// lost behind the last node that saw it.
// When there are more packets than the table has room for, one in 2, 4, 8, ... is followed, the same ones at every node (trajectory sampling,
// Duffield and Grossglauser, 2000).
// Rule: times of two nodes are only ever subtracted to see how the difference moves.

import { FlowPart } from '../flow-key.ts';
import { forwardedTtlOf, latencyOf, ReportFlag, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { finish } from '../memory/key-table.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { dropped: FLAG_DROPPED } = ReportFlag;
const { tcpSequence: PART_TCP_SEQUENCE } = FlowPart;
const mix = finish;

/** A history has four header doubles and its hops: three cache lines. */
const HISTORY_DOUBLES = 24;
const HISTORY_WORDS = HISTORY_DOUBLES * 2;
const HOP_DOUBLES = 4;
const FIRST_HOP = 4;
const MAX_HOPS = 5;
/** Header words: hash of the packet, hops, flaws; and as a double when its first report came, in time without pauses; behind that its length, octets. */
const [CHECK, HOPS, FLAWED, LENGTH] = [0, 1, 2, 6];
const FIRST_NS = 2;
/** A hop: times in and out, ns on the node's clock; node, row of its egress interface, ingress interface, TTL. */
const [IN_NS, OUT_NS] = [0, 1];
const [NODE_TAG, PORT_ROW, INGRESS, HOP_TTL] = [4, 5, 6, 7];
/** What is wrong with a history: nothing can be told from it, or not what comes behind its last hop. */
const [USELESS, SAMPLED] = [1, 2];
/** A TCP packet as short as this carries no data. */
const BARE_BYTES = 80;
const WAYS = 4;
/** Reports of a packet come within this, or not at all. */
export const STITCH_NS = 100e6;
/** How often it is asked whether fewer packets should be followed, or more. */
const REVIEW_NS = 100e6;
/** So many refused, and so long after the last time, do not wait for it. */
const [HASTY_REFUSED, HASTY_NS] = [1024, 1e6];
/** Between two batches no more time than this counts. */
const LONGEST_STEP_NS = 10e6;
/** One packet in 2 to the power of this, at the least. */
const MOST_SKIPPED = 16;
/** Of the packets: a few find their places taken by chance. */
const MOST_REFUSED = 0.02;

export class StitchTable {
  readonly histories: number;
  readonly doubles: Float64Array;
  readonly words: Uint32Array;
  /** By history: another hash of its packet, never 0; 0: it is free. Those of all ways of a packet lie in one cache line. */
  readonly tags: Uint32Array;
  /** Histories in the order of their beginning. */
  readonly order: Uint32Array;
  /** [0] histories completed, [1] packets that found no room, [2] one packet in 2 to the power of this is followed. */
  readonly totals: Float64Array;

  constructor(arena: Arena, histories: number) {
    this.histories = 2 ** Math.ceil(Math.log2(Math.max(WAYS, histories)));
    this.doubles = arena.float64(this.histories * HISTORY_DOUBLES);
    this.words = new Uint32Array(this.doubles.buffer, this.doubles.byteOffset, this.doubles.length * 2);
    this.tags = arena.uint32(this.histories);
    this.order = arena.uint32(this.histories);
    this.totals = arena.float64(3);
  }
}

/** Where the findings about an interface go, by its row; see observe/port. */
export interface PortFindings {
  hasPeer(row: number): boolean;
  isPeer(row: number, nodeTag: number, ingressInterfaceId: number): boolean;
  votePeer(row: number, nodeTag: number, ingressInterfaceId: number): void;
  follow(row: number, delayNs: number, lengthBytes: number, atNs: number): void;
  miss(row: number): void;
  missResent(row: number): void;
}

/** The stage over a batch: puts its hops into the histories of their packets, and works off those that are complete. */
export function stitchStage(table: StitchTable, batch: HopBatch, ports: PortFindings): () => void {
  const { doubles, words, tags, order, totals, histories } = table;
  const { nodeTag, portRow, enqueueNodeNs, ingressInterfaceId, report: reportOf } = batch;
  const {
    flags,
    flowHash,
    flowRow,
    flowParts,
    representedPackets,
    packetLengthBytes,
    tcpSequence,
    ipIdentification,
    datagram: datagramOf,
  } = batch.reports;
  const { timestampWrapNs, isFiltered } = batch.datagrams;
  const mask = histories - 1;
  // The order of histories that a thread before this one had begun went with it.
  tags.fill(0);
  totals[2] = 0;
  let [oldest, newest] = [0, 0];
  let refused = 0;
  let begunBefore = 0;
  let reviewNs = 0;
  let skipMask = 0;
  let cutNs = -1;
  /** Time that goes by while reports come, and how far it is behind that of arrival, ns. */
  let [clockNs, pausedNs] = [0, 0];

  function observe(): void {
    const arrivalNs = batch.arrivalNs[0];
    // When reports come after a pause, those that were held up are among them: the pause was nobody's loss.
    const nowNs = clockNs + Math.min(Math.max(0, arrivalNs - clockNs - pausedNs), LONGEST_STEP_NS);
    clockNs = nowNs;
    pausedNs = arrivalNs - nowNs;
    workOff(nowNs);
    for (let hop = 0; hop < batch.length; hop++) {
      const report = reportOf[hop];
      if (flowRow[report] === 0 || nodeTag[hop] === 0) continue;
      const isTcp = (flowParts[report] & PART_TCP_SEQUENCE) !== 0;
      // Bare acknowledgments are alike.
      const isSegment = isTcp && packetLengthBytes[report] > BARE_BYTES;
      const id = isSegment ? tcpSequence[report] : ipIdentification[report];
      if (!isSegment && id === 0) continue;
      if (((Math.imul(id ^ flowHash[report], 0x9e3779b1) >>> 8) & skipMask) !== 0) continue;
      const check = mix(Math.imul(id, 0x9e3779b1) ^ flowHash[report] ^ Math.imul(packetLengthBytes[report], 0x85ebca6b));
      const hash = mix(check ^ flowHash[report]) >>> 0;
      const history = find(hash, check >>> 0, nowNs);
      if (history >= 0) add(history * HISTORY_WORDS, hop, report, nowNs, isSegment);
    }
  }

  /** The history of the packet, begun if there is none; -1 when there is no room. */
  function find(hash: number, check: number, nowNs: number): number {
    let free = -1;
    for (let way = 0; way < WAYS; way++) {
      const history = (hash + way) & mask;
      const tag = tags[history];
      if (tag === (hash | 1) >>> 0 && words[history * HISTORY_WORDS + CHECK] === check) return history;
      if (free < 0 && tag === 0) free = history;
    }
    if (free < 0 || newest - oldest >= histories) {
      refused++;
      totals[1]++;
      return -1;
    }
    const at = free * HISTORY_WORDS;
    tags[free] = hash | 1;
    words[at + CHECK] = check;
    words[at + HOPS] = 0;
    words[at + FLAWED] = 0;
    doubles[(at >> 1) + FIRST_NS] = nowNs;
    order[newest & mask] = free;
    newest++;
    return free;
  }

  function add(at: number, hop: number, report: number, nowNs: number, isSegment: boolean): void {
    if ((flags[report] & FLAG_DROPPED) !== 0) {
      // A node told what became of it.
      words[at + FLAWED] |= USELESS;
      return;
    }
    const used = words[at + HOPS];
    for (let other = 0; other < used; other++) {
      const h = hopAt(at, other);
      if (words[h + NODE_TAG] !== nodeTag[hop]) continue;
      if (isSegment && words[h + HOP_TTL] === forwardedTtlOf(batch.reports, report) && (words[at + FLAWED] & USELESS) === 0) {
        sentAgain(at, other);
        doubles[(at >> 1) + FIRST_NS] = nowNs;
        break;
      }
      words[at + FLAWED] |= USELESS;
      return;
    }
    const slot = words[at + HOPS];
    if (slot === MAX_HOPS) {
      words[at + FLAWED] |= USELESS;
      return;
    }
    words[at + HOPS] = slot + 1;
    words[at + LENGTH] = packetLengthBytes[report];
    const h = hopAt(at, slot);
    const latencyNs = latencyOf(batch, hop, timestampWrapNs[datagramOf[report]]);
    doubles[(h >> 1) + IN_NS] = enqueueNodeNs[hop];
    doubles[(h >> 1) + OUT_NS] = latencyNs < 0 ? NaN : enqueueNodeNs[hop] + latencyNs;
    words[h + NODE_TAG] = nodeTag[hop];
    words[h + PORT_ROW] = portRow[hop];
    words[h + INGRESS] = ingressInterfaceId[hop];
    words[h + HOP_TTL] = forwardedTtlOf(batch.reports, report);
    if (representedPackets[report] > 1 || isFiltered[datagramOf[report]] === 1) words[at + FLAWED] |= SAMPLED;
  }

  function hopAt(at: number, hop: number): number {
    return at + (FIRST_HOP + hop * HOP_DOUBLES) * 2;
  }

  /** The node of hop `again` sees the segment anew: what is known of the first one is all that will be. A packet that was delivered may be sent again, too. */
  function sentAgain(at: number, again: number): void {
    const last = lastHop(at);
    const isFromTheBeginning = words[hopAt(at, again) + HOP_TTL] === words[hopAt(at, firstHop(at)) + HOP_TTL];
    const port = words[hopAt(at, last) + PORT_ROW];
    // Where nodes tell of some packets only, it may have come further than that.
    const isWhole = (words[at + FLAWED] & SAMPLED) === 0;
    if (isFromTheBeginning && isWhole && port !== 0 && ports.hasPeer(port)) ports.missResent(port);
    words[at + HOPS] = 0;
  }

  function lastHop(at: number): number {
    let last = 0;
    for (let hop = 1; hop < words[at + HOPS]; hop++) {
      if (words[hopAt(at, hop) + HOP_TTL] < words[hopAt(at, last) + HOP_TTL]) last = hop;
    }
    return last;
  }

  function firstHop(at: number): number {
    let first = 0;
    for (let hop = 1; hop < words[at + HOPS]; hop++) {
      if (words[hopAt(at, hop) + HOP_TTL] > words[hopAt(at, first) + HOP_TTL]) first = hop;
    }
    return first;
  }

  function workOff(nowNs: number): void {
    while (oldest < newest) {
      const history = order[oldest & mask];
      const at = history * HISTORY_WORDS;
      if (nowNs - doubles[(at >> 1) + FIRST_NS] < STITCH_NS) break;
      oldest++;
      if ((words[at + FLAWED] & USELESS) === 0) conclude(at);
      tags[history] = 0;
      totals[0]++;
    }
    const isHasty = refused >= HASTY_REFUSED && nowNs - reviewNs >= HASTY_NS;
    if (nowNs - reviewNs < REVIEW_NS && !isHasty) return;
    const tried = newest - begunBefore + refused;
    if (refused > tried * MOST_REFUSED && totals[2] < MOST_SKIPPED) {
      const wanted = (tried / (nowNs - reviewNs)) * STITCH_NS;
      totals[2] = Math.min(MOST_SKIPPED, totals[2] + Math.max(1, Math.ceil(Math.log2(wanted / histories))));
      // Packets that are under way are followed no further.
      cutNs = nowNs;
    } else if (refused === 0 && totals[2] > 0 && newest - oldest < histories / 4) totals[2]--;
    reviewNs = nowNs;
    skipMask = 2 ** totals[2] - 1;
    refused = 0;
    begunBefore = newest;
  }

  /** Each hop and the one whose TTL is one less are neighbours. Behind the last, the packet was not seen. */
  function conclude(at: number): void {
    const used = words[at + HOPS];
    const isCut = doubles[(at >> 1) + FIRST_NS] <= cutNs;
    for (let hop = 0; hop < used; hop++) {
      const h = hopAt(at, hop);
      const port = words[h + PORT_ROW];
      if (port === 0) continue;
      let isLast = true;
      for (let other = 0; other < used; other++) {
        const o = hopAt(at, other);
        if (words[o + HOP_TTL] < words[h + HOP_TTL]) isLast = false;
        if (words[o + HOP_TTL] !== words[h + HOP_TTL] - 1) continue;
        ports.votePeer(port, words[o + NODE_TAG], words[o + INGRESS]);
        const delayNs = doubles[(o >> 1) + IN_NS] - doubles[(h >> 1) + OUT_NS];
        if (delayNs === delayNs && ports.isPeer(port, words[o + NODE_TAG], words[o + INGRESS]))
          ports.follow(port, delayNs, words[at + LENGTH], doubles[(at >> 1) + FIRST_NS] + pausedNs);
      }
      // Where nodes report one packet in many, the next may just not have had its turn.
      if (isLast && !isCut && (words[at + FLAWED] & SAMPLED) === 0 && ports.hasPeer(port)) ports.miss(port);
    }
  }

  return observe;
}
