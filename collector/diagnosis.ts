// The calm side of the house as one part: shared tables in, incidents out. Wires event, culprit, victim and incident together.
// It is driven by `poll`: by a timer in the collector, by each datagram in a replay, by hand in tests.

import { addressText } from './address.ts';
import type { Config } from './config.ts';
import { CongestionDiagnosis } from './diagnose/congestion.ts';
import { IncidentBook, type IncidentWatcher } from './diagnose/incident.ts';
import type { ClockEstimate } from './diagnose/clock-offsets.ts';
import { ConditionBook } from './diagnose/condition.ts';
import { ReportLoss } from './diagnose/report-loss.ts';
import type { CongestionEvent, FabricEvent, Incident, Owner, Plan } from './event.ts';
import { FabricConditions } from './fabric-conditions.ts';
import { destinationPortOf, FlowWord, protocolOf } from './flow-key.ts';
import { rowOfTag } from './hop.ts';
import { Names } from './names.ts';
import type { SharedState } from './shared-state.ts';
import { unixNsOfIso, type Timeline } from './timeline.ts';
import { Totals } from './totals.ts';

export interface DiagnosisParts {
  state: SharedState;
  config: Config;
  timeline: Timeline;
  ownerAt(words: Uint32Array, offset: number, unixMs: number): Owner;
  /** Where the incidents of all ingest threads meet. */
  incidents: IncidentBook;
  /** Told of every new state of an event; `nowNs` is collector time. */
  onEvent?: ((event: FabricEvent, nowNs: number) => void) | undefined;
}

/** The book that diagnoses of one configuration write to. */
export function incidentBookOf(
  config: Config,
  timeline: Timeline,
  planFor: (incident: Incident) => Plan,
  onIncident: IncidentWatcher,
): IncidentBook {
  const { incidentQuiet: quietNs } = config.congestion;
  const iso = (ns: number): string => timeline.iso(ns);
  return new IncidentBook({ quietNs, maxIncidents: config.limits.incidents, iso, planFor }, onIncident);
}

/** Queues of one port that have been heard of within so long share it. */
const SHARED_WITHIN_NS = 1e9;
/** Of fewer reports it is no wonder when something is missing. */
const MIN_UNWATCHED_REPORTS = 16;

/** The calm counterpart of one ingest thread: it reads that thread's tables. */
export class Diagnosis {
  readonly state: SharedState;
  readonly incidents: IncidentBook;
  readonly loss: ReportLoss;
  readonly names: Names;
  readonly totals: Totals;
  readonly #congestion: CongestionDiagnosis;
  readonly #conditions: ConditionBook;
  readonly #fabric: FabricConditions;
  readonly #parts: DiagnosisParts;
  #polledNs = 0;

  constructor(parts: DiagnosisParts) {
    this.#parts = parts;
    this.state = parts.state;
    const { state, config, timeline } = parts;
    this.names = new Names(state, config.nodes);
    this.totals = new Totals(state, this.names);
    this.loss = new ReportLoss(state.sources);
    const iso = (ns: number): string => timeline.iso(ns);
    this.incidents = parts.incidents;
    this.#conditions = new ConditionBook(iso, (event, nowNs) => {
      parts.onEvent?.(event, nowNs);
      this.incidents.record(event, nowNs);
    });
    this.#fabric = new FabricConditions({
      state,
      names: this.names,
      loss: this.loss,
      conditions: this.#conditions,
      slices: config.slices.map(({ name, fabricBudget: budgetNs, objective }) => ({ name, budgetNs, objective })),
      sliceOfFlow: (row, generation) => this.#sliceOfFlow(row, generation),
      openRows: () => this.#congestion.openRows,
    });
    this.#congestion = new CongestionDiagnosis(
      {
        nextEdge: (record) => state.edges.pop(record),
        copyLog: (log, generation) => state.arrivals.copy(log, generation),
        freeLog: (log) => state.arrivals.free(log),
        queueOf: (row) => this.names.queueScope(row),
        lastWaitSeenNs: (row) => state.queues.lastWaitSeenNs(row),
        describe: (row, record) => state.queues.describeNow(row, record),
        isOpen: (row, openCount) => state.queues.isOpen(row) && state.queues.openCount(row) === openCount,
        sharesPort: (row) => this.#sharesPort(row),
        portBytesPerNs: (row) => state.queues.portBytesPerNs(row),
        isFiltered: (row) => state.queues.isFiltered(row),
        rankOf: (row, other) => this.#rankOf(state.queues.keys.keyWord(row, 2), state.queues.keys.keyWord(other, 2)),
        nodeOffsetNs: (row) => state.nodes.offsetNs(this.#nodeRowOf(row)),
        deviceTimeNs: (row, nodeNs) => {
          const nodeRow = this.#nodeRowOf(row);
          // A node without stamps counts from nowhere: the wall clock tells its events apart.
          const wallNs = (): bigint => BigInt(Math.round(timeline.unixMs(nodeNs + state.nodes.offsetNs(nodeRow)) * 1000)) * 1000n;
          return state.nodes.deviceTimeNs(nodeRow, nodeNs) ?? wallNs();
        },
        flowAt: (row, generation) => state.flows.flowAt(row, generation),
        paceOf: (row, generation) => this.#fabric.paceOf(row, generation),
        pathOf: (row, generation) =>
          state.paths.hops(row, generation, this.#polledNs / 1e6).map(({ nodeTag }) => this.names.nodePlace(nodeTag).node!),
        endsOf: ({ words }) => ({
          source: addressText(words, FlowWord.source),
          destination: addressText(words, FlowWord.destination),
          sourcePort: words[FlowWord.ports] >>> 16,
          destinationPort: destinationPortOf(words, 0),
          protocol: protocolOf(words, 0),
        }),
        ownerAt: (words, offset, atNs) => parts.ownerAt(words, offset, timeline.unixMs(atNs)),
        reportLossOf: (nodeId) => this.loss.ratioOf(nodeId),
        iso,
      },
      {
        budgetNs: config.congestion.fabricBudget,
        harmWaitNs: config.congestion.harmWait,
        sliceBudgetsNs: new Map(config.slices.map(({ name, fabricBudget }) => [name, fabricBudget])),
        silentAfterNs: config.congestion.silentAfter,
        timeoutAfterNs: config.congestion.timeoutAfter,
      },
      (event, nowNs) => this.#onEvent(event, nowNs),
    );
  }

  /** Clocks of nodes against each other, by node tag. */
  get clocks(): ReadonlyMap<number, ClockEstimate> {
    return this.#fabric.clocks;
  }

  /** Moves everything on to collector time `nowNs`. True when edges are left for the next poll. */
  poll(nowNs: number): boolean {
    this.loss.advance(nowNs);
    const isBehind = this.#congestion.poll(nowNs);
    this.#polledNs = nowNs;
    this.#fabric.poll(nowNs);
    this.incidents.advance(nowNs);
    return isBehind;
  }

  /** Brings open incidents up to what the tables say now. */
  refresh(nowNs: number): void {
    this.#congestion.refresh(nowNs);
    this.#conditions.refresh(nowNs);
  }

  /** True when nothing would come of time going by. */
  get isIdle(): boolean {
    return this.#congestion.isIdle && this.incidents.open === 0 && this.#fabric.isIdle(this.#polledNs);
  }

  /** By the classes that are configured: without them it is not known which queue is served first. */
  #rankOf(queue: number, other: number): number {
    const { classes } = this.#parts.config;
    const priorityOf = (id: number): number | undefined => classes.find((one) => one.queue === id)?.priority;
    const [own, others] = [priorityOf(queue), priorityOf(other)];
    if (own === undefined || others === undefined) return 0;
    return others > own ? 2 : others === own ? 1 : 0;
  }

  /** That of its sender, or else that of its receiver. */
  #sliceOfFlow(row: number, generation: number): string | undefined {
    const { state, timeline } = this.#parts;
    const words = state.flows.flowAt(row, generation)?.words;
    if (words === undefined) return undefined;
    const unixMs = timeline.unixMs(this.#polledNs);
    const sliceOf = (end: number): string | undefined => this.#parts.ownerAt(words, end, unixMs).slice;
    return sliceOf(FlowWord.source) ?? sliceOf(FlowWord.destination);
  }

  #sharesPort(row: number): boolean {
    const { queues } = this.#parts.state;
    const { keys } = queues;
    const since = queues.lastWaitSeenNs(row) - SHARED_WITHIN_NS;
    for (let other = 1; other <= keys.totals[0]; other++) {
      if (other === row || queues.lastWaitSeenNs(other) <= since) continue;
      if (keys.keyWord(other, 0) === keys.keyWord(row, 0) && keys.keyWord(other, 1) === keys.keyWord(row, 1)) return true;
    }
    return false;
  }

  #nodeRowOf(queueRow: number): number {
    return rowOfTag(this.#parts.state.queues.keys.keyWord(queueRow, 0));
  }

  /** What a congestion shows besides itself. */
  #raiseFrom(event: CongestionEvent, nowNs: number): void {
    const { node, nodeId, interface: name, interfaceId } = event.queue;
    const place = { node, nodeId, interface: name, interfaceId };
    const nsOf = (iso: string): number => Number(unixNsOfIso(iso) - BigInt(Math.round(this.#parts.timeline.epochUnixMs * 1e6)));
    const interval = { fromNs: nsOf(event.start), atNs: nsOf(event.lastSeen), related: [event.id] };
    const [first] = event.culprits;
    if (event.pattern === 'incast' && event.fanIn !== null && first !== undefined) {
      const summary = `${event.fanIn} senders of ${first.namespace}/${first.workload} answer one receiver at the same moment`;
      const numbers = { senders: event.fanIn };
      this.#conditions.raise(
        { kind: 'incast', place, severity: event.dropReports > 0 ? 3 : 2, summary, numbers, ...interval },
        nowNs,
      );
      if (event.state === 'closed') this.#conditions.end('incast', place, interval.atNs, nowNs);
    }
    if (event.pattern === 'unwatched' && (event.evidence.accountedReports ?? 0) >= MIN_UNWATCHED_REPORTS) {
      const share = first.buildUpShare;
      const summary = `${Math.round(share * 100)} % of what filled the queue is in no report: traffic that is not watched, pauses, or a shaper`;
      this.#conditions.raise(
        { kind: 'unexplained-wait', place, severity: 2, summary, numbers: { unseenRatio: share }, ...interval },
        nowNs,
      );
    }
  }

  #onEvent(event: CongestionEvent, nowNs: number): void {
    if (event.state === 'closed') this.totals.add(event);
    this.#parts.onEvent?.(event, nowNs);
    this.incidents.record(event, nowNs);
    this.#raiseFrom(event, nowNs);
  }
}
