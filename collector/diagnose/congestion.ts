// From edges to verdicts: keeps the open congestion events, asks who caused and who suffered, and says when nobody knows the end.
//
//   edge ring ─▶ event (open · silent · closed) ─▶ culprits, victims, confidence ─▶ incident book
//
// Runs on the calm thread; time is handed in. Life cycle after Arista LANZ: start, update, end.
// Rule: silence alone never closes an event as over. After long silence it ends as `timeout`, with both bounds.

import { createHash } from 'node:crypto';
import { Edge, EDGE_WIDTH, EdgeKind } from '../edge.ts';
import { queueKeyOf, type CongestionEvent, type EventEnd, type FlowShare, type Owner, type QueueScope } from '../event.ts';
import { FlowWord, tunnelKindOf, TunnelKind } from '../flow-key.ts';
import type { ArrivalLog } from '../memory/arrivals.ts';
import type { FlowKey } from '../observe/flow.ts';
import { flowKeyOf } from './order.ts';
import { attribute, type Account } from './attribution.ts';

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
  /** Whether the node reports changes of latency only. */
  isFiltered(row: number): boolean;
  /** How packets of queue `other` delay those of `row`, both of one port: 0 not at all, 1 in their turn, 2 they are served before. */
  rankOf(row: number, other: number): number;
  /** Whether other queues of the same port have been heard of lately. */
  sharesPort(row: number): boolean;
  /** Add to node time to get collector time, ns. */
  nodeOffsetNs(queueRow: number): number;
  /** Time on the device's own clock, ns: the same wherever its reports are heard. */
  deviceTimeNs(queueRow: number, nodeNs: number): bigint;
  flowAt(row: number, generation: number): FlowKey | undefined;
  /** Octets per ns that a flow used to send; 0 when it was not there before. */
  paceOf(row: number, generation: number): number;
  /** Names of the nodes that a flow goes by, in order. */
  pathOf(row: number, generation: number): string[];
  /** The flow for people. */
  endsOf(flow: FlowKey): Pick<FlowShare, 'source' | 'destination' | 'sourcePort' | 'destinationPort' | 'protocol'>;
  /** Owner of the address at `words[offset]` at collector time `atNs`. */
  ownerAt(words: Uint32Array, offset: number, atNs: number): Owner;
  reportLossOf(nodeId: number): number | null;
  iso(ns: number): string;
}

export interface CongestionOptions {
  /** What the fabric may cost a packet, ns; and one of a certain slice, by its name. */
  budgetNs: number;
  sliceBudgetsNs: ReadonlyMap<string, number>;
  /** From which wait on a packet is harmed, ns; undefined: by its budget. */
  harmWaitNs: number | undefined;
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

/** Seconds that are told apart within one event. */
const SECONDS = 65_536;
const UNKNOWN: Owner = {
  kind: 'unknown',
  namespace: 'unknown',
  workload: 'unknown',
  confidence: 0,
};
const MICROBURST_NS = 1e6;
const SUSTAINED_NS = 100e6;
/** How often an open event is brought up to date. */
const REFRESH_NS = 1e9;
/** About ten milliseconds of judging. */
const MAX_ARRIVALS_PER_POLL = 16_384;
/** Edges held here; the rest waits in the ring, which counts what it has no room for. */
const MAX_WAITING = 256;
const NO_ACCOUNT: Account = { expected: 0, unseen: 0, reports: 0, reported: 1 };
/** How much of what was known counts after one event more. */
const ACCOUNT_MEMORY = 0.95;

export class CongestionDiagnosis {
  readonly #sources: CongestionSources;
  readonly #options: CongestionOptions;
  readonly #watch: CongestionWatcher;
  /** By queue row; at most one open event per queue, so the queue table bounds it. */
  readonly #open = new Map<number, OpenCongestion>();
  /** By queue row: what was not seen so far. */
  readonly #accounts = new Map<number, Account>();
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

  /** Rows of queues with open events. */
  get openRows(): number[] {
    return [...this.#open.keys()];
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
    const isDrained = edge[Edge.kind] === EdgeKind.drained;
    const isClosed = isDrained || edge[Edge.kind] === EdgeKind.closed;
    const event = this.#eventOf(edge);
    const arrivals = log >= 0 ? this.#sources.copyLog(log, edge[Edge.logGeneration]) : undefined;
    if (isClosed && log >= 0) this.#sources.freeLog(log);
    let open = this.#open.get(row);
    if (open !== undefined && open.openCount !== edge[Edge.openCount]) {
      // Its closing edge was lost: it was over before this one began.
      this.#close(
        open,
        {
          kind: 'observed',
          earliest: open.event.lastSeen,
          latest: event.start,
        },
        nowNs,
      );
      open = undefined;
    }
    if (open !== undefined) {
      // The device clock may have been set meanwhile: what an event is called does not change.
      event.id = open.event.id;
      event.start = open.event.start;
      event.buildUpStart = open.event.buildUpStart;
      if (!isClosed) event.state = open.event.state;
    }
    if (arrivals !== undefined) this.#judge(event, edge, arrivals, isClosed);
    else if (open !== undefined) {
      // The evidence could not be read this time: what was found before stands.
      if (open.event.kind === 'starvation') event.kind = 'starvation';
      event.culprits = open.event.culprits;
      event.flows = open.event.flows;
      event.pattern = open.event.pattern;
      event.fanIn = open.event.fanIn;
      event.victims = open.event.victims;
      event.selfInflicted = open.event.selfInflicted;
      event.confidence = open.event.confidence;
      event.evidence = {
        ...open.event.evidence,
        reports: event.evidence.reports,
      };
    }
    const current = {
      event,
      openCount: edge[Edge.openCount],
      row,
      toldNs: nowNs,
      reports: edge[Edge.reports],
      missing: 0,
    };
    if (isClosed)
      this.#close(
        current,
        { kind: isDrained ? 'inferred' : 'observed', earliest: event.lastSeen, latest: event.lastSeen },
        nowNs,
      );
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
      flows: [],
      pattern: 'unknown',
      fanIn: null,
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

  #judge(event: CongestionEvent, edge: Float64Array, log: ArrivalLog, isClosed: boolean): void {
    const row = edge[Edge.queueRow];
    const offset = this.#sources.nodeOffsetNs(row);
    const ends = new Map<number, readonly [string, string] | undefined>();
    // One look-up per flow and second: that is how finely it is known when an address changed hands.
    const owners = new Map<number, readonly [Owner, Owner]>();
    const ownersOf = (arrival: number): readonly [Owner, Owner] => {
      const row = log.flowRow[arrival];
      const second = Math.floor((log.enqueueNodeNs[arrival] + offset) / 1e9) % SECONDS;
      const key = flowKeyOf(log, arrival) * SECONDS + second;
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
    const endsOf = (arrival: number): readonly [string, string] | undefined => {
      const flow = flowKeyOf(log, arrival);
      if (!ends.has(flow)) {
        const words = this.#sources.flowAt(log.flowRow[arrival], log.flowGeneration[arrival])?.words;
        const text = (at: number): string => words!.subarray(at, at + 4).join('.');
        ends.set(flow, words === undefined ? undefined : [text(FlowWord.source), text(FlowWord.destination)]);
      }
      return ends.get(flow);
    };
    const verdict = attribute(edge, log, event.evidence.reportLossRatio, {
      portBytesPerNs: this.#sources.portBytesPerNs(row),
      sharesPort: this.#sources.sharesPort(row),
      isFiltered: this.#sources.isFiltered(row),
      budgetNsOf: ({ slice }) =>
        (slice === undefined ? undefined : this.#options.sliceBudgetsNs.get(slice)) ?? this.#options.budgetNs,
      harmWaitNs: this.#options.harmWaitNs,
      portAccount: this.#accounts.get(row) ?? NO_ACCOUNT,
      rankOf: (other) => this.#sources.rankOf(row, other),
      senderOf: (arrival) => ownersOf(arrival)[0],
      paceOf: (arrival) => this.#sources.paceOf(log.flowRow[arrival], log.flowGeneration[arrival]),
      receiverOf: (arrival) => ownersOf(arrival)[1],
      endsOf,
    });
    if (verdict.account !== undefined && isClosed) this.#keepAccount(row, verdict.account);
    if (verdict.isStarved) event.kind = 'starvation';
    event.culprits = verdict.culprits;
    event.flows = verdict.flows.flatMap(({ arrival, bytes }) => {
      const [row, generation] = [log.flowRow[arrival], log.flowGeneration[arrival]];
      const flow = this.#sources.flowAt(row, generation);
      const { namespace, workload } = ownersOf(arrival)[0];
      const shares = { buildUpShare: bytes / verdict.totalBytes, buildUpBytes: Math.round(bytes) };
      const whose = { sender: `${namespace}/${workload}`, path: this.#sources.pathOf(row, generation) };
      return flow === undefined ? [] : [{ ...this.#sources.endsOf(flow), ...whose, ...shares }];
    });
    event.pattern = verdict.pattern;
    event.victims = verdict.victims;
    event.selfInflicted = verdict.selfInflicted;
    event.confidence = verdict.confidence;
    event.evidence = {
      ...event.evidence,
      ...verdict.evidence,
      reports: Math.max(event.evidence.reports, log.length),
    };
    event.fanIn = verdict.incast?.senders ?? null;
  }

  /** What was not seen at a queue over its events; older ones count for less. */
  #keepAccount(row: number, { expected, unseen, reports, reported }: Account): void {
    const before = this.#accounts.get(row) ?? NO_ACCOUNT;
    const all = before.reports * ACCOUNT_MEMORY + reports;
    this.#accounts.set(row, {
      expected: before.expected * ACCOUNT_MEMORY + expected,
      unseen: before.unseen * ACCOUNT_MEMORY + unseen,
      reports: all,
      reported: (before.reported * before.reports * ACCOUNT_MEMORY + reported * reports) / Math.max(1, all),
    });
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

/** The same opening on the same queue has the same id, under replay and in every collector that hears it. */
function eventId(queue: QueueScope, openedDeviceNs: bigint): string {
  const text = `congestion/${queueKeyOf(queue)}/${openedDeviceNs}`;
  return `evt_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}
