// The calm side of the house as one part: shared tables in, incidents out. Wires event, culprit, victim and incident together.
// It is driven by `poll`: by a timer in the collector, by each datagram in a replay, by hand in tests.

import type { Config } from './config.ts';
import { CongestionDiagnosis } from './diagnose/congestion.ts';
import { IncidentBook, type IncidentWatcher } from './diagnose/incident.ts';
import { ReportLoss } from './diagnose/report-loss.ts';
import type { CongestionEvent, Incident, Owner, Plan } from './event.ts';
import { Names } from './names.ts';
import type { SharedState } from './shared-state.ts';
import type { Timeline } from './timeline.ts';
import { Totals } from './totals.ts';

export interface DiagnosisParts {
  state: SharedState;
  config: Config;
  timeline: Timeline;
  ownerAt(words: Uint32Array, offset: number, unixMs: number): Owner;
  planFor: (incident: Incident) => Plan;
  onIncident: IncidentWatcher;
}

/** Queues of one port that have been heard of within so long share it. */
const SHARED_WITHIN_NS = 1e9;

export class Diagnosis {
  readonly incidents: IncidentBook;
  readonly loss: ReportLoss;
  readonly names: Names;
  readonly totals: Totals;
  readonly #congestion: CongestionDiagnosis;
  readonly #parts: DiagnosisParts;

  constructor(parts: DiagnosisParts) {
    this.#parts = parts;
    const { state, config, timeline } = parts;
    this.names = new Names(state, config.nodes);
    this.totals = new Totals(state, this.names);
    this.loss = new ReportLoss(state.sources);
    const iso = (ns: number): string => timeline.iso(ns);
    this.incidents = new IncidentBook(
      { quietNs: config.congestion.incidentQuiet, maxIncidents: config.limits.incidents, iso, planFor: parts.planFor },
      parts.onIncident,
    );
    this.#congestion = new CongestionDiagnosis(
      {
        nextEdge: (record) => state.edges.pop(record),
        copyLog: (log, generation) => state.arrivals.copy(log, generation),
        freeLog: (log) => state.arrivals.free(log),
        queueOf: (row) => this.names.queueScope(row),
        lastWaitSeenNs: (row) => state.queues.lastWaitSeenNs[row],
        describe: (row, record) => state.queues.describe(row, record),
        isOpen: (row, openCount) => state.queues.open[row] === 1 && state.queues.openCount[row] === openCount,
        sharesPort: (row) => this.#sharesPort(row),
        portBytesPerNs: (row) => state.queues.portBytesPerNs[row],
        nodeOffsetNs: (row) => state.nodes.offsetNs[this.#nodeRowOf(row)],
        deviceTimeNs: (row, nodeNs) => {
          const nodeRow = this.#nodeRowOf(row);
          // A node without stamps counts from nowhere: the wall clock tells its events apart.
          const wallNs = (): bigint => BigInt(Math.round(timeline.unixMs(nodeNs + state.nodes.offsetNs[nodeRow]) * 1000)) * 1000n;
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
    this.incidents.advance(nowNs);
    return isBehind;
  }

  /** Brings open incidents up to what the tables say now. */
  refresh(nowNs: number): void {
    this.#congestion.refresh(nowNs);
  }

  /** True when nothing would come of time going by. */
  get isIdle(): boolean {
    return this.#congestion.isIdle && this.incidents.open === 0;
  }

  #sharesPort(row: number): boolean {
    const { keys: table, lastWaitSeenNs } = this.#parts.state.queues;
    const { keys, keyWords } = table;
    const since = lastWaitSeenNs[row] - SHARED_WITHIN_NS;
    const at = row * keyWords;
    for (let other = 1; other <= table.totals[0]; other++) {
      if (other === row || lastWaitSeenNs[other] <= since) continue;
      const o = other * keyWords;
      if (keys[o] === keys[at] && keys[o + 1] === keys[at + 1] && keys[o + 2] === keys[at + 2]) return true;
    }
    return false;
  }

  #nodeRowOf(queueRow: number): number {
    const { keys, keyWords } = this.#parts.state.queues.keys;
    return keys[queueRow * keyWords];
  }

  #onEvent(event: CongestionEvent, nowNs: number): void {
    if (event.state === 'closed') this.totals.add(event);
    this.incidents.record(event, nowNs);
  }
}
