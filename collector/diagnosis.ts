// The calm side of the house as one part: shared tables in, incidents out. Wires event, culprit, victim and incident together.
// It is driven by `poll`: by a timer in the collector, by each datagram in a replay, by hand in tests.

import type { Config } from './config.ts';
import { CongestionDiagnosis } from './diagnose/congestion.ts';
import { IncidentBook, type IncidentWatcher } from './diagnose/incident.ts';
import { ReportLoss } from './diagnose/report-loss.ts';
import { EVENT_KINDS, queueKeyOf, type CongestionEvent, type Incident, type Owner, type Plan, type QueueScope } from './event.ts';
import { sourceKeyOf } from './pipeline.ts';
import type { SharedState } from './shared-state.ts';
import type { Timeline } from './timeline.ts';

export interface DiagnosisParts {
  state: SharedState;
  config: Config;
  timeline: Timeline;
  ownerAt(words: Uint32Array, offset: number, unixMs: number): Owner;
  planFor: (incident: Incident) => Plan;
  onIncident: IncidentWatcher;
}

/** Names of workloads are free text from outside: this many are told apart in counters, the rest is "others". */
const MAX_WORKLOADS = 2000;
/** Queues of one port that have been heard of within so long share it. */
const SHARED_WITHIN_NS = 1e9;

/** Running totals per workload, for counters. */
export interface WorkloadTotals {
  namespace: string;
  workload: string;
  /** Wait that it suffered, and wait of others during build-ups that it led, ns. */
  excessWaitNs: number;
  blameNs: number;
}

export class Diagnosis {
  readonly incidents: IncidentBook;
  readonly loss: ReportLoss;
  readonly workloads = new Map<string, WorkloadTotals>();
  readonly #congestion: CongestionDiagnosis;
  readonly #parts: DiagnosisParts;
  readonly #nodeNames: Map<number, Config['nodes'][number]>;
  readonly #rowOfScope = new Map<string, number>();
  /** Closed events by queue row and kind, and the owner of the row that they were counted for. */
  readonly #closedEvents: Float64Array;
  readonly #closedGeneration: Int32Array;

  constructor(parts: DiagnosisParts) {
    this.#parts = parts;
    const { state, config, timeline } = parts;
    this.#nodeNames = new Map(config.nodes.map((node) => [node.id, node]));
    this.loss = new ReportLoss(state.sources);
    this.#closedEvents = new Float64Array(state.queues.keys.capacity * EVENT_KINDS.length);
    this.#closedGeneration = new Int32Array(state.queues.keys.capacity);
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
        queueOf: (row) => this.queueScope(row),
        lastWaitSeenNs: (row) => state.queues.lastWaitSeenNs[row],
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

  /** True when nothing would come of time going by. */
  get isIdle(): boolean {
    return this.#congestion.isIdle && this.incidents.open === 0;
  }

  /** Name of the node in a node row: from the configuration, else its id, else the stand-in for a source without ids. */
  nodeName(nodeRow: number): string {
    if (nodeRow === 0) return 'others';
    const { keys, keyWords } = this.#parts.state.nodes.keys;
    const id = keys[nodeRow * keyWords];
    return id === 0 ? sourceName(keys[nodeRow * keyWords + 1]) : this.#nameOfId(id);
  }

  /** Name of the node behind a row of the sequence table. */
  sourceNodeName(row: number): string {
    const { keys, keyWords } = this.#parts.state.sources.keys;
    const at = row * keyWords;
    const id = keys[at + 4];
    return id === 0 ? sourceName(sourceKeyOf(keys, at)) : this.#nameOfId(id);
  }

  #nameOfId(id: number): string {
    return this.#nodeNames.get(id)?.name ?? String(id);
  }

  /** Rows of queues whose node is still in the node table. */
  queueRows(): number[] {
    const { queues, nodes } = this.#parts.state;
    const { keys, keyWords } = queues.keys;
    return queues.keys.usedRows().filter((row) => nodes.keys.generation[keys[row * keyWords]] === keys[row * keyWords + 1]);
  }

  /** The queue in a queue row, with names. Row 0 is what found no room. */
  queueScope(row: number): QueueScope {
    if (row === 0) return { node: 'others', nodeId: 0, interface: 'others', interfaceId: 0, queue: 0 };
    const { queues, nodes } = this.#parts.state;
    const { keys, keyWords } = queues.keys;
    const nodeRow = keys[row * keyWords];
    const interfaceId = keys[row * keyWords + 2];
    const nodeId = nodes.keys.keys[nodeRow * nodes.keys.keyWords];
    const name = this.#nodeNames.get(nodeId)?.interfaces[String(interfaceId)] ?? String(interfaceId);
    const scope = { node: this.nodeName(nodeRow), nodeId, interface: name, interfaceId, queue: keys[row * keyWords + 3] };
    if (this.#rowOfScope.size >= 2 * queues.keys.capacity) this.#rowOfScope.clear();
    this.#rowOfScope.set(queueKeyOf(scope), row);
    return scope;
  }

  /** Row of a queue that an event named; undefined for one not seen lately. */
  queueRowOf(scope: QueueScope): number | undefined {
    const key = queueKeyOf(scope);
    const row = this.#rowOfScope.get(key);
    // The row may have passed to another queue meanwhile.
    return row !== undefined && queueKeyOf(this.queueScope(row)) === key ? row : undefined;
  }

  /** Events of a queue that have closed, by kind. */
  closedEvents(row: number, kind: CongestionEvent['kind']): number {
    if (this.#closedGeneration[row] !== this.#parts.state.queues.keys.generation[row]) return 0;
    return this.#closedEvents[row * EVENT_KINDS.length + EVENT_KINDS.indexOf(kind)];
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
    if (event.state === 'closed') this.#addUp(event);
    this.incidents.record(event, nowNs);
  }

  #addUp(event: CongestionEvent): void {
    this.#countClosed(event);
    const harmNs = event.victims.reduce((sum, victim) => sum + victim.excessWaitSumNs, 0);
    const ownHarm = new Map<WorkloadTotals, number>();
    for (const victim of event.victims) {
      const totals = this.#totalsOf(victim.namespace, victim.workload);
      totals.excessWaitNs += victim.excessWaitSumNs;
      ownHarm.set(totals, victim.excessWaitSumNs);
    }
    for (const culprit of event.culprits) {
      if (culprit.kind === 'unknown') continue;
      const totals = this.#totalsOf(culprit.namespace, culprit.workload);
      totals.blameNs += (harmNs - (ownHarm.get(totals) ?? 0)) * culprit.buildUpShare;
    }
  }

  #countClosed(event: CongestionEvent): void {
    const row = this.queueRowOf(event.queue);
    if (row === undefined) return;
    const kinds = EVENT_KINDS.length;
    const generation = this.#parts.state.queues.keys.generation[row];
    if (this.#closedGeneration[row] !== generation) this.#closedEvents.fill(0, row * kinds, (row + 1) * kinds);
    this.#closedGeneration[row] = generation;
    this.#closedEvents[row * kinds + EVENT_KINDS.indexOf(event.kind)]++;
  }

  #totalsOf(namespace: string, workload: string): WorkloadTotals {
    const key = `${namespace}/${workload}`;
    const known = this.workloads.get(key);
    if (known !== undefined) return known;
    if (this.workloads.size >= MAX_WORKLOADS) return this.#totalsOf('others', 'others');
    const totals = { namespace, workload, excessWaitNs: 0, blameNs: 0 };
    this.workloads.set(key, totals);
    return totals;
  }
}

/** Stands for an exporter that sends no node id. */
function sourceName(sourceKey: number): string {
  return `source-${sourceKey.toString(16)}`;
}
