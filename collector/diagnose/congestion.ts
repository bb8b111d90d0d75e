// From edges to verdicts: keeps the open congestion events, asks who caused and who suffered, and says when nobody knows the end.
//
//   edge ring ─▶ event (open · silent · closed) ─▶ culprits, victims, confidence ─▶ incident book
//
// Runs on the calm thread; time is handed in. Life cycle after Arista LANZ: start, update, end.
// Rule: silence alone never closes an event as over. After long silence it ends as `timeout`, with both bounds.

import { createHash } from 'node:crypto';
import { Edge, EDGE_WIDTH, EdgeKind } from '../edge.ts';
import type { CongestionEvent, Owner, QueueScope } from '../event.ts';
import type { ArrivalLog } from '../memory/arrivals.ts';
import type { FlowKey } from '../observe/flow.ts';
import { confidenceOf } from './confidence.ts';
import { blame, octetsOf } from './culprit.ts';
import { victimsOf } from './victim.ts';

/** What the diagnosis needs to know; narrow getters over the shared tables, given by main. */
export interface CongestionSources {
  /** Copies the next edge into `record`; false when there is none. */
  nextEdge(record: Float64Array): boolean;
  copyLog(log: number): ArrivalLog | undefined;
  freeLog(log: number): void;
  queueOf(row: number): QueueScope;
  /** Collector time of the queue's newest report, ns. */
  queueLastSeenNs(row: number): number;
  portBytesPerNs(row: number): number;
  /** Add to node time to get collector time, ns. */
  nodeOffsetNs(queueRow: number): number;
  flowAt(row: number, generation: number): FlowKey | undefined;
  /** Owner of the address at `words[offset]` at collector time `atNs`. */
  ownerAt(words: Uint32Array, offset: number, atNs: number): Owner;
  reportLossOf(nodeId: number): number;
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
}

const UNKNOWN: Owner = { kind: 'unknown', namespace: 'unknown', workload: 'unknown', confidence: 0 };
const MICROBURST_NS = 1e6;
const SUSTAINED_NS = 100e6;

export class CongestionDiagnosis {
  readonly #sources: CongestionSources;
  readonly #options: CongestionOptions;
  readonly #watch: CongestionWatcher;
  /** By queue row; at most one open event per queue, so the queue table bounds it. */
  readonly #open = new Map<number, OpenCongestion>();
  readonly #edge = new Float64Array(EDGE_WIDTH);

  constructor(sources: CongestionSources, options: CongestionOptions, watch: CongestionWatcher) {
    this.#sources = sources;
    this.#options = options;
    this.#watch = watch;
  }

  /** Works off all waiting edges, then looks for silence. */
  poll(nowNs: number): void {
    while (this.#sources.nextEdge(this.#edge)) this.#take(this.#edge, nowNs);
    for (const open of this.#open.values()) this.#checkSilence(open, nowNs);
  }

  #take(edge: Float64Array, nowNs: number): void {
    const row = edge[Edge.queueRow];
    const log = edge[Edge.log];
    const kind = edge[Edge.kind];
    const event = this.#eventOf(edge);
    const arrivals = log >= 0 ? this.#sources.copyLog(log) : undefined;
    if (kind === EdgeKind.closed && log >= 0) this.#sources.freeLog(log);
    const open = this.#open.get(row);
    if (arrivals !== undefined) this.#judge(event, edge, arrivals);
    else if (open?.openCount === edge[Edge.openCount]) {
      // The evidence could not be read this time: what was found before stands.
      event.culprits = open.event.culprits;
      event.victims = open.event.victims;
      event.confidence = open.event.confidence;
      event.evidence = open.event.evidence;
    }
    if (kind === EdgeKind.closed) {
      event.state = 'closed';
      event.end = { kind: 'observed', earliest: event.lastSeen, latest: event.lastSeen };
      this.#open.delete(row);
    } else this.#open.set(row, { event, openCount: edge[Edge.openCount], row });
    this.#watch(event, nowNs);
  }

  #eventOf(edge: Float64Array): CongestionEvent {
    const row = edge[Edge.queueRow];
    const queue = this.#sources.queueOf(row);
    const offset = this.#sources.nodeOffsetNs(row);
    const iso = (nodeNs: number): string => this.#sources.iso(nodeNs + offset);
    const durationNs = edge[Edge.lastNodeNs] - edge[Edge.openedNodeNs];
    const depth = edge[Edge.peakDepthBytes];
    return {
      id: eventId(queue, edge[Edge.openedNodeNs], edge[Edge.openCount]),
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
    const flows = new Map<string, FlowKey | undefined>();
    const ownerOfEnd = (arrival: number, end: 0 | 4): Owner => {
      const key = `${log.flowRow[arrival]}/${log.flowGeneration[arrival]}`;
      if (!flows.has(key)) flows.set(key, this.#sources.flowAt(log.flowRow[arrival], log.flowGeneration[arrival]));
      const flow = flows.get(key);
      return flow === undefined ? UNKNOWN : this.#sources.ownerAt(flow.addresses, end, log.enqueueNodeNs[arrival] + offset);
    };
    const senderOf = (arrival: number): Owner => ownerOfEnd(arrival, 0);
    const loss = event.evidence.reportLossRatio;
    const octets = octetsOf(log, loss);
    const from = edge[Edge.buildUpNodeNs];
    const to = edge[Edge.peakNodeNs];
    const verdict = blame(log, octets, from, to, loss, senderOf);
    event.culprits = verdict.culprits;
    event.victims = victimsOf(log, from, loss, this.#options.budgetNs, verdict.culprits, senderOf, (arrival) =>
      ownerOfEnd(arrival, 4),
    );
    event.evidence.effectiveReports = verdict.effectiveReports;
    event.evidence.identifiedShare = verdict.identifiedShare;
    const rate = this.#sources.portBytesPerNs(row);
    // Conservation: what came in is what left at line rate plus what is queued at the peak.
    const expected = rate * (to - from) + edge[Edge.peakWaitNs] * rate;
    event.evidence.coverage = rate > 0 && expected > 0 ? Math.min(1, (verdict.totalBytes * (1 - loss)) / expected) : null;
    event.confidence = confidenceOf({
      shares: verdict.culprits.map((c) => c.buildUpShare),
      effectiveReports: verdict.effectiveReports,
      samplingRatio: verdict.samplingRatio,
      coverage: event.evidence.coverage,
      identifiedShare: verdict.identifiedShare,
      reportLossRatio: loss,
    });
  }

  #checkSilence(open: OpenCongestion, nowNs: number): void {
    const quietNs = nowNs - this.#sources.queueLastSeenNs(open.row);
    const { event } = open;
    if (event.state === 'open' && quietNs >= this.#options.silentAfterNs) {
      this.#move(open, { ...event, state: 'silent' }, nowNs);
    } else if (event.state === 'silent') {
      if (quietNs < this.#options.silentAfterNs) this.#move(open, { ...event, state: 'open' }, nowNs);
      else if (quietNs >= this.#options.timeoutAfterNs) {
        const end = { kind: 'timeout' as const, earliest: event.lastSeen, latest: this.#sources.iso(nowNs) };
        this.#open.delete(open.row);
        this.#watch({ ...event, state: 'closed', end }, nowNs);
      }
    }
  }

  #move(open: OpenCongestion, event: CongestionEvent, nowNs: number): void {
    open.event = event;
    this.#watch(event, nowNs);
  }
}

/** Stable under replay: the same opening on the same queue has the same id. */
function eventId(queue: QueueScope, openedNodeNs: number, openCount: number): string {
  const text = `congestion/${queue.nodeId}/${queue.interfaceId}/${queue.queue}/${Math.floor(openedNodeNs / 100_000)}/${openCount}`;
  return `evt_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}
