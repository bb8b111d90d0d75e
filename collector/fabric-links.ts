// What is known of the links between nodes, put together from the tables of one ingest thread: who is whose neighbour, what went by each link and was seen
// behind it, which flows left it, who was heard of when.
//
//   interfaces · flows · moves · sequence numbers ─▶ links ─▶ the narrow views that detectors have of them
//
// Rule: names are made when there is something to tell; what is asked at each poll are numbers.

import type { LinkDelays } from './diagnose/link-clocks.ts';
import type { LinkUse } from './diagnose/link-flap.ts';
import type { LinkCounts } from './diagnose/link-loss.ts';
import type { FlowVisit } from './diagnose/flow-sweep.ts';
import type { Way } from './diagnose/imbalance.ts';
import type { ReportLoss } from './diagnose/report-loss.ts';
import type { ExporterCounts } from './diagnose/telemetry.ts';
import type { Place } from './event.ts';
import { rowOfTag } from './hop.ts';
import type { Names } from './names.ts';
import type { SharedState } from './shared-state.ts';

/** How often what is known of links is put together anew. */
const REVIEW_NS = 100e6;
/** An interface that carried nothing for so long is no way any more. */
const WAY_NS = 60e9;
/** What lies behind an interface is known after so many reports, if it is a node; otherwise hosts are there. */
const EDGE_REPORTS = 20;
/** Routing leaves a node that died within this, or has left it so shortly before it was last heard of. */
const AVOIDED_NS = 2e9;
/** Flows that leave an interface within this do so together. */
const WAVE_NS = 1e9;
const MAX_WAVE_FLOWS = 16;

interface Link {
  row: number;
  nodeTag: number;
  peerTag: number;
  /** Row of the interface that leads back; undefined while nothing has left by it. */
  back: number | undefined;
}

/** An exporter whose reports are numbered in order, and the row of its node. */
interface Exporter {
  row: number;
  nodeRow: number;
  place: Place;
}

export class FabricLinks {
  readonly #state: SharedState;
  readonly #names: Names;
  readonly #loss: ReportLoss;
  #links: Link[] = [];
  #exporters: Exporter[] = [];
  /** Nodes that packets leave towards something that is no node: hosts are there. */
  #edgeNodes = new Set<number>();
  #reviewedNs = -Infinity;
  #nowNs = 0;
  /** By node: newest time at which a packet that goes by it was seen behind it, and at which a flow went elsewhere instead of to it, ns. */
  readonly #forwardedNs = new Map<number, number>();
  readonly #leftNs = new Map<number, number>();
  /** By row of an interface: newest time at which a flow left it for another, ns, and those that did so together. */
  readonly #leftPorts = new Map<number, { ns: number; flows: Set<number> }>();
  /** By node tag: share of its reports that do not arrive. */
  #reportLoss = new Map<number, number>();
  /** Rows of interfaces whose reports tell of changes only. */
  readonly #filteredPorts = new Set<number>();

  constructor(state: SharedState, names: Names, loss: ReportLoss) {
    this.#state = state;
    this.#names = names;
    this.#loss = loss;
  }

  poll(nowNs: number): void {
    this.#nowNs = nowNs;
    if (nowNs - this.#reviewedNs >= REVIEW_NS) this.#review(nowNs);
  }

  #review(nowNs: number): void {
    this.#reviewedNs = nowNs;
    this.#exporters = this.#listExporters();
    this.#forget();
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

  /** A flow as it is now: who forwards it, and whether their reports are filtered. */
  visit({ hops }: FlowVisit): void {
    let behindMs = 0;
    for (let i = hops.length - 1; i >= 0; i--) {
      const hop = hops[i];
      if (hop.isFiltered) this.#filteredPorts.add(hop.portRow);
      else this.#filteredPorts.delete(hop.portRow);
      const isDetour = hops.some((other) => other !== hop && other.ttl === hop.ttl && other.seenMs > hop.seenMs);
      if (!isDetour) this.#forwardedNs.set(hop.nodeTag, Math.max(this.#forwardedNs.get(hop.nodeTag) ?? 0, behindMs * 1e6));
      behindMs = Math.max(behindMs, hop.seenMs);
    }
  }

  /** A flow does not leave by this interface any more. */
  leave(row: number, flowRow: number, atNs: number): void {
    const before = this.#leftPorts.get(row);
    const flows = before !== undefined && atNs - before.ns < WAVE_NS ? before.flows : new Set<number>();
    if (flows.size < MAX_WAVE_FLOWS) flows.add(flowRow);
    this.#leftPorts.set(row, { ns: atNs, flows });
    const peer = this.#state.ports.peer(row);
    if (peer !== undefined) this.#leftNs.set(peer.nodeTag, atNs);
  }

  /** What the neighbours of a node saw since. */
  neighboursSee(tag: number, sinceNs: number): 'forwarding' | 'swallowing' | 'avoided' | undefined {
    if ((this.#forwardedNs.get(tag) ?? 0) > sinceNs) return 'forwarding';
    const isSentTo = this.#links.some(({ row, peerTag }) => peerTag === tag && this.#state.ports.lastNs(row) > sinceNs);
    if (isSentTo) return 'swallowing';
    return (this.#leftNs.get(tag) ?? -Infinity) > sinceNs - AVOIDED_NS ? 'avoided' : undefined;
  }

  /** Share of the reports of the node behind an interface that do not arrive. */
  peerReportLoss(row: number): number {
    const peer = this.#state.ports.peer(row);
    return peer === undefined ? 0 : this.#reportLossOf(peer.nodeTag);
  }

  /** Collector time when the node behind an interface was last heard of, ns. */
  peerHeardNs(row: number): number {
    const peer = this.#state.ports.peer(row);
    return peer === undefined ? -Infinity : this.#state.nodes.lastReportNs(rowOfTag(peer.nodeTag));
  }

  /** What was lost on the way to the neighbours. */
  counts(): LinkCounts[] {
    const { ports } = this.#state;
    const lost = new Map<number, number>();
    for (const { row, nodeRow } of this.#exporters) {
      const { expected, received } = this.#countsOf(row);
      lost.set(nodeRow, (lost.get(nodeRow) ?? 0) + (expected - received) * this.#reportsPerDatagram(nodeRow, received));
    }
    const resent = new Map<number, number>();
    for (const { row, nodeTag } of this.#links) resent.set(nodeTag, (resent.get(nodeTag) ?? 0) + ports.resent(row));
    return this.#links.map(({ row, nodeTag, peerTag }) => ({
      row,
      followed: ports.followed(row),
      unseen: ports.unseen(row),
      resent: ports.resent(row),
      resentBehind: resent.get(peerTag) ?? 0,
      peerReportLoss: this.#reportLossOf(peerTag),
      peerReportsLost: lost.get(rowOfTag(peerTag)) ?? 0,
      leftNs: Math.max(this.#leftPorts.get(row)?.ns ?? -Infinity, this.#leftNs.get(nodeTag) ?? -Infinity),
    }));
  }

  /** What leaves towards the neighbours. */
  uses(): LinkUse[] {
    const { ports } = this.#state;
    return this.#links.map((link) => {
      const { row, nodeTag, peerTag, back } = link;
      const left = this.#leftPorts.get(row);
      return {
        row,
        link: Math.min(row, back ?? row),
        nodeTag,
        peerTag,
        reports: ports.reports(row),
        isFiltered: this.#filteredPorts.has(row),
        followed: ports.followed(row),
        unseen: ports.unseen(row),
        leftNs: left?.ns ?? -Infinity,
        leftFlows: left?.flows.size ?? 0,
        describe: () => this.#coreEnd(link),
      };
    });
  }

  /** An interface, and the node behind it. */
  describe(row: number): { place: Place; peer: Place } {
    const peer = this.#state.ports.peer(row);
    return { place: this.#names.portPlace(row), peer: peer === undefined ? {} : this.#names.nodePlace(peer.nodeTag) };
  }

  /** A link by its end that is nearer to the core. */
  #coreEnd({ row, nodeTag, peerTag, back }: Link): { place: Place; peer: Place } {
    if (!this.#leadsUp(nodeTag, peerTag) || back === undefined) return this.describe(row);
    return { place: this.#names.portPlace(back), peer: this.#names.nodePlace(nodeTag) };
  }

  #leadsUp(nodeTag: number, peerTag: number): boolean {
    return this.#edgeNodes.has(nodeTag) && !this.#edgeNodes.has(peerTag);
  }

  /** Links whose both directions carry packets, each once. */
  delays(): LinkDelays[] {
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
  ways(): Way[] {
    const { ports } = this.#state;
    const ways = new Map<string, Way>();
    const add = (nodeTag: number, interfaceId: number, peerTag: number, portRow: number, bytes: number, rate: number): void => {
      const key = `${nodeTag}/${interfaceId}`;
      if (ways.has(key) && bytes === 0) return;
      ways.set(key, {
        portRow,
        place: this.#names.interfacePlace(nodeTag, interfaceId),
        group: `${nodeTag}/${this.#leadsUp(nodeTag, peerTag) ? 'up' : peerTag}`,
        node: this.#names.nodePlace(nodeTag),
        bytes,
        rate,
        reportLoss: this.#reportLossOf(nodeTag),
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

  /** Exporters whose reports are numbered in order. */
  exporters(): ExporterCounts[] {
    return this.#exporters.map(({ row, place }) => ({ row, place, ...this.#countsOf(row) }));
  }

  #countsOf(row: number): { expected: number; received: number } {
    const { sources } = this.#state;
    return { expected: sources.expected(row), received: sources.received(row) };
  }

  #listExporters(): Exporter[] {
    const { sources, nodes } = this.#state;
    const rows = new Map(nodes.keys.usedRows().map((row) => [this.#names.nodeName(row), row]));
    return sources.keys.usedRows().flatMap((row) => {
      if (sources.uncounted(row) !== 0) return [];
      const node = this.#names.sourceNodeName(row);
      const nodeRow = rows.get(node) ?? 0;
      const place = { node, nodeId: nodes.keys.keyWord(nodeRow, 0) };
      return [{ row, nodeRow, place }];
    });
  }

  #reportLossOf(nodeTag: number): number {
    let loss = this.#reportLoss.get(nodeTag);
    if (loss === undefined) {
      loss = this.#loss.ratioOf(this.#state.nodes.keys.keyWord(rowOfTag(nodeTag), 0)) ?? 0;
      this.#reportLoss.set(nodeTag, loss);
    }
    return loss;
  }

  /** What was known of nodes whose rows have passed to others, and what may have changed. */
  #forget(): void {
    this.#reportLoss = new Map();
    const tags = new Set(this.#state.nodes.keys.usedRows().map((row) => this.#names.tagOfNode(row)));
    for (const map of [this.#forwardedNs, this.#leftNs]) for (const tag of map.keys()) if (!tags.has(tag)) map.delete(tag);
  }

  #reportsPerDatagram(nodeRow: number, datagrams: number): number {
    return Math.max(1, this.#state.nodes.reports(nodeRow) / Math.max(1, datagrams));
  }
}
