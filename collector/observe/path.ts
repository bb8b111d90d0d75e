// Ways of flows: for each flow the nodes that reported it lately, and by which interface it left them, with which TTL, after how long.
//
//   hop ─▶ slot of (flow, node) ── other interface than before ──▶ MOVED       ── TTL falls again and again at one node ──▶ LOOPED
//
// Nodes are told apart in a flow, never ordered by their clocks: TTL orders them. A flow that goes by more nodes than there are slots keeps those
// it was seen at last.
// Rule: a late report moves nothing, and one observation is no habit: a way is known from the second packet on.

import { forwardedTtlOf, latencyOf, ReportFlag, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import type { Ring } from '../memory/ring.ts';
import { Move, MOVE_WIDTH, MoveKind } from '../move.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { dropped: FLAG_DROPPED } = ReportFlag;
const { moved: KIND_MOVED, looped: KIND_LOOPED } = MoveKind;

/** A flow has two header doubles and its slots. */
const FLOW_DOUBLES = 27;
const FLOW_WORDS = FLOW_DOUBLES * 2;
const LINE_WORDS = 16;
const SLOT_DOUBLES = 5;
const PATH_SLOTS = 5;
/** Header: generation of the flow's row that the slots belong to, slots in use, slot whose reports count the flow's octets; and those octets. */
const [GENERATION, STATE] = [0, 1];
/** The header's state: slots in use, and from bit 8 on the counting slot. */
const [USED_MASK, COUNTING_SHIFT] = [0xff, 8];
const BYTES = 1;
const FIRST_SLOT = 2;
/** Words of a slot behind its first double, the time when the newest packet came into the node, ns on its clock. */
const [PORT_ROW, NODE_TAG, LATENCY_NS, TTL_STATE, SEEN_MS, LOWEST_MS, REPORTS, INGRESS] = [2, 3, 4, 5, 6, 7, 8, 9];
/** Top bit of the reports: they are filtered. */
const FILTERED = 0x8000_0000;
/** Fields of the TTL state, by their shift: newest TTL, lowest of late, how often it fell below, packets that went this way (at most 255). */
const [TTL, LOWEST_TTL, FALLS, HABIT] = [0, 8, 16, 24];
/** So many falls of the TTL at one node within a second are no detour. */
const LOOP_FALLS = 3;
const LOOP_WINDOW_MS = 1000;
const KNOWN = 2;
/** What a node told of a flow longer ago is not how it is now. */
const FRESH_MS = 1200;

/** Milliseconds of collector time as slots keep them: they go round after 49 days, and only their differences modulo 2^32 say something. */
function millisecondsOf(ns: number): number {
  return Math.floor(ns / 1e6) >>> 0;
}

/** One node on the way of a flow. */
export interface PathHop {
  nodeTag: number;
  portRow: number;
  ttl: number;
  /** The TTL has been the same for a while: no detour, no loop. */
  isSettled: boolean;
  /** Collector time of the newest report, ms. */
  seenMs: number;
  /** Reports of the flow by this node, modulo 2^31; and whether these tell of changes only. */
  reports: number;
  isFiltered: boolean;
}

export class PathTable {
  readonly doubles: Float64Array;
  readonly words: Uint32Array;

  /** For flow rows below `rows`. */
  constructor(arena: Arena, rows: number) {
    this.doubles = arena.float64(rows * FLOW_DOUBLES);
    this.words = new Uint32Array(this.doubles.buffer, this.doubles.byteOffset, this.doubles.length * 2);
  }

  /** Octets that the flow sent into the fabric, as far as reports stand for them; 0 when its row has passed to another. */
  bytes(row: number, generation: number): number {
    return this.words[row * FLOW_WORDS + GENERATION] === generation ? this.doubles[row * FLOW_DOUBLES + BYTES] : 0;
  }

  /** Octets that the flow was found to have sent besides. */
  addBytes(row: number, bytes: number): void {
    this.doubles[row * FLOW_DOUBLES + BYTES] += bytes;
  }

  /** Whether the node is the first on the flow's way, as far as it is known. */
  isFirst(row: number, nodeTag: number): boolean {
    const at = row * FLOW_WORDS;
    const counting = this.words[at + STATE] >>> COUNTING_SHIFT;
    return this.words[at + (FIRST_SLOT + counting * SLOT_DOUBLES) * 2 + NODE_TAG] === nodeTag;
  }

  /**
   * Nodes that reported the flow, the first on its way first, as of collector time `nowMs`; without those that it has left for another at the same distance.
   * For the calm thread.
   */
  hops(row: number, generation: number, nowMs: number): PathHop[] {
    const { words } = this;
    const at = row * FLOW_WORDS;
    if (words[at + GENERATION] !== generation) return [];
    const hops: PathHop[] = [];
    for (let slot = 0; slot < (words[at + STATE] & USED_MASK); slot++) {
      const s = at + (FIRST_SLOT + slot * SLOT_DOUBLES) * 2;
      const state = words[s + TTL_STATE];
      hops.push({
        nodeTag: words[s + NODE_TAG],
        portRow: words[s + PORT_ROW],
        ttl: (state >>> TTL) & 0xff,
        isSettled: ((state >>> TTL) & 0xff) === ((state >>> LOWEST_TTL) & 0xff) && ((state >>> FALLS) & 0xff) === 0,
        seenMs: nowMs - ((Math.floor(nowMs) - words[s + SEEN_MS]) >>> 0),
        reports: (words[s + REPORTS] & ~FILTERED) >>> 0,
        isFiltered: (words[s + REPORTS] & FILTERED) !== 0,
      });
    }
    const isLeft = ({ ttl, seenMs }: PathHop): boolean =>
      hops.some((other) => other.ttl === ttl && other.seenMs > seenMs + FRESH_MS);
    return hops.filter((hop) => !isLeft(hop)).sort((a, b) => b.ttl - a.ttl);
  }
}

/** What the stage asks of, and tells to, the tables of interfaces and queues. */
export interface PathTables {
  /** Whether another node lies behind an interface. */
  hasPeer: (portRow: number) => boolean;
  /** A flow goes on from an interface to that interface of another node. */
  votePeer: (portRow: number, nodeTag: number, ingressInterfaceId: number) => void;
}

/** The stage over a batch: brings the way of the flow of each hop up to date. */
export function pathStage(
  paths: PathTable,
  batch: HopBatch,
  moves: Ring,
  tables: PathTables,
): { observe: () => void; latencyNs: (hop: number) => number } {
  const { doubles, words } = paths;
  const { nodeTag, portRow, ingressInterfaceId, enqueueNodeNs, report: reportOf } = batch;
  const {
    flags,
    flowRow,
    flowGeneration,
    packetLengthBytes,
    representedPackets,
    firstHop,
    hopCount,
    datagram: datagramOf,
  } = batch.reports;
  const { timestampWrapNs, isFiltered } = batch.datagrams;
  const move = new Float64Array(MOVE_WIDTH);
  /** Where the reads of `prefetch` go, so that they are not optimised away. */
  const touched = new Int32Array(1);

  function observe(): void {
    const nowMs = millisecondsOf(batch.arrivalNs[0]);
    prefetch();
    for (let hop = 0; hop < batch.length; hop++) {
      const report = reportOf[hop];
      const flow = flowRow[report];
      const isDropped = (flags[report] & FLAG_DROPPED) !== 0;
      if (flow === 0 || (portRow[hop] === 0 && !isDropped)) continue;
      const at = flow * FLOW_WORDS;
      if (words[at + GENERATION] !== flowGeneration[report]) begin(at, flowGeneration[report]);
      const tag = nodeTag[hop];
      const used = words[at + STATE] & USED_MASK;
      let slot = 0;
      let s = at + FIRST_SLOT * 2;
      for (; slot < used && words[s + NODE_TAG] !== tag; slot++) s += SLOT_DOUBLES * 2;
      if (slot === used) slot = add(at, hop, report, nowMs);
      else if (isDropped) {
        // It came as far as this.
        words[s + SEEN_MS] = nowMs;
        continue;
      } else see(s, hop, report, nowMs);
      // Of filtered flows observe/held-back counts what they carried.
      if (isFiltered[datagramOf[report]] === 1) learnLink(at, hop, report, nowMs);
      else if (words[at + STATE] >>> COUNTING_SHIFT === slot)
        doubles[(at >> 1) + BYTES] += packetLengthBytes[report] * representedPackets[report];
    }
  }

  /** Lets the cache misses of all flows overlap: most have their slots in the first three lines. */
  function prefetch(): void {
    let sum = 0;
    for (let report = 0; report < batch.reports.length; report++) {
      const at = flowRow[report] * FLOW_WORDS;
      sum ^= words[at] ^ words[at + LINE_WORDS] ^ words[at + 2 * LINE_WORDS];
    }
    touched[0] = sum;
  }

  function begin(at: number, generation: number): void {
    words[at + GENERATION] = generation;
    words[at + STATE] = 0;
    doubles[(at >> 1) + BYTES] = 0;
  }

  /** A node that has not told of this flow yet takes a free slot, or the one that was not heard of for longest. */
  function add(at: number, hop: number, report: number, nowMs: number): number {
    let slot = words[at + STATE] & USED_MASK;
    if (slot < PATH_SLOTS) words[at + STATE] = slot + 1;
    else {
      slot = 0;
      for (let other = 1; other < PATH_SLOTS; other++) {
        if (ageMs(slotAt(at, other), nowMs) > ageMs(slotAt(at, slot), nowMs)) slot = other;
      }
    }
    const s = slotAt(at, slot);
    words[s + NODE_TAG] = nodeTag[hop];
    words[s + LOWEST_MS] = nowMs;
    words[s + REPORTS] = 0;
    doubles[s >> 1] = -Infinity;
    write(s, hop, report, nowMs, forwardedTtlOf(batch.reports, report), 0, 1);
    // The first node on the way counts: a packet is reported by every node.
    let first = 0;
    for (let other = 1; other < (words[at + STATE] & USED_MASK); other++) {
      if (ttlAt(slotAt(at, other)) > ttlAt(slotAt(at, first))) first = other;
    }
    words[at + STATE] = (words[at + STATE] & USED_MASK) | (first << COUNTING_SHIFT);
    return slot;
  }

  function slotAt(at: number, slot: number): number {
    return at + (FIRST_SLOT + slot * SLOT_DOUBLES) * 2;
  }

  function ageMs(s: number, nowMs: number): number {
    return (nowMs - words[s + SEEN_MS]) >>> 0;
  }

  function ttlAt(s: number): number {
    return (words[s + TTL_STATE] >>> TTL) & 0xff;
  }

  /**
   * Packets that every node reports are rare under a change filter: what lies behind an interface is seen by the ways of flows. Reports of two nodes come in
   * either order.
   */
  function learnLink(at: number, hop: number, report: number, nowMs: number): void {
    const own = forwardedTtlOf(batch.reports, report);
    for (let slot = 0; slot < (words[at + STATE] & USED_MASK); slot++) {
      const s = slotAt(at, slot);
      if (ageMs(s, nowMs) > FRESH_MS || !isNewestOfTtl(at, slot, nowMs)) continue;
      if (ttlAt(s) === own + 1) tables.votePeer(words[s + PORT_ROW], nodeTag[hop], ingressInterfaceId[hop]);
      else if (ttlAt(s) === own - 1) tables.votePeer(portRow[hop], words[s + NODE_TAG], words[s + INGRESS]);
    }
  }

  function see(s: number, hop: number, report: number, nowMs: number): void {
    if (enqueueNodeNs[hop] < doubles[s >> 1]) return;
    const state = words[s + TTL_STATE];
    let lowest = (state >>> LOWEST_TTL) & 0xff;
    let falls = (state >>> FALLS) & 0xff;
    let habit = state >>> HABIT;
    const now = forwardedTtlOf(batch.reports, report);
    const isRecent = (nowMs - words[s + LOWEST_MS]) >>> 0 <= LOOP_WINDOW_MS;
    if (now < lowest) {
      falls = isRecent ? falls + 1 : 1;
      lowest = now;
      words[s + LOWEST_MS] = nowMs;
      if (falls >= LOOP_FALLS) {
        tell(KIND_LOOPED, hop, report, portRow[hop]);
        falls = 0;
        lowest = 255;
      }
    } else if (!isRecent) {
      lowest = now;
      falls = 0;
      words[s + LOWEST_MS] = nowMs;
    }
    if (words[s + PORT_ROW] === portRow[hop]) habit = habit < 255 ? habit + 1 : 255;
    else {
      if (habit >= KNOWN) tell(KIND_MOVED, hop, report, words[s + PORT_ROW]);
      habit = 1;
    }
    write(s, hop, report, nowMs, lowest, falls, habit);
  }

  function write(s: number, hop: number, report: number, nowMs: number, lowest: number, falls: number, habit: number): void {
    const latencyNs = latencyOf(batch, hop, timestampWrapNs[datagramOf[report]]);
    doubles[s >> 1] = enqueueNodeNs[hop];
    words[s + PORT_ROW] = portRow[hop];
    words[s + INGRESS] = ingressInterfaceId[hop];
    words[s + LATENCY_NS] = latencyNs > 0 ? Math.min(latencyNs, 0xffff_ffff) : 0;
    words[s + SEEN_MS] = nowMs;
    words[s + REPORTS] = ((words[s + REPORTS] + 1) & ~FILTERED) | (isFiltered[datagramOf[report]] === 1 ? FILTERED : 0);
    words[s + TTL_STATE] =
      (forwardedTtlOf(batch.reports, report) << TTL) | (lowest << LOWEST_TTL) | (falls << FALLS) | (habit << HABIT);
  }

  function tell(kind: number, hop: number, report: number, from: number): void {
    move[Move.kind] = kind;
    move[Move.nodeTag] = nodeTag[hop];
    move[Move.fromPortRow] = from;
    move[Move.toPortRow] = portRow[hop];
    move[Move.flowRow] = flowRow[report];
    move[Move.flowGeneration] = flowGeneration[report];
    move[Move.atNs] = batch.arrivalNs[0];
    moves.push(move);
  }

  /** What its nodes have cost a packet that leaves the fabric with this hop, by the newest that each of them told, ns; -1 where it leaves to another node. */
  function latencyNs(hop: number): number {
    const report = reportOf[hop];
    const own = latencyOf(batch, hop, timestampWrapNs[datagramOf[report]]);
    if (own < 0 || portRow[hop] === 0 || (flags[report] & FLAG_DROPPED) !== 0) return -1;
    if (hopCount[report] > 1) return hop === firstHop[report] + hopCount[report] - 1 ? sumOfStack(report) : -1;
    if (tables.hasPeer(portRow[hop])) return -1;
    const at = flowRow[report] * FLOW_WORDS;
    const nowMs = millisecondsOf(batch.arrivalNs[0]);
    const ownTtl = forwardedTtlOf(batch.reports, report);
    let sum = own;
    for (let slot = 0; slot < (words[at + STATE] & USED_MASK); slot++) {
      const s = slotAt(at, slot);
      if (ttlAt(s) > ownTtl && ageMs(s, nowMs) <= FRESH_MS && isNewestOfTtl(at, slot, nowMs)) sum += words[s + LATENCY_NS];
    }
    return sum;
  }

  function sumOfStack(report: number): number {
    let sum = 0;
    for (let hop = firstHop[report]; hop < firstHop[report] + hopCount[report]; hop++) {
      sum += Math.max(0, latencyOf(batch, hop, timestampWrapNs[datagramOf[report]]));
    }
    return sum;
  }

  /** Of two nodes at one distance the flow has left the one that was heard of before. */
  function isNewestOfTtl(at: number, slot: number, nowMs: number): boolean {
    const s = slotAt(at, slot);
    for (let other = 0; other < (words[at + STATE] & USED_MASK); other++) {
      const o = slotAt(at, other);
      if (other !== slot && ttlAt(o) === ttlAt(s) && ageMs(o, nowMs) < ageMs(s, nowMs)) return false;
    }
    return true;
  }

  return { observe, latencyNs };
}
