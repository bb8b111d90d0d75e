// What is wrong with the fabric or its telemetry besides congestion: the tables of one ingest thread in, conditions out. Wires the detectors together
// and gives each the narrow view that it needs.
//
//   moves ─▶ path-change, loop      drops ─▶ loss      histories ─▶ silent-loss, link-flap, clock-fault
//   flows ─▶ blackhole, imbalance, who still forwards ─▶ silent-switch      sequence numbers ─▶ telemetry-degraded

import { addressText } from './address.ts';
import { BlackholeDetector } from './diagnose/blackhole.ts';
import { BudgetDetector, type SliceGoal } from './diagnose/budget.ts';
import { ClockOffsets, type ClockEstimate } from './diagnose/clock-offsets.ts';
import { ClockSteps, type NodeDelay } from './diagnose/clock-steps.ts';
import type { ConditionBook } from './diagnose/condition.ts';
import { FlowSweep, type FlowVisit } from './diagnose/flow-sweep.ts';
import { ImbalanceDetector } from './diagnose/imbalance.ts';
import { LinkClocks, type LinkDelays } from './diagnose/link-clocks.ts';
import { LinkFlapDetector } from './diagnose/link-flap.ts';
import { LinkLossDetector } from './diagnose/link-loss.ts';
import { LossDetector } from './diagnose/loss.ts';
import { MisplacedDetector, type Misplaced } from './diagnose/misplaced.ts';
import { PathChangeDetector } from './diagnose/path-change.ts';
import { QuotaDetector, type OpenQueue } from './diagnose/quota.ts';
import type { ReportLoss } from './diagnose/report-loss.ts';
import { TelemetryDetector } from './diagnose/telemetry.ts';
import type { Place } from './event.ts';
import { FabricLinks } from './fabric-links.ts';
import { FlowWord } from './flow-key.ts';
import { rowOfTag } from './hop.ts';
import type { Names } from './names.ts';
import { CLOCK_SLOT_NS } from './observe/clock.ts';
import { DELAY_SLOT_NS, DELAY_SLOTS } from './observe/port.ts';
import { STITCH_NS } from './observe/stitch.ts';
import type { SharedState } from './shared-state.ts';

const ASSIGN_MS = 1000;
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
  readonly #links: FabricLinks;
  readonly #clocks: ClockOffsets;
  readonly #sweep: FlowSweep;
  readonly #blackhole: BlackholeDetector;
  readonly #imbalance: ImbalanceDetector;
  readonly #detectors: { poll(nowNs: number): void }[];
  readonly #sliceOfFlow: FabricConditionParts['sliceOfFlow'];
  readonly #sliceNumbers: Map<string, number>;
  /** By flow row, ms. */
  readonly #assignedMs: Float64Array;
  constructor({ state, names, loss, conditions, slices, sliceOfFlow, openRows }: FabricConditionParts) {
    this.#state = state;
    this.#sliceOfFlow = sliceOfFlow;
    this.#sliceNumbers = new Map(slices.map(({ name }, i) => [name, i + 1]));
    this.#assignedMs = new Float64Array(state.flows.keys.capacity);
    this.#names = names;
    this.#loss = loss;
    this.#conditions = conditions;
    this.#links = new FabricLinks(state, names, loss);
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
        reportLossOf: (row) => this.#links.peerReportLoss(row),
        peerHeardNs: (row) => this.#links.peerHeardNs(row),
      },
      conditions,
      flows.keys.capacity,
    );
    this.#imbalance = new ImbalanceDetector(() => this.#links.ways(), conditions, flows.keys.capacity);
    this.#sweep = new FlowSweep(
      {
        rows: () => flows.keys.totals[0] + 1,
        generationOf: (row) => flows.keys.generationOf(row),
        hops: (row, generation, nowMs) => paths.hops(row, generation, nowMs),
        bytes: (row, generation) => paths.bytes(row, generation),
        capacity: flows.keys.capacity,
      },
      (flow, nowNs) => this.#visit(flow, nowNs),
    );
    const pairs = (): LinkDelays[] => this.#links.delays();
    const placeOfNode = (tag: number): Place => names.nodePlace(tag);
    const linkSlots = { slotNs: DELAY_SLOT_NS, slots: DELAY_SLOTS, lagNs: STITCH_NS };
    const deviceZeroNs = (tag: number): bigint | undefined => state.nodes.deviceTimeNs(rowOfTag(tag), 0);
    this.#clocks = new ClockOffsets({ pairs, placeOfNode, deviceZeroNs, ...linkSlots }, conditions);
    const flaps = new LinkFlapDetector(() => this.#links.uses(), conditions);
    this.#detectors = [
      new PathChangeDetector(
        {
          nextMove: (record) => moves.pop(record),
          placeOfNode: (tag) => names.nodePlace(tag),
          interfaceOf: (row) => names.portPlace(row).interface!,
          leftBehind: (row, flowRow, atNs) => this.#links.leave(row, flowRow, atNs),
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
      flaps,
      new LinkLossDetector(
        {
          links: () => this.#links.counts(),
          isBroken: (row) => this.#blackhole.isSuspect(row) || flaps.isDown(row),
          describe: (row) => this.#links.describe(row),
        },
        conditions,
      ),
      new LinkClocks({ pairs, placeOfNode, ...linkSlots }, conditions),
      new ClockSteps({ delays: () => this.#nodeDelays(), placeOfNode, slotNs: CLOCK_SLOT_NS }, conditions),
      this.#clocks,
      new TelemetryDetector(
        {
          exporters: () => this.#links.exporters(),
          nodes: () => this.#nodes(),
          neighboursSee: (tag, sinceNs) => this.#links.neighboursSee(tag, sinceNs),
        },
        conditions,
      ),
    ];
  }

  poll(nowNs: number): void {
    this.#links.poll(nowNs);
    this.#sweep.poll(nowNs);
    this.#blackhole.poll(nowNs);
    this.#imbalance.poll(nowNs);
    for (const detector of this.#detectors) detector.poll(nowNs);
    this.#conditions.advance(nowNs);
  }

  /** Clocks of nodes against each other, by node tag. */
  get clocks(): ReadonlyMap<number, ClockEstimate> {
    return this.#clocks.estimates;
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
    this.#links.visit(flow);
    this.#blackhole.visit(flow, nowNs);
    this.#imbalance.visit(flow, nowNs);
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

  #dropPlace(row: number): { place: Place; reason: number } {
    const { keys } = this.#state.drops;
    const place = this.#names.interfacePlace(keys.keyWord(row, 0), keys.keyWord(row, 1));
    return { place, reason: keys.keyWord(row, 2) };
  }

  #nodeDelays(): NodeDelay[] {
    const { nodes } = this.#state;
    return nodes.keys.usedRows().flatMap((row) => {
      const last = nodes.lastSlot(row);
      return last === undefined ? [] : [{ tag: this.#names.tagOfNode(row), ...last, steps: nodes.clockSteps(row) }];
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
