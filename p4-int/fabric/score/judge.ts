// Findings against the truth of one run.

import type { InjectedEvent, Scenario, TelemetrySpec } from '../scenario.ts';
import type { Simulator } from '../simulator.ts';
import type { GroundTruth } from '../truth/ground-truth.ts';
import type { QueueEvent } from '../truth/queue-event.ts';
import { PS_PER_NS } from '../units.ts';
import type { ClosedLoop } from '../truth/closed-loop.ts';
import { isSameScope, kendallTau, peakError, relativeError, total } from './compare.ts';
import { flowName, type Findings, type FoundEvent } from './contestant.ts';
import { matchEvents } from './match.ts';
import { newTally, type Tally } from './tally.ts';

/** Fewer packets above the threshold are too few to demand that they be seen, or to hold against whoever saw them. */
const MIN_PACKETS = 16;
/** Nearer to the threshold than this share of it is a matter of rounding: neither demanded nor held against anybody. */
const MARGIN = 0.05;
const MIN_HARMED = 8;
/** Queues with fewer packets have no percentiles to speak of. */
const MIN_LATENCIES = 1000;
/** Edges of a queue event may be off by this share of its length, or by the scenario's merging gap. */
const EDGE_TOLERANCE = 0.1;
/** Edges of injected events: two seconds, or this share of a scenario that is shorter. */
const INJECTED_TOLERANCE_NS = 2e9;
const INJECTED_TOLERANCE = 0.1;
/** Threshold of a fabric of 10 Gbit/s. */
const USUAL_HIGH_PS = 50e6;
const SEVERE = 3;
/** Where so many reports are lost everywhere, saying so is right. */
const LOSS_TO_TELL = 0.01;
/** Of the budget; a wait as long as this justifies an incident that wakes somebody up. */
const SEVERE_BUDGET_USE = 0.5;
const QUEUE_KINDS: ReadonlySet<string> = new Set(['microburst', 'congestion', 'sustained', 'starvation']);

interface Truth {
  event: QueueEvent;
  startNs: number;
  endNs: number;
  node: string;
  interfaceId: number;
  queue: number;
}

export class Judge {
  readonly #simulator: Simulator;
  readonly #scenario: Scenario;
  readonly #truth: GroundTruth;
  readonly #truths: Truth[];
  /** Share of the packets that are reported, each by itself. */
  #reportedShare = 1;
  /** Times are told as they would be where congestion begins at 50 us. */
  readonly #timeScale: number;
  readonly #closedLoop: ClosedLoop | undefined;

  constructor(simulator: Simulator, truth: GroundTruth, closedLoop: ClosedLoop | undefined) {
    const { topology, scenario } = simulator;
    this.#simulator = simulator;
    this.#scenario = scenario;
    this.#truth = truth;
    this.#closedLoop = closedLoop;
    this.#timeScale = scenario.truth.high / USUAL_HIGH_PS;
    this.#truths = truth.queues.events.map((event) => ({
      event,
      startNs: event.startPs / PS_PER_NS,
      endNs: event.endPs / PS_PER_NS,
      node: topology.nodes[topology.nodeOfPort[event.port]].name,
      interfaceId: topology.interfaceOf(event.port),
      queue: scenario.fabric.classes[event.cls].queue,
    }));
  }

  /** `telemetry`: through which the findings came. */
  tally(findings: Findings, telemetry: TelemetrySpec = this.#scenario.telemetry): Tally {
    const tally = newTally();
    this.#reportedShare = (1 - telemetry.loss) / telemetry.sampling.oneIn;
    tally.simulatedSeconds = this.#scenario.duration / 1e12;
    const queueEvents = findings.events.filter(({ kind }) => QUEUE_KINDS.has(kind));
    this.#judgeQueues(tally, queueEvents);
    this.#judgeInjected(tally, findings.events, telemetry);
    this.#judgeLatencies(tally, findings);
    this.#judgeIncidents(tally, findings, telemetry.loss >= LOSS_TO_TELL);
    return tally;
  }

  #judgeQueues(tally: Tally, found: readonly FoundEvent[]): void {
    const { merge } = this.#scenario.truth;
    const { matches, pieces } = matchEvents(
      this.#truths,
      found,
      (truth, one) =>
        truth.node === one.node &&
        truth.interfaceId === one.interfaceId &&
        (one.queue === undefined || truth.queue === one.queue),
      (truth) => Math.max(merge / PS_PER_NS, EDGE_TOLERANCE * (truth.endNs - truth.startNs)),
    );
    const isSmall = ({ event }: Truth): boolean =>
      event.kind !== 'starvation' && (event.packets < MIN_PACKETS || event.peakBytes < this.#marginOf(event.port));
    const matched = new Set(matches.map((match) => match.found));
    const nearly = found.filter((one, i) => !matched.has(i) && this.#isNearMiss(one)).length;
    const forgiven = matches.filter(({ truth }) => isSmall(this.#truths[truth])).length + nearly;
    tally.queue.truths = this.#truths.filter((truth) => !isSmall(truth)).length;
    tally.queue.found = found.length - forgiven;
    for (const { truth, found: index, iou } of matches) {
      const true_ = this.#truths[truth];
      if (isSmall(true_)) continue;
      tally.queue.matched++;
      tally.queue.pieces += Math.max(1, pieces[truth]);
      this.#judgeMatch(tally, true_, found[index], iou);
    }
  }

  /** Octets in a queue of this port from which it is beyond doubt that it is congested. */
  #marginOf(port: number): number {
    return ((1 + MARGIN) * this.#scenario.truth.high) / this.#simulator.topology.psPerByte[port];
  }

  /** The queue nearly was congested then, and no more than that was found. */
  #isNearMiss(found: FoundEvent): boolean {
    const { topology } = this.#simulator;
    const { high, merge } = this.#scenario.truth;
    if (found.peakWaitNs !== undefined && found.peakWaitNs * PS_PER_NS > (1 + MARGIN) * high) return false;
    return this.#truth.queues.nearMisses.some(
      ({ port, atPs }) =>
        topology.nodes[topology.nodeOfPort[port]].name === found.node &&
        topology.interfaceOf(port) === found.interfaceId &&
        atPs + merge >= found.startNs * PS_PER_NS &&
        atPs - merge <= found.endNs * PS_PER_NS,
    );
  }

  #judgeMatch(tally: Tally, truth: Truth, found: FoundEvent, iou: number): void {
    const { event } = truth;
    tally.onsetErrorNs.push(Math.abs(found.startNs - truth.startNs) / this.#timeScale);
    tally.onsetDelayNs.push(Math.max(0, found.startNs - truth.startNs) / this.#timeScale);
    tally.wallDelayNs.push(Math.max(0, found.toldNs - found.startNs - this.#scenario.truth.high / PS_PER_NS));
    if (!event.isCut) {
      tally.iou.push(iou);
      tally.endErrorNs.push(Math.abs(found.endNs - truth.endNs) / this.#timeScale);
      tally.kind.of++;
      if (event.kind === found.kind) tally.kind.hits++;
    }
    const peak = peakError(event, found);
    if (peak !== undefined) tally.peakError.push(peak);
    this.#judgeCulprits(tally, event, found);
    this.#judgeVictims(tally, event, found);
  }

  #judgeCulprits(tally: Tally, event: QueueEvent, found: FoundEvent): void {
    const { truth: asked } = this.#scenario;
    const nameOf = (owner: number): string => this.#nameOf(owner);
    const trueBytes = new Map<string, number>();
    for (const { of, bytes } of event.inBuildUp) trueBytes.set(nameOf(of), (trueBytes.get(nameOf(of)) ?? 0) + bytes);
    const trueTotal = total(trueBytes.values());
    const named = found.culprits;
    const namedTotal = total(named.map(({ bytes }) => bytes));
    const first = named[0] as { workload: string } | undefined;
    const trueFirst = [...trueBytes].sort((a, b) => b[1] - a[1])[0][0];
    const isRight = first?.workload === trueFirst;
    tally.top1.of++;
    tally.top3.of++;
    if (isRight) tally.top1.hits++;
    if (named.slice(0, 3).some(({ workload }) => workload === trueFirst)) tally.top3.hits++;
    if (asked.cause !== undefined && asked.cause === trueFirst) {
      tally.cause.of++;
      if (first?.workload === asked.cause) tally.cause.hits++;
    }
    // To say "unknown" is no accusation.
    if (first !== undefined && first.workload !== 'unknown') tally.confidence.push([found.confidence, isRight ? 1 : 0]);
    let common = 0;
    let shared = 0;
    let unknown = 0;
    for (const { workload, bytes } of named) {
      const trueOf = trueBytes.get(workload) ?? 0;
      common += Math.min(bytes, trueOf);
      shared += Math.min(bytes / namedTotal, trueOf / trueTotal);
      if (workload === 'unknown') unknown += Math.max(0, bytes / namedTotal - trueOf / trueTotal);
    }
    tally.culpritPrecision.push(namedTotal === 0 ? 0 : common / namedTotal);
    tally.culpritRecall.push(common / trueTotal);
    tally.culpritOverlap.push(shared);
    tally.identityRight.push(shared);
    tally.identityUnknown.push(namedTotal === 0 ? 1 : unknown);
    tally.identityWrong.push(namedTotal === 0 ? 0 : Math.max(0, 1 - shared - unknown));
    this.#judgeFlows(tally, event, found);
    this.#judgeCounterfactual(tally, event, found);
  }

  /** What the workload can be called at best: of one that nobody is told about, "unknown". */
  #nameOf(owner: number): string {
    const { name, untold } = this.#scenario.workloads[owner];
    return untold ? 'unknown' : name;
  }

  #judgeFlows(tally: Tally, event: QueueEvent, { flows: named }: FoundEvent): void {
    if (named === undefined) return;
    const { flows } = this.#simulator;
    const truth = new Map(event.flowsInBuildUp.map(({ of, bytes }) => [flowName(flows[of]), bytes]));
    const common = total(named.map(({ flow, bytes }) => Math.min(bytes, truth.get(flow) ?? 0)));
    tally.flowPrecision.push(common / Math.max(1, total(named.map(({ bytes }) => bytes))));
    tally.flowRecall.push(common / total(truth.values()));
  }

  #judgeCounterfactual(tally: Tally, event: QueueEvent, found: FoundEvent): void {
    const nameOf = (owner: number): string => this.#nameOf(owner);
    const [trueFirst] = [...event.counterfactual].sort((a, b) => b.share - a.share);
    const said = new Map(
      found.culprits.flatMap(({ workload, counterfactual }) =>
        counterfactual === undefined ? [] : [[workload, counterfactual]],
      ),
    );
    tally.counterfactualTop1.of++;
    const [saidFirst] = [...said].sort((a, b) => b[1] - a[1]);
    const best = trueFirst.share;
    // Workloads without any of which the queue would not have been are equally right.
    const equals = event.counterfactual.filter(({ share }) => best - share < 0.01).map(({ owner }) => nameOf(owner));
    if (saidFirst !== undefined && equals.includes(saidFirst[0])) tally.counterfactualTop1.hits++;
    for (const { owner, share } of event.counterfactual) {
      const estimate = said.get(nameOf(owner));
      if (estimate === undefined) continue;
      tally.counterfactualError.push(Math.abs(estimate - share));
      const closed = this.#closedLoop?.shareOf(event, owner);
      if (closed !== undefined) tally.closedLoopError.push(Math.abs(estimate - closed));
    }
  }

  #judgeVictims(tally: Tally, event: QueueEvent, found: FoundEvent): void {
    const nameOf = (owner: number): string => this.#nameOf(owner);
    const demanded = event.victims.filter(({ owner, harmedPackets }) => harmedPackets >= MIN_HARMED && this.#isWatched(owner));
    const harmed = demanded.map(({ owner }) => nameOf(owner));
    for (const { harmedPackets } of demanded) tally.victimReported.push(1 - (1 - this.#reportedShare) ** harmedPackets);
    const any = new Set(event.victims.map(({ owner }) => nameOf(owner)));
    tally.victimRecall.of += harmed.length;
    tally.victimRecall.hits += harmed.filter((name) => found.victims.includes(name)).length;
    tally.victimPrecision.of += found.victims.length;
    tally.victimPrecision.hits += found.victims.filter((name) => any.has(name)).length;
    const order = kendallTau(harmed, found.victims);
    if (order !== undefined) tally.victimOrder.push(order);
  }

  /** Whoever no switch watches is in no report. */
  #isWatched(owner: number): boolean {
    const { workloads, telemetry } = this.#scenario;
    return !telemetry.unwatched.includes(workloads[owner].name);
  }

  #judgeInjected(tally: Tally, all: readonly FoundEvent[], telemetry: TelemetrySpec): void {
    const { events } = this.#scenario.truth;
    const kinds = new Set<string>([...events.map(({ kind }) => kind), ...all.map(({ kind }) => kind)]);
    for (const kind of kinds) {
      if (QUEUE_KINDS.has(kind) && kind !== 'starvation') continue;
      // It is true of every node all the time then.
      if (kind === 'telemetry-degraded' && telemetry.loss >= LOSS_TO_TELL) continue;
      // Packets of a long queue are reported whoever sent them: nothing is unexplained.
      if (
        kind === 'unexplained-wait' &&
        telemetry.queueReports !== undefined &&
        this.#scenario.telemetry.queueReports === undefined
      )
        continue;
      const truths = events.filter((event) => event.kind === kind).map((event) => ({ ...event, ...this.#intervalOf(event) }));
      const found = all.filter((event) => event.kind === kind);
      if (kind === 'starvation' && truths.length === 0) continue;
      const toleranceNs = Math.min(INJECTED_TOLERANCE_NS, (INJECTED_TOLERANCE * this.#scenario.duration) / PS_PER_NS);
      const { matches } = matchEvents(truths, found, isSameScope, () => toleranceNs);
      tally.injected[kind] = { matched: matches.length, found: found.length, truths: truths.length };
    }
  }

  #intervalOf({ from, until }: InjectedEvent): { startNs: number; endNs: number } {
    return { startNs: from / PS_PER_NS, endNs: (until ?? this.#scenario.duration) / PS_PER_NS };
  }

  #judgeLatencies(tally: Tally, findings: Findings): void {
    const { topology, queues } = this.#simulator;
    const found = new Map(findings.latencies.map((one) => [`${one.node}/${one.interfaceId}/${one.queue}`, one]));
    this.#truth.latency.hops.forEach((histogram, q) => {
      if (histogram === undefined || histogram.count < MIN_LATENCIES) return;
      const port = Math.floor(q / queues.classes.length);
      const { name } = topology.nodes[topology.nodeOfPort[port]];
      const { queue } = queues.classes[q % queues.classes.length];
      const one = found.get(`${name}/${topology.interfaceOf(port)}/${queue}`);
      tally.hopP50Error.push(relativeError(one?.p50Ns, histogram.quantile(0.5)));
      tally.hopP99Error.push(relativeError(one?.p99Ns, histogram.quantile(0.99)));
      tally.hopP999Error.push(relativeError(one?.p999Ns, histogram.quantile(0.999)));
    });
    for (const [slice, { histogram, bad }] of this.#truth.latency.slices) {
      const one = findings.sliceLatencies.find((candidate) => candidate.slice === slice);
      tally.sliceP50Error.push(relativeError(one?.p50Ns, histogram.quantile(0.5)));
      tally.sliceP99Error.push(relativeError(one?.p99Ns, histogram.quantile(0.99)));
      tally.sliceP999Error.push(relativeError(one?.p999Ns, histogram.quantile(0.999)));
      tally.sliceBadShareError.push(Math.abs((one?.badShare ?? 0) - bad / histogram.count));
    }
  }

  #judgeIncidents(tally: Tally, findings: Findings, isLossy: boolean): void {
    const { budget, events } = this.#scenario.truth;
    const isJustified = (node: string | undefined, interfaceId: number | undefined): boolean =>
      this.#truths.some(
        (truth) =>
          truth.node === node &&
          truth.interfaceId === interfaceId &&
          (truth.event.peakWaitPs >= SEVERE_BUDGET_USE * budget || truth.event.droppedPackets > 0),
      );
    for (const { severity, type, node, interfaceId } of findings.incidents) {
      if (severity < SEVERE) continue;
      const isTrue =
        type === 'congestion'
          ? isJustified(node, interfaceId)
          : (isLossy && type === 'telemetry-degraded') || events.some((event) => event.kind === type);
      if (!isTrue) tally.falseSevereIncidents++;
    }
  }
}
