// The calm side of the house as one part: shared tables in, incidents out. Wires event, culprit, victim and incident together.
// It is driven by `poll`: by a timer in the collector, by each datagram in a replay, by hand in tests.

import type { Config } from './config.ts';
import { CongestionDiagnosis } from './diagnose/congestion.ts';
import { IncidentBook, type IncidentWatcher } from './diagnose/incident.ts';
import { ConditionBook } from './diagnose/condition.ts';
import { ReportLoss } from './diagnose/report-loss.ts';
import type { CongestionEvent, FabricEvent, Incident, Owner, Plan } from './event.ts';
import { FabricConditions } from './fabric-conditions.ts';
import { rowOfTag } from './hop.ts';
import { Names } from './names.ts';
import type { SharedState } from './shared-state.ts';
import type { Timeline } from './timeline.ts';
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
    this.#conditions = new ConditionBook(iso, (event, nowNs) => parts.onEvent?.(event, nowNs));
    this.#fabric = new FabricConditions(state, this.names, this.loss, this.#conditions);
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
        nodeOffsetNs: (row) => state.nodes.offsetNs(this.#nodeRowOf(row)),
        deviceTimeNs: (row, nodeNs) => {
          const nodeRow = this.#nodeRowOf(row);
          // A node without stamps counts from nowhere: the wall clock tells its events apart.
          const wallNs = (): bigint => BigInt(Math.round(timeline.unixMs(nodeNs + state.nodes.offsetNs(nodeRow)) * 1000)) * 1000n;
          return state.nodes.deviceTimeNs(nodeRow, nodeNs) ?? wallNs();
        },
        flowAt: (row, generation) => state.flows.flowAt(row, generation),
        ownerAt: (words, offset, atNs) => parts.ownerAt(words, offset, timeline.unixMs(atNs)),
        reportLossOf: (nodeId) => this.loss.ratioOf(nodeId),
        iso,
      },
      {
        budgetNs: config.congestion.fabricBudget,
        silentAfterNs: config.congestion.silentAfter,
        timeoutAfterNs: config.congestion.timeoutAfter,
      },
      (event, nowNs) => this.#onEvent(event, nowNs),
    );
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
  }

  /** True when nothing would come of time going by. */
  get isIdle(): boolean {
    return this.#congestion.isIdle && this.incidents.open === 0 && this.#fabric.isIdle(this.#polledNs);
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

  #onEvent(event: CongestionEvent, nowNs: number): void {
    if (event.state === 'closed') this.totals.add(event);
    this.#parts.onEvent?.(event, nowNs);
    this.incidents.record(event, nowNs);
  }
}
