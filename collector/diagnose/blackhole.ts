// Links that swallow what goes to some addresses, while all else gets through: flows that a node sends out and that are seen nowhere behind it.
//
//   flow ─▶ seen behind the node that it leaves? no ─▶ by (interface, prefix): reports that should have come from there, and did not
//   so many that chance is one in a million, of several flows, while others get through ──▶ blackhole
//
// The prefix is the widest that holds every address that is swallowed and none that gets through, at most a /24 or /64.
// Rule: a flow that has ended is no flow that was swallowed: only packets that were seen to leave count.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';
import type { PathHop } from '../observe/path.ts';
import type { FlowVisit } from './flow-sweep.ts';

/** A flow that went on leaving a node for so long without being seen behind it is lost; where nodes report changes only, two of their periods. */
const LOST_MS = 300;
const LOST_FILTERED_MS = 2400;
/** Reports that should have come from behind: none of 20 is one chance in 500 million, if each is lost or left out by itself; there are many links and addresses. */
const ENOUGH_EVIDENCE = 20;
const MIN_FLOWS = 2;
/** So many say that it is still so. */
const STILL_EVIDENCE = 5;
/** Nodes that have traffic are heard of more often than this, or (see above) not at all; what they would tell then is no evidence. */
const DEAF_MS = 500;
/** So recently somebody else must have got through. */
const OTHERS_MS = 1500;
const FORGET_MS = 10_000;
const SUSPECT_MS = 6000;
const MAX_TARGETS = 4096;
const V4_PREFIX_BITS = 24;
const V6_PREFIX_BITS = 64;

export interface BlackholeSources {
  /** Whether a neighbour is known behind the interface. */
  hasPeer(portRow: number): boolean;
  placeOfPort(portRow: number): Place;
  /** Destination of the flow as 128 bits (IPv4 as ::ffff:a.b.c.d); undefined when its row has passed to another. */
  destinationOf(row: number, generation: number): Uint32Array | undefined;
  addressText(words: Uint32Array): string;
  reportLossOf(portRow: number): number;
  /** Collector time when the neighbour behind the interface was last heard of, ns. */
  peerHeardNs(portRow: number): number;
}

interface Target {
  words: Uint32Array;
  /** Reports of packets that left since something was last seen behind the node. */
  evidence: number;
  flows: Set<number>;
  firstLostMs: number;
  lastLostMs: number;
  lastThroughMs: number;
  /** When it was last seen to get through is not known better than this. */
  marginMs: number;
}

interface Link {
  targets: Map<string, Target>;
  /** What is being swallowed. */
  open: Group[];
  /** When something was suspected last. */
  suspectMs: number;
  /** When the neighbour was last found silent. */
  deafMs: number;
}

export class BlackholeDetector {
  readonly #sources: BlackholeSources;
  readonly #conditions: ConditionBook;
  readonly #links = new Map<number, Link>();
  /** By flow row: when it was visited last; when it was seen behind the node that saw it last, ms; that node's reports then, and those counted since. */
  readonly #visitedMs: Float64Array;
  readonly #behindMs: Float64Array;
  readonly #reportsThen: Float64Array;
  readonly #counted: Float64Array;
  readonly #portRow: Uint32Array;
  #targets = 0;
  #judgedMs = 0;

  constructor(sources: BlackholeSources, conditions: ConditionBook, flowCapacity: number) {
    this.#sources = sources;
    this.#conditions = conditions;
    this.#visitedMs = new Float64Array(flowCapacity);
    this.#behindMs = new Float64Array(flowCapacity);
    this.#reportsThen = new Float64Array(flowCapacity);
    this.#counted = new Float64Array(flowCapacity);
    this.#portRow = new Uint32Array(flowCapacity);
  }

  /** Whether something on this link is being swallowed, or may be, or was until lately. */
  isSuspect(portRow: number): boolean {
    const link = this.#links.get(portRow);
    return link !== undefined && link.suspectMs > this.#judgedMs - SUSPECT_MS;
  }

  visit(flow: FlowVisit, nowNs: number): void {
    const { row, hops, sinceMs } = flow;
    // A way that is not settled, or whose nodes cannot be put in order, says nothing.
    if (hops.some(({ isSettled, ttl }, i) => !isSettled || hops[i + 1]?.ttl === ttl)) return;
    const nowMs = nowNs / 1e6;
    const visitedMs = this.#visitedMs[row] >= sinceMs ? this.#visitedMs[row] : -1;
    this.#visitedMs[row] = nowMs;
    let at = hops.length - 1;
    while (at >= 0 && hops[at].seenMs <= visitedMs) at--;
    if (at < 0) return;
    for (let before = 0; before < at; before++) {
      if (this.#sources.hasPeer(hops[before].portRow)) this.#through(flow, hops[before].portRow, nowMs);
    }
    const hop = hops[at];
    if (!this.#sources.hasPeer(hop.portRow)) return;
    const behindMs = hops.slice(at + 1).reduce((newest, { seenMs }) => Math.max(newest, seenMs), 0);
    if (visitedMs < 0 || this.#portRow[row] !== hop.portRow || this.#behindMs[row] !== behindMs) {
      this.#portRow[row] = hop.portRow;
      this.#behindMs[row] = behindMs;
      this.#reportsThen[row] = behindMs === 0 ? 0 : hop.reports;
      this.#counted[row] = 0;
    }
    if (this.#isDeaf(hop, nowMs)) {
      this.#reportsThen[row] = hop.reports;
      this.#counted[row] = 0;
      return;
    }
    const lostFromMs = Math.max(behindMs === 0 ? sinceMs : behindMs, this.#links.get(hop.portRow)?.deafMs ?? 0);
    if (hop.seenMs - lostFromMs < (hop.isFiltered ? LOST_FILTERED_MS : LOST_MS)) return;
    const reports = hop.reports - this.#reportsThen[row];
    this.#lost(flow, hop, reports - this.#counted[row], lostFromMs, nowMs);
    this.#counted[row] = reports;
  }

  /** Whether nothing is heard of the neighbour; what was taken for evidence meanwhile is none. */
  #isDeaf({ portRow, isFiltered }: PathHop, nowMs: number): boolean {
    if (nowMs - this.#sources.peerHeardNs(portRow) / 1e6 < (isFiltered ? LOST_FILTERED_MS : DEAF_MS)) return false;
    const link = this.#linkOf(portRow);
    link.deafMs = nowMs;
    for (const target of link.targets.values()) {
      target.evidence = 0;
      target.flows.clear();
    }
    return true;
  }

  #linkOf(portRow: number): Link {
    const link = this.#links.get(portRow) ?? { targets: new Map<string, Target>(), open: [], suspectMs: -Infinity, deafMs: 0 };
    this.#links.set(portRow, link);
    return link;
  }

  #targetOf({ row, generation }: FlowVisit, portRow: number): Target | undefined {
    const words = this.#sources.destinationOf(row, generation);
    if (words === undefined) return undefined;
    const link = this.#linkOf(portRow);
    const key = words.join('.');
    const known = link.targets.get(key);
    if (known !== undefined || this.#targets >= MAX_TARGETS) return known;
    this.#targets++;
    const target = {
      words,
      evidence: 0,
      flows: new Set<number>(),
      firstLostMs: 0,
      lastLostMs: 0,
      lastThroughMs: 0,
      marginMs: LOST_MS,
    };
    link.targets.set(key, target);
    return target;
  }

  #through(flow: FlowVisit, portRow: number, nowMs: number): void {
    const target = this.#targetOf(flow, portRow);
    if (target === undefined) return;
    target.lastThroughMs = nowMs;
    // Packets that were under way may still come through.
    if (nowMs - target.firstLostMs < target.marginMs) return;
    target.flows.clear();
    target.evidence = 0;
  }

  #lost(flow: FlowVisit, { portRow, isFiltered }: PathHop, reports: number, sinceMs: number, nowMs: number): void {
    const target = this.#targetOf(flow, portRow);
    if (target === undefined) return;
    if (target.evidence === 0) target.firstLostMs = sinceMs;
    target.marginMs = isFiltered ? LOST_FILTERED_MS / 2 : LOST_MS;
    target.evidence += reports * (1 - this.#sources.reportLossOf(portRow));
    target.lastLostMs = nowMs;
    if (target.flows.size < 64) target.flows.add(flow.row);
  }

  poll(nowNs: number): void {
    const nowMs = nowNs / 1e6;
    if (nowMs - this.#judgedMs < 100) return;
    this.#judgedMs = nowMs;
    for (const [portRow, link] of this.#links) this.#judge(portRow, link, nowMs, nowNs);
  }

  #judge(portRow: number, link: Link, nowMs: number, nowNs: number): void {
    const lost: Target[] = [];
    const through: Target[] = [];
    for (const [key, target] of link.targets) {
      const isOld = nowMs - Math.max(target.lastLostMs, target.lastThroughMs) > FORGET_MS;
      if (isOld) {
        link.targets.delete(key);
        this.#targets--;
      } else if (target.evidence > 0) lost.push(target);
      if (!isOld && target.lastThroughMs > 0) through.push(target);
    }
    link.open = link.open.filter(({ targets }) => targets.some(({ lastLostMs }) => nowMs - lastLostMs < OTHERS_MS));
    for (const group of groupsOf(lost, through, link.open)) this.#judgeGroup(portRow, link, group, through, nowMs, nowNs);
  }

  #judgeGroup(portRow: number, link: Link, group: Group, through: readonly Target[], nowMs: number, nowNs: number): void {
    const lastLostMs = Math.max(...group.targets.map((target) => target.lastLostMs));
    const firstLostMs = Math.min(...group.targets.map((target) => target.firstLostMs));
    if (nowMs - lastLostMs > LOST_MS) return;
    // Others must get through meanwhile, or it is the link that is down, or what lies behind it that is not heard.
    const others = through.filter((target) => !group.targets.includes(target));
    if (!others.some(({ lastThroughMs }) => lastThroughMs > Math.max(firstLostMs + LOST_MS, nowMs - OTHERS_MS))) return;
    const evidence = group.targets.reduce((sum, target) => sum + target.evidence, 0);
    const flows = group.targets.reduce((sum, target) => sum + target.flows.size, 0);
    if (evidence >= ENOUGH_EVIDENCE / 2) link.suspectMs = nowMs;
    const place = {
      ...this.#sources.placeOfPort(portRow),
      prefix: prefixText(group, (words) => this.#sources.addressText(words)),
    };
    const isKnown = link.open.some(
      ({ bits, targets }) => bits === group.bits && isSamePrefix(targets[0].words, group.targets[0].words, bits),
    );
    const isOpen = isKnown && this.#conditions.isOpen('blackhole', place);
    if (evidence < (isOpen ? STILL_EVIDENCE : ENOUGH_EVIDENCE) || (!isOpen && flows < MIN_FLOWS)) return;
    if (!isKnown) link.open.push(group);
    this.#conditions.raise(
      {
        kind: 'blackhole',
        place,
        fromNs: firstLostMs * 1e6,
        atNs: lastLostMs * 1e6,
        severity: 5,
        summary: `${flows} flow(s) leave here and are seen nowhere behind it, while others get through`,
        numbers: { flows, reports: evidence },
      },
      nowNs,
    );
  }
}

interface Group {
  targets: Target[];
  bits: number;
}

/** Lost addresses by the widest prefix, at most as wide as is usual, in which no address got through since; those of an open one stay with it. */
function groupsOf(lost: readonly Target[], through: readonly Target[], open: readonly Group[]): Group[] {
  const groups = new Map<string, Group>();
  for (const target of lost) {
    const isV4 = target.words[0] === 0 && target.words[1] === 0 && target.words[2] === 0xffff;
    const known = open.find(({ bits, targets }) => isSamePrefix(targets[0].words, target.words, bits));
    let bits = known?.bits ?? (isV4 ? 96 + V4_PREFIX_BITS : V6_PREFIX_BITS);
    const isThrough = (other: Target): boolean =>
      other.lastThroughMs > target.firstLostMs + target.marginMs && isSamePrefix(target.words, other.words, bits);
    while (known === undefined && bits < 128 && through.some(isThrough)) bits++;
    const key = `${bits}/${masked(target.words, bits).join('.')}`;
    const group = groups.get(key) ?? { targets: [], bits };
    groups.set(key, group);
    group.targets.push(target);
  }
  return [...groups.values()];
}

function isSamePrefix(a: Uint32Array, b: Uint32Array, bits: number): boolean {
  for (let word = 0; word < 4; word++) if (((a[word] ^ b[word]) & maskOf(bits, word)) !== 0) return false;
  return true;
}

function maskOf(bits: number, word: number): number {
  const left = bits - word * 32;
  return left >= 32 ? -1 : left <= 0 ? 0 : -1 << (32 - left);
}

function masked(words: Uint32Array, bits: number): Uint32Array {
  return words.map((value, word) => value & maskOf(bits, word));
}

function prefixText({ targets, bits }: Group, addressText: (words: Uint32Array) => string): string {
  const text = addressText(masked(targets[0].words, bits));
  return `${text}/${text.includes(':') ? bits : bits - 96}`;
}
