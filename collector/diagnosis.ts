// The calm side of the house as one part: shared tables in, incidents out. Wires event, culprit, victim and incident together.
// It is driven by `poll`: by a timer in the collector, by each datagram in a replay, by hand in tests.

import type { Config } from './config.ts';
import { CongestionDiagnosis } from './diagnose/congestion.ts';
import { IncidentBook, type IncidentWatcher } from './diagnose/incident.ts';
import { ReportLoss } from './diagnose/report-loss.ts';
import type { CongestionEvent, Incident, Owner, Plan, QueueScope } from './event.ts';
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
  /** Closed events by queue row and kind, `row/kind`. */
  readonly closedEvents = new Map<string, number>();
  readonly #congestion: CongestionDiagnosis;
  readonly #parts: DiagnosisParts;
  readonly #nodeNames: Map<number, Config['nodes'][number]>;
  readonly #rowOfScope = new Map<string, number>();

  constructor(parts: DiagnosisParts) {
    this.#parts = parts;
    const { state, config, timeline } = parts;
    this.#nodeNames = new Map(config.nodes.map((node) => [node.id, node]));
    this.loss = new ReportLoss(state.sources);
    const iso = (ns: number): string => timeline.iso(ns);
    this.incidents = new IncidentBook(
      { quietNs: config.congestion.incidentQuiet, maxIncidents: config.limits.incidents, iso, planFor: parts.planFor },
      parts.onIncident,
    );
    this.#congestion = new CongestionDiagnosis(
      {
        nextEdge: (record) => state.edges.pop(record),
        copyLog: (log) => state.arrivals.copy(log),
        freeLog: (log) => state.arrivals.free(log),
        queueOf: (row) => this.queueScope(row),
        queueLastSeenNs: (row) => state.queues.keys.lastSeenNs[row],
        portBytesPerNs: (row) => state.queues.portBytesPerNs[row],
        nodeOffsetNs: (row) => state.nodes.offsetNs[this.#nodeRowOf(row)],
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

  /** Moves everything on to collector time `nowNs`. */
  poll(nowNs: number): void {
    this.loss.advance(nowNs);
    this.#congestion.poll(nowNs);
    this.incidents.advance(nowNs);
  }

  /** Name of the node in a node row: from the configuration, else its id, else the stand-in for a source without ids. */
  nodeName(nodeRow: number): string {
    if (nodeRow === 0) return 'others';
    const { keys, keyWords } = this.#parts.state.nodes.keys;
    const id = keys[nodeRow * keyWords];
    if (id === 0) return `source-${keys[nodeRow * keyWords + 1].toString(16)}`;
    return this.#nodeNames.get(id)?.name ?? String(id);
  }

  /** Name of the node with this id. */
  nodeNameOfId(id: number): string {
    return this.#nodeNames.get(id)?.name ?? String(id);
  }

  /** The queue in a queue row, with names. Row 0 is what found no room. */
  queueScope(row: number): QueueScope {
    if (row === 0) return { node: 'others', nodeId: 0, interface: 'others', interfaceId: 0, queue: 0 };
    const { keys, keyWords } = this.#parts.state.queues.keys;
    const nodeRow = keys[row * keyWords];
    const interfaceId = keys[row * keyWords + 1];
    const nodeId = this.#parts.state.nodes.keys.keys[nodeRow * this.#parts.state.nodes.keys.keyWords];
    const name = this.#nodeNames.get(nodeId)?.interfaces[String(interfaceId)] ?? String(interfaceId);
    const scope = { node: this.nodeName(nodeRow), nodeId, interface: name, interfaceId, queue: keys[row * keyWords + 2] };
    this.#rowOfScope.set(`${nodeId}/${interfaceId}/${scope.queue}`, row);
    return scope;
  }

  /** Row of a queue that an event named; undefined for one never seen. */
  queueRowOf(scope: QueueScope): number | undefined {
    return this.#rowOfScope.get(`${scope.nodeId}/${scope.interfaceId}/${scope.queue}`);
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
    const row = this.queueRowOf(event.queue) ?? 0;
    const key = `${row}/${event.kind}`;
    this.closedEvents.set(key, (this.closedEvents.get(key) ?? 0) + 1);
    let harmNs = 0;
    for (const victim of event.victims) {
      harmNs += victim.excessWaitSumNs;
      this.#totalsOf(victim.namespace, victim.workload).excessWaitNs += victim.excessWaitSumNs;
    }
    for (const culprit of event.culprits) {
      if (culprit.kind === 'unknown') continue;
      this.#totalsOf(culprit.namespace, culprit.workload).blameNs += harmNs * culprit.buildUpShare;
    }
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
