// From edges to verdicts: keeps the open congestion events, asks who caused and who suffered, and says when nobody knows the end.
//
//   edge ring ─▶ event (open · silent · closed) ─▶ culprits, victims, confidence ─▶ incident book
//
// Runs on the calm thread; time is handed in. Life cycle after Arista LANZ: start, update, end.
// Rule: silence alone never closes an event as over. After long silence it ends as `timeout`, with both bounds.

import { createHash } from 'node:crypto';
import { Edge, EDGE_WIDTH, EdgeKind } from '../edge.ts';
import {
  ownerKeyOf,
  queueKeyOf,
  type CongestionEvent,
  type Culprit,
  type EventEnd,
  type Owner,
  type QueueScope,
} from '../event.ts';
import { FlowWord, tunnelKindOf, TunnelKind } from '../flow-key.ts';
import type { ArrivalLog } from '../memory/arrivals.ts';
import type { FlowKey } from '../observe/flow.ts';
import { confidenceOf } from './confidence.ts';
import { counterfactualShares } from './counterfactual.ts';
import { blame, octetsOf, type BuildUp } from './culprit.ts';
import { victimsOf } from './victim.ts';

/** What the diagnosis needs to know; narrow getters over the shared tables, given by main. */
export interface CongestionSources {
  /** Copies the next edge into `record`; false when there is none. */
  nextEdge(record: Float64Array): boolean;
  /** The log as it is now; undefined when it has another owner or could not be read. */
  copyLog(log: number, generation: number): ArrivalLog | undefined;
  freeLog(log: number): void;
  queueOf(row: number): QueueScope;
  /** Collector time of the queue's newest report that told a wait, ns. */
  lastWaitSeenNs(row: number): number;
  /** Writes the event of a queue as it stands now into `record`, as an edge. */
  describe(row: number, record: Float64Array): void;
  /** Whether the hot thread still has this event of the queue open. */
  isOpen(row: number, openCount: number): boolean;
  portBytesPerNs(row: number): number;
  /** Whether other queues of the same port have been heard of lately. */
  sharesPort(row: number): boolean;
  /** Add to node time to get collector time, ns. */
  nodeOffsetNs(queueRow: number): number;
  /** Time on the device's own clock, ns: the same wherever its reports are heard. */
  deviceTimeNs(queueRow: number, nodeNs: number): bigint;
  flowAt(row: number, generation: number): FlowKey | undefined;
  /** Owner of the address at `words[offset]` at collector time `atNs`. */
  ownerAt(words: Uint32Array, offset: number, atNs: number): Owner;
  reportLossOf(nodeId: number): number | null;
  iso(ns: number): string;
}

export interface CongestionOptions {
  /** What the fabric may cost a packet, ns. */
  budgetNs: number;
  /** Without a report for this long an open event is `silent`. */
  silentAfterNs: number;
  /** Silent for this long, an event is closed as `timeout`. */
  timeoutAfterNs: number;
}

/** Told about every new state of an event; `nowNs` is collector time. */
export type CongestionWatcher = (event: CongestionEvent, nowNs: number) => void;

interface OpenCongestion {
  event: CongestionEvent;
  openCount: number;
  row: number;
  /** When it was last brought up to date, collector time, and the reports that it had then. */
  toldNs: number;
  reports: number;
  /** Polls in a row that found the event closed on the other side, without an edge that says so. */
  missing: number;
}

/** Generations of a flow row, and seconds, that are told apart within one event. */
const GENERATIONS = 1024;
const SECONDS = 65_536;
const UNKNOWN: Owner = { kind: 'unknown', namespace: 'unknown', workload: 'unknown', confidence: 0 };
const MICROBURST_NS = 1e6;
const SUSTAINED_NS = 100e6;
/** How often an open event is brought up to date. */
const REFRESH_NS = 1e9;
/** About ten milliseconds of judging. */
const MAX_ARRIVALS_PER_POLL = 16_384;
/** Edges held here; the rest waits in the ring, which counts what it has no room for. */
const MAX_WAITING = 256;

export class CongestionDiagnosis {
  readonly #sources: CongestionSources;
  readonly #options: CongestionOptions;
  readonly #watch: CongestionWatcher;
  /** By queue row; at most one open event per queue, so the queue table bounds it. */
  readonly #open = new Map<number, OpenCongestion>();
  readonly #edge = new Float64Array(EDGE_WIDTH);
  readonly #waiting: Float64Array[] = [];

  constructor(sources: CongestionSources, options: CongestionOptions, watch: CongestionWatcher) {
    this.#sources = sources;
    this.#options = options;
    this.#watch = watch;
  }

  /**
   * Works off the waiting edges, then looks for silence. Of several edges of one event only the newest is judged, and a poll judges a
   * bounded number of arrivals, so that nothing else waits for long: true when edges are left for the next poll.
   */
  poll(nowNs: number): boolean {
    this.#collect();
    let arrivals = 0;
    while (this.#waiting.length > 0 && arrivals < MAX_ARRIVALS_PER_POLL) {
      const edge = this.#waiting.shift()!;
      arrivals += this.#take(edge, nowNs);
    }
    const isBehind = this.#waiting.length > 0;
    if (!isBehind) {
      for (const open of this.#open.values()) {
        this.#checkSilence(open, nowNs);
        if (nowNs - open.toldNs >= REFRESH_NS) this.#refresh(open, nowNs);
      }
    }
    return isBehind;
  }

  /** Brings every open event up to what the tables say now, whether it is time for that or not. */
  refresh(nowNs: number): void {
    for (const open of this.#open.values()) this.#refresh(open, nowNs);
  }

  /** Edges tell of beginnings and ends; how an open event has grown meanwhile is looked up. */
  #refresh(open: OpenCongestion, nowNs: number): void {
    open.toldNs = nowNs;
    const edge = new Float64Array(EDGE_WIDTH);
    this.#sources.describe(open.row, edge);
    const isNews = edge[Edge.reports] > open.reports && edge[Edge.openCount] === open.openCount;
    if (isNews && this.#sources.isOpen(open.row, open.openCount)) this.#take(edge, nowNs);
  }

  /** True when no event is open and none is on its way. */
  get isIdle(): boolean {
    return this.#open.size === 0 && this.#waiting.length === 0;
  }

  /** Takes edges from the ring, the later of one event in the place of the earlier. */
  #collect(): void {
    while (this.#waiting.length < MAX_WAITING && this.#sources.nextEdge(this.#edge)) {
      const edge = this.#edge.slice();
      const row = edge[Edge.queueRow];
      const earlier = this.#waiting.findLastIndex((other) => other[Edge.queueRow] === row);
      if (earlier >= 0 && this.#waiting[earlier][Edge.openCount] === edge[Edge.openCount]) this.#waiting[earlier] = edge;
      else this.#waiting.push(edge);
    }
  }

  /** Brings an event up to an edge; returns how many arrivals were looked at. */
  #take(edge: Float64Array, nowNs: number): number {
    const row = edge[Edge.queueRow];
    const log = edge[Edge.log];
    const isClosed = edge[Edge.kind] === EdgeKind.closed;
    const event = this.#eventOf(edge);
    const arrivals = log >= 0 ? this.#sources.copyLog(log, edge[Edge.logGeneration]) : undefined;
    if (isClosed && log >= 0) this.#sources.freeLog(log);
    let open = this.#open.get(row);
    if (open !== undefined && open.openCount !== edge[Edge.openCount]) {
      // Its closing edge was lost: it was over before this one began.
      this.#close(open, { kind: 'observed', earliest: open.event.lastSeen, latest: event.start }, nowNs);
      open = undefined;
    }
    if (open !== undefined) {
      // The device clock may have been set meanwhile: what an event is called does not change.
      event.id = open.event.id;
      event.start = open.event.start;
      event.buildUpStart = open.event.buildUpStart;
      if (!isClosed) event.state = open.event.state;
    }
    if (arrivals !== undefined) this.#judge(event, edge, arrivals);
    else if (open !== undefined) {
      // The evidence could not be read this time: what was found before stands.
      event.culprits = open.event.culprits;
      event.victims = open.event.victims;
      event.selfInflicted = open.event.selfInflicted;
      event.confidence = open.event.confidence;
      event.evidence = { ...open.event.evidence, reports: event.evidence.reports };
    }
    const current = { event, openCount: edge[Edge.openCount], row, toldNs: nowNs, reports: edge[Edge.reports], missing: 0 };
    if (isClosed) this.#close(current, { kind: 'observed', earliest: event.lastSeen, latest: event.lastSeen }, nowNs);
    else {
      this.#open.set(row, current);
      this.#watch(event, nowNs);
    }
    return arrivals?.length ?? 0;
  }

  #close(open: OpenCongestion, end: EventEnd, nowNs: number): void {
    this.#open.delete(open.row);
    this.#watch({ ...open.event, state: 'closed', end }, nowNs);
  }

  #eventOf(edge: Float64Array): CongestionEvent {
    const row = edge[Edge.queueRow];
    const queue = this.#sources.queueOf(row);
    const offset = this.#sources.nodeOffsetNs(row);
    const iso = (nodeNs: number): string => this.#sources.iso(nodeNs + offset);
    const durationNs = edge[Edge.lastNodeNs] - edge[Edge.openedNodeNs];
    const depth = edge[Edge.peakDepthBytes];
    return {
      id: eventId(queue, this.#sources.deviceTimeNs(row, edge[Edge.openedNodeNs])),
      kind: durationNs >= SUSTAINED_NS ? 'sustained' : durationNs >= MICROBURST_NS ? 'congestion' : 'microburst',
      state: 'open',
      queue,
      buildUpStart: iso(edge[Edge.buildUpNodeNs]),
      start: iso(edge[Edge.openedNodeNs]),
      peakAt: iso(edge[Edge.peakNodeNs]),
      lastSeen: iso(edge[Edge.lastNodeNs]),
      end: null,
      durationNs,
      peakWaitNs: edge[Edge.peakWaitNs],
      peakDepthBytes: depth > 0 ? Math.round(depth) : null,
      dropReports: edge[Edge.dropReports],
      culprits: [],
      victims: [],
      selfInflicted: null,
      confidence: 0,
      evidence: {
        reports: edge[Edge.reports],
        effectiveReports: 0,
        reportLossRatio: this.#sources.reportLossOf(queue.nodeId),
        coverage: null,
        identifiedShare: 0,
      },
    };
  }

  #judge(event: CongestionEvent, edge: Float64Array, log: ArrivalLog): void {
    const row = edge[Edge.queueRow];
    const offset = this.#sources.nodeOffsetNs(row);
    // One look-up per flow and second: that is how finely it is known when an address changed hands.
    const owners = new Map<number, readonly [Owner, Owner]>();
    const ownersOf = (arrival: number): readonly [Owner, Owner] => {
      const row = log.flowRow[arrival];
      const second = Math.floor((log.enqueueNodeNs[arrival] + offset) / 1e9) % SECONDS;
      const key = (row * GENERATIONS + (log.flowGeneration[arrival] % GENERATIONS)) * SECONDS + second;
      const known = owners.get(key);
      if (known !== undefined) return known;
      const flow = this.#sources.flowAt(row, log.flowGeneration[arrival]);
      const atNs = log.enqueueNodeNs[arrival] + offset;
      const found = [FlowWord.source, FlowWord.destination].map((end) =>
        flow === undefined ? UNKNOWN : this.#ownerOf(flow, end, atNs),
      );
      owners.set(key, found as [Owner, Owner]);
      return found as [Owner, Owner];
    };
    const senderOf = (arrival: number): Owner => ownersOf(arrival)[0];
    const loss = event.evidence.reportLossRatio ?? 0;
    const rate = this.#sources.portBytesPerNs(row);
    const window: BuildUp = { fromNodeNs: edge[Edge.buildUpNodeNs], toNodeNs: edge[Edge.peakNodeNs], portBytesPerNs: rate };
    // Conservation: what came in is what left at line rate plus what is queued at the peak. Only a port with one queue tells.
    const expected = rate * (window.toNodeNs - window.fromNodeNs + edge[Edge.peakWaitNs]);
    const isKnown = expected > 0 && !this.#sources.sharesPort(row);
    const verdict = blame(log, octetsOf(log, loss, window), window, senderOf);
    // A queue that shares its port drains as it was seen to.
    const drain = isKnown ? rate : Math.min(rate, drainOf(log, window.fromNodeNs, edge[Edge.lastNodeNs], loss));
    const whole = { fromNodeNs: window.fromNodeNs, toNodeNs: edge[Edge.lastNodeNs], portBytesPerNs: drain };
    event.culprits = this.#withCounterfactuals(verdict.culprits, log, whole, loss, senderOf);
    const harmed = victimsOf(
      log,
      { fromNodeNs: window.fromNodeNs, toNodeNs: edge[Edge.lastNodeNs] },
      loss,
      this.#options.budgetNs,
      verdict.culprits,
      senderOf,
      (arrival) => ownersOf(arrival)[1],
    );
    event.victims = harmed.victims;
    event.selfInflicted = harmed.selfInflicted;
    event.evidence.reports = Math.max(event.evidence.reports, log.length);
    event.evidence.effectiveReports = verdict.effectiveReports;
    event.evidence.identifiedShare = verdict.identifiedShare;
    event.evidence.coverage = isKnown ? Math.min(1, verdict.totalBytes / expected) : null;
    event.confidence = confidenceOf({
      shares: verdict.culprits.map((c) => c.buildUpShare),
      effectiveReports: verdict.effectiveReports,
      reportedRatio: isKnown ? Math.min(1, verdict.reportedBytes / expected) : null,
      coverage: event.evidence.coverage,
      identifiedShare: verdict.identifiedShare,
      explainedShare: explainedShareOf(edge, rate),
      reportLossRatio: event.evidence.reportLossRatio,
    });
  }

  /** The culprits, each with what the queue would have been without it, from build-up to the newest report. */
  #withCounterfactuals(
    culprits: Culprit[],
    log: ArrivalLog,
    whole: BuildUp,
    loss: number,
    senderOf: (arrival: number) => Owner,
  ): Culprit[] {
    const groups = new Map(culprits.map((culprit, i) => [ownerKeyOf(culprit), i]));
    const shares = counterfactualShares(
      log,
      octetsOf(log, loss, whole),
      whole,
      culprits.length,
      (arrival) => groups.get(ownerKeyOf(senderOf(arrival))) ?? -1,
    );
    return culprits.map((culprit, i) => ({ ...culprit, counterfactual: shares === null ? null : shares[i] }));
  }

  /** Owner of one end of a flow. A subscriber's address belongs to no workload: there the end of the GTP-U tunnel does. */
  #ownerOf(flow: FlowKey, end: number, atNs: number): Owner {
    const owner = this.#sources.ownerAt(flow.words, end, atNs);
    const isSubscriber = owner.kind === 'unknown' && flow.outer !== undefined && tunnelKindOf(flow.words, 0) === TunnelKind.gtpu;
    return isSubscriber ? this.#sources.ownerAt(flow.outer!, end, atNs) : owner;
  }

  #checkSilence(open: OpenCongestion, nowNs: number): void {
    const { event } = open;
    // An edge may just be on its way: only when the next poll finds it missing too, it was lost.
    open.missing = this.#sources.isOpen(open.row, open.openCount) ? 0 : open.missing + 1;
    const earliest = event.lastSeen;
    if (open.missing > 1) return this.#close(open, { kind: 'observed', earliest, latest: this.#sources.iso(nowNs) }, nowNs);
    const quietNs = nowNs - this.#sources.lastWaitSeenNs(open.row);
    if (quietNs >= this.#options.timeoutAfterNs) {
      this.#close(open, { kind: 'timeout', earliest, latest: this.#sources.iso(nowNs) }, nowNs);
    } else if (event.state === 'open' && quietNs >= this.#options.silentAfterNs) {
      this.#move(open, { ...event, state: 'silent' }, nowNs);
    } else if (event.state === 'silent' && quietNs < this.#options.silentAfterNs) {
      this.#move(open, { ...event, state: 'open' }, nowNs);
    }
  }

  #move(open: OpenCongestion, event: CongestionEvent, nowNs: number): void {
    open.event = event;
    this.#watch(event, nowNs);
  }
}

/** Octets per ns that left the queue between these times, by the arrivals and their waits; 0 when there were none. */
function drainOf(log: ArrivalLog, fromNodeNs: number, toNodeNs: number, lossRatio: number): number {
  let bytes = 0;
  let firstNs = Infinity;
  let lastNs = -Infinity;
  for (let i = 0; i < log.length; i++) {
    if (log.enqueueNodeNs[i] < fromNodeNs || log.enqueueNodeNs[i] > toNodeNs) continue;
    bytes += log.lengthBytes[i] * log.weight[i];
    firstNs = Math.min(firstNs, log.enqueueNodeNs[i]);
    lastNs = Math.max(lastNs, log.enqueueNodeNs[i] + log.waitNs[i]);
  }
  return lastNs > firstNs ? bytes / (1 - Math.min(lossRatio, 0.95)) / (lastNs - firstNs) : 0;
}

/** What part of the longest wait the octets in the queue explain; all of it where depth or rate is not known. */
function explainedShareOf(edge: Float64Array, bytesPerNs: number): number {
  const depth = edge[Edge.peakDepthBytes];
  const atLineRate = bytesPerNs * edge[Edge.peakWaitNs];
  return depth > 0 && atLineRate > 0 ? Math.min(1, depth / atLineRate) : 1;
}

/** The same opening on the same queue has the same id, under replay and in every collector that hears it. */
function eventId(queue: QueueScope, openedDeviceNs: bigint): string {
  const text = `congestion/${queueKeyOf(queue)}/${openedDeviceNs}`;
  return `evt_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}
