// What is wrong with the fabric or its telemetry besides congestion: the tables of one ingest thread in, conditions out. Wires the detectors together
// and gives each the narrow view that it needs.
//
//   moves ─▶ path-change, loop      drops ─▶ loss      histories ─▶ silent-loss, link-flap, clock-fault
//   flows ─▶ blackhole, imbalance, who still forwards ─▶ silent-switch      sequence numbers ─▶ telemetry-degraded

import { addressText } from './address.ts';
import { BlackholeDetector } from './diagnose/blackhole.ts';
import { BudgetDetector, type SliceGoal } from './diagnose/budget.ts';
import type { ConditionBook } from './diagnose/condition.ts';
import { FlowSweep, type FlowVisit } from './diagnose/flow-sweep.ts';
import { ImbalanceDetector, type Way } from './diagnose/imbalance.ts';
import { LinkClocks, type LinkDelays } from './diagnose/link-clocks.ts';
import { LinkLossDetector, type LinkCounts } from './diagnose/link-loss.ts';
import { LossDetector } from './diagnose/loss.ts';
import { MisplacedDetector, type Misplaced } from './diagnose/misplaced.ts';
import { PathChangeDetector } from './diagnose/path-change.ts';
import { QuotaDetector, type OpenQueue } from './diagnose/quota.ts';
import type { ReportLoss } from './diagnose/report-loss.ts';
import { TelemetryDetector, type ExporterCounts } from './diagnose/telemetry.ts';
import type { Place } from './event.ts';
import { FlowWord } from './flow-key.ts';
import { rowOfTag } from './hop.ts';
import type { Names } from './names.ts';
import { DELAY_SLOT_NS } from './observe/port.ts';
import { STITCH_NS } from './observe/stitch.ts';
import type { SharedState } from './shared-state.ts';

/** How often what is known of links is put together anew. */
const REVIEW_NS = 100e6;
/** An interface that carried nothing for so long is no way any more. */
const WAY_NS = 60e9;
const ASSIGN_MS = 1000;
/** What lies behind an interface is known after so many reports, if it is a node; otherwise hosts are there. */
const EDGE_REPORTS = 20;
/** Routing leaves a node that died within this, or has left it so shortly before it was last heard of. */
const AVOIDED_NS = 2e9;

interface Link {
  row: number;
  nodeTag: number;
  peerTag: number;
  /** Row of the interface that leads back; undefined while nothing has left by it. */
  back: number | undefined;
}

export interface FabricConditionParts {
  state: SharedState;
  names: Names;
  loss: ReportLoss;
  conditions: ConditionBook;
  slices: readonly SliceGoal[];
  /** Name of the slice of a flow, as of now; undefined when it is in none, or that is not known. */
  sliceOfFlow: (row: number, generation: number) => string | undefined;
  /** Rows of queues with open events. */
  openRows: () => number[];
}

export class FabricConditions {
  readonly #state: SharedState;
  readonly #names: Names;
  readonly #loss: ReportLoss;
  readonly #conditions: ConditionBook;
  readonly #sweep: FlowSweep;
  readonly #blackhole: BlackholeDetector;
  readonly #imbalance: ImbalanceDetector;
  readonly #detectors: { poll(nowNs: number): void }[];
  readonly #sliceOfFlow: FabricConditionParts['sliceOfFlow'];
  readonly #sliceNumbers: Map<string, number>;
  /** By flow row, ms. */
  readonly #assignedMs: Float64Array;
  #links: Link[] = [];
  /** Nodes that packets leave towards something that is no node: hosts are there. */
  #edgeNodes = new Set<number>();
  #reviewedNs = -Infinity;
  #nowNs = 0;
  /** By node: newest time at which a packet that goes by it was seen behind it, ns. */
  readonly #forwardedNs = new Map<number, number>();
  /** By node: newest time at which a flow went elsewhere instead of to it, ns. */
  #movedNs = -Infinity;
  readonly #leftNs = new Map<number, number>();
  /** By row of an interface: newest time at which a flow left it for another, ns. */
  readonly #leftPortNs = new Map<number, number>();

  constructor({ state, names, loss, conditions, slices, sliceOfFlow, openRows }: FabricConditionParts) {
    this.#state = state;
    this.#sliceOfFlow = sliceOfFlow;
    this.#sliceNumbers = new Map(slices.map(({ name }, i) => [name, i + 1]));
    this.#assignedMs = new Float64Array(state.flows.keys.capacity);
    this.#names = names;
    this.#loss = loss;
    this.#conditions = conditions;
    const { flows, paths, ports, drops, moves } = state;
    this.#blackhole = new BlackholeDetector(
      {
        hasPeer: (row) => ports.hasPeer(row),
        placeOfPort: (row) => names.portPlace(row),
        destinationOf: (row, generation) => {
          const key = flows.flowAt(row, generation)?.words;
          return key?.slice(FlowWord.destination, FlowWord.destination + 4);
        },
        addressText: (words) => addressText(words, 0),
        reportLossOf: (row) => this.#peerReportLoss(row),
        peerHeardNs: (row) => this.#peerHeardNs(row),
      },
      conditions,
      flows.keys.capacity,
    );
    this.#imbalance = new ImbalanceDetector(() => this.#ways(), conditions);
    this.#sweep = new FlowSweep(
      {
        rows: () => flows.keys.totals[0] + 1,
        generationOf: (row) => flows.keys.generationOf(row),
        hops: (row, generation) => paths.hops(row, generation),
        bytes: (row, generation) => paths.bytes(row, generation),
        capacity: flows.keys.capacity,
      },
      (flow, nowNs) => this.#visit(flow, nowNs),
    );
    this.#detectors = [
      new PathChangeDetector(
        {
          nextMove: (record) => moves.pop(record),
          placeOfNode: (tag) => names.nodePlace(tag),
          interfaceOf: (row) => names.portPlace(row).interface!,
          leftBehind: (row, atNs) => {
            this.#movedNs = atNs;
            this.#leftPortNs.set(row, atNs);
            const peer = ports.peer(row);
            if (peer !== undefined) this.#leftNs.set(peer.nodeTag, atNs);
          },
        },
        conditions,
      ),
      new BudgetDetector(
        slices,
        { packets: (slice) => state.slices.packets(slice), late: (slice) => state.slices.latePackets(slice) },
        conditions,
      ),
      new QuotaDetector(() => this.#openQueues(openRows()), state.memory.thresholds.closeWaitNs, conditions),
      new MisplacedDetector(() => this.#misplaced(), conditions),
      new LossDetector(
        {
          rows: () => drops.keys.usedRows(),
          placeOf: (row) => this.#dropPlace(row),
          reports: (row) => drops.reports(row),
          flows: (row) => drops.flows(row),
          lastNs: (row) => drops.lastNs(row),
        },
        conditions,
      ),
      new LinkLossDetector(
        {
          links: () => this.#linkCounts(),
          isBlackhole: (row) => this.#blackhole.isSuspect(row),
          lastMoveNs: () => this.#movedNs,
        },
        conditions,
      ),
      new LinkClocks(
        { pairs: () => this.#linkPairs(), placeOfNode: (tag) => names.nodePlace(tag), slotNs: DELAY_SLOT_NS, lagNs: STITCH_NS },
        conditions,
      ),
      new TelemetryDetector(
        {
          exporters: () => this.#exporters(),
          nodes: () => this.#nodes(),
          neighboursSee: (tag, sinceNs) => this.#neighboursSee(tag, sinceNs),
        },
        conditions,
      ),
    ];
  }

  poll(nowNs: number): void {
    this.#nowNs = nowNs;
    if (nowNs - this.#reviewedNs >= REVIEW_NS) this.#review(nowNs);
    this.#sweep.poll(nowNs);
    this.#blackhole.poll(nowNs);
    this.#imbalance.poll(nowNs);
    for (const detector of this.#detectors) detector.poll(nowNs);
    this.#conditions.advance(nowNs);
  }

  /** Octets per ns that a flow used to send; 0 when it was not there before. */
  paceOf(row: number, generation: number): number {
    return this.#sweep.paceOf(row, generation);
  }

  /** True when nothing would come of time going by: no condition is open, and no node has spoken lately. */
  isIdle(nowNs: number): boolean {
    if (this.#conditions.open > 0) return false;
    const { nodes } = this.#state;
    return nodes.keys.usedRows().every((row) => nowNs - nodes.lastReportNs(row) > 10e9);
  }

  #visit(flow: FlowVisit, nowNs: number): void {
    this.#assignSlice(flow);
    this.#blackhole.visit(flow, nowNs);
    this.#imbalance.visit(flow, nowNs);
    let behindMs = 0;
    for (let i = flow.hops.length - 1; i >= 0; i--) {
      const hop = flow.hops[i];
      const isDetour = flow.hops.some((other) => other !== hop && other.ttl === hop.ttl && other.seenMs > hop.seenMs);
      if (!isDetour) this.#forwardedNs.set(hop.nodeTag, Math.max(this.#forwardedNs.get(hop.nodeTag) ?? 0, behindMs * 1e6));
      behindMs = Math.max(behindMs, hop.seenMs);
    }
  }

  /** Owners come and go: what a flow belongs to is asked again now and then. */
  #assignSlice({ row, generation, seenMs }: FlowVisit): void {
    if (this.#sliceNumbers.size === 0) return;
    const { slices } = this.#state;
    const isKnown = slices.generationOfFlow[row] === generation && slices.sliceOfFlow[row] !== 0;
    if (isKnown && seenMs - this.#assignedMs[row] < ASSIGN_MS) return;
    this.#assignedMs[row] = seenMs;
    const name = this.#sliceOfFlow(row, generation);
    slices.assign(row, generation, name === undefined ? 0 : (this.#sliceNumbers.get(name) ?? 0));
  }

  #openQueues(rows: readonly number[]): OpenQueue[] {
    const { queues } = this.#state;
    return rows
      .filter((row) => queues.isOfQueue(row))
      .map((row) => {
        const { node, nodeId } = this.#names.queueScope(row);
        const loss = this.#loss.ratioOf(nodeId) ?? 0;
        const [reports, lastWaitNs, lastSeenNs] = [queues.eventReports(row), queues.lastWaitNs(row), queues.lastWaitSeenNs(row)];
        return { row, place: { node, nodeId }, reports, reportLoss: loss, lastWaitNs, lastSeenNs };
      });
  }

  #misplaced(): Misplaced[] {
    const { nodes, classes } = this.#state;
    return nodes.keys
      .usedRows()
      .map((row) => ({ row, place: this.#names.nodePlace(this.#names.tagOfNode(row)), ...classes.misplaced(row) }));
  }

  #neighboursSee(tag: number, sinceNs: number): 'forwarding' | 'swallowing' | 'avoided' | undefined {
    if ((this.#forwardedNs.get(tag) ?? 0) > sinceNs) return 'forwarding';
    const isSentTo = this.#links.some(({ row, peerTag }) => peerTag === tag && this.#state.ports.lastNs(row) > sinceNs);
    if (isSentTo) return 'swallowing';
    return (this.#leftNs.get(tag) ?? -Infinity) > sinceNs - AVOIDED_NS ? 'avoided' : undefined;
  }

  #review(nowNs: number): void {
    this.#reviewedNs = nowNs;
    const { ports } = this.#state;
    const { keys } = ports;
    const rows = keys.usedRows();
    const rowOf = new Map(rows.map((row) => [`${keys.keyWord(row, 0)}/${keys.keyWord(row, 1)}`, row]));
    this.#edgeNodes = new Set<number>();
    this.#links = [];
    for (const row of rows) {
      const peer = ports.peer(row);
      const nodeTag = keys.keyWord(row, 0);
      if (peer !== undefined) {
        const back = rowOf.get(`${peer.nodeTag}/${peer.ingressInterfaceId}`);
        this.#links.push({ row, nodeTag, peerTag: peer.nodeTag, back });
      } else if (ports.reports(row) >= EDGE_REPORTS) this.#edgeNodes.add(nodeTag);
    }
  }

  #dropPlace(row: number): { place: Place; reason: number } {
    const { keys } = this.#state.drops;
    const place = this.#names.interfacePlace(keys.keyWord(row, 0), keys.keyWord(row, 1));
    return { place, reason: keys.keyWord(row, 2) };
  }

  #peerReportLoss(row: number): number {
    const peer = this.#state.ports.peer(row);
    return peer === undefined ? 0 : (this.#loss.ratioOf(this.#names.nodePlace(peer.nodeTag).nodeId!) ?? 0);
  }

  #peerHeardNs(row: number): number {
    const peer = this.#state.ports.peer(row);
    return peer === undefined ? -Infinity : this.#state.nodes.lastReportNs(rowOfTag(peer.nodeTag));
  }

  #linkCounts(): LinkCounts[] {
    const { ports } = this.#state;
    const lost = new Map<number, number>();
    for (const { nodeTag, expected, received } of this.#exporters())
      lost.set(nodeTag, (lost.get(nodeTag) ?? 0) + (expected - received) * this.#reportsPerDatagram(nodeTag, received));
    return this.#links.map(({ row, nodeTag, peerTag, back }) => ({
      row,
      place: this.#names.portPlace(row),
      peer: this.#names.nodePlace(peerTag),
      peerIsCore: this.#edgeNodes.has(nodeTag) && !this.#edgeNodes.has(peerTag),
      peerPlace: back === undefined ? undefined : this.#names.portPlace(back),
      followed: ports.followed(row),
      unseen: ports.unseen(row),
      resent: ports.resent(row),
      peerReportLoss: this.#peerReportLoss(row),
      peerReportsLost: lost.get(rowOfTag(peerTag)) ?? 0,
      leftNs: this.#leftPortNs.get(row) ?? -Infinity,
    }));
  }

  #reportsPerDatagram(nodeRow: number, datagrams: number): number {
    return Math.max(1, this.#state.nodes.reports(nodeRow) / Math.max(1, datagrams));
  }

  #linkPairs(): LinkDelays[] {
    const { ports } = this.#state;
    return this.#links.flatMap(({ row, nodeTag, peerTag, back }) =>
      back === undefined || back < row || !ports.hasPeer(back)
        ? []
        : [
            {
              fromTag: nodeTag,
              toTag: peerTag,
              thereNs: (slot: number) => ports.leastDelayNs(row, slot),
              backNs: (slot: number) => ports.leastDelayNs(back, slot),
            },
          ],
    );
  }

  /** Upwards all ways are equal; towards one neighbour all links are. A link that only its other direction shows is a way, too. */
  #ways(): Way[] {
    const { ports } = this.#state;
    const ways = new Map<string, Way>();
    const add = (nodeTag: number, interfaceId: number, peerTag: number, portRow: number, bytes: number, rate: number): void => {
      const key = `${nodeTag}/${interfaceId}`;
      if (ways.has(key) && bytes === 0) return;
      const isUp = this.#edgeNodes.has(nodeTag) && !this.#edgeNodes.has(peerTag);
      ways.set(key, {
        portRow,
        place: this.#names.interfacePlace(nodeTag, interfaceId),
        group: `${nodeTag}/${isUp ? 'up' : peerTag}`,
        node: this.#names.nodePlace(nodeTag),
        bytes,
        rate,
        reportLoss: this.#loss.ratioOf(this.#names.nodePlace(nodeTag).nodeId!) ?? 0,
      });
    };
    this.#links.forEach(({ row, nodeTag, peerTag }, i) => {
      const peer = ports.peer(row);
      if (peer === undefined || this.#nowNs - ports.lastNs(row) > WAY_NS) return;
      add(nodeTag, ports.keys.keyWord(row, 1), peerTag, row, ports.bytes(row), ports.bytesPerNs(row));
      add(peer.nodeTag, peer.ingressInterfaceId, nodeTag, -1 - i, 0, 0);
    });
    return [...ways.values()];
  }

  #exporters(): ExporterCounts[] {
    const { sources, nodes } = this.#state;
    const tags = new Map(nodes.keys.usedRows().map((row) => [this.#names.nodeName(row), row]));
    return sources.keys.usedRows().flatMap((row) => {
      if (sources.uncounted(row) !== 0) return [];
      const node = this.#names.sourceNodeName(row);
      const nodeRow = tags.get(node) ?? 0;
      const place = { node, nodeId: nodes.keys.keyWord(nodeRow, 0) };
      return [{ row, place, nodeTag: nodeRow, expected: sources.expected(row), received: sources.received(row) }];
    });
  }

  #nodes(): { tag: number; place: Place; reports: number; lastReportNs: number }[] {
    const { nodes } = this.#state;
    return nodes.keys.usedRows().flatMap((row) => {
      const tag = this.#names.tagOfNode(row);
      const reports = nodes.reports(row);
      return reports === 0 ? [] : [{ tag, place: this.#names.nodePlace(tag), reports, lastReportNs: nodes.lastReportNs(row) }];
    });
  }
}
