// All that is true of one run: what was measured exactly, and what was injected. As JSON lines for others (docs/reference/ground-truth.md).

import type { FabricObserver, Simulator } from '../simulator.ts';
import { PS_PER_NS } from '../units.ts';
import type { ClosedLoop } from './closed-loop.ts';
import { LatencyTruth } from './latency-truth.ts';
import { LossTruth } from './loss-truth.ts';
import type { ByteShare, QueueEvent } from './queue-event.ts';
import { QueueTruth } from './queue-truth.ts';

export class GroundTruth implements FabricObserver {
  readonly queues: QueueTruth;
  readonly latency: LatencyTruth;
  readonly loss: LossTruth;
  readonly #simulator: Simulator;

  constructor(simulator: Simulator) {
    this.#simulator = simulator;
    this.queues = new QueueTruth(simulator);
    this.latency = new LatencyTruth(simulator);
    this.loss = new LossTruth(simulator);
  }

  enqueued(packet: number): void {
    this.queues.enqueued(packet);
  }

  left(packet: number): void {
    this.queues.left(packet);
    this.latency.left(packet);
    this.loss.left(packet);
  }

  dropped(packet: number, reason: number): void {
    this.queues.dropped(packet);
    this.loss.dropped(packet, reason);
  }

  vanished(packet: number, port: number): void {
    this.loss.vanished(packet, port);
  }

  delivered(packet: number): void {
    this.latency.delivered(packet);
    this.loss.delivered(packet);
  }

  /** Nothing more happens. */
  finish(): void {
    this.queues.finish();
  }

  /** One JSON object a line; times in ns since the fabric began. Call it after `finish`. `closedLoop`: of the same events, where it was run. */
  *lines(closedLoop?: ClosedLoop): Generator<string> {
    const { scenario, seed, topology, flows } = this.#simulator;
    const line = (kind: string, content: object): string => JSON.stringify({ kind, ...content });
    const { name, about, trap, duration } = scenario;
    yield line('scenario', { name, seed, about, trap, durationNs: duration / PS_PER_NS, cause: scenario.truth.cause ?? null });
    for (const { name: workload, slice, untold, pods } of scenario.workloads) {
      for (const pod of pods) {
        const addresses = pod.address6 === undefined ? [pod.address] : [pod.address, pod.address6];
        yield line('identity', {
          workload,
          slice,
          untold,
          addresses,
          host: pod.host,
          fromNs: nsOf(pod.from),
          untilNs: nsOf(pod.until),
        });
      }
    }
    for (const { kind, at, until, ...fault } of scenario.faults) {
      if (kind === 'pinned-route') continue;
      yield line('fault', { fault: kind, ...fault, fromNs: nsOf(at), untilNs: nsOf(until) });
    }
    for (const { kind, from, until, ...event } of scenario.truth.events) {
      yield line('injected-event', { event: kind, ...event, fromNs: nsOf(from), untilNs: nsOf(until) });
    }
    for (const event of this.queues.events) yield line('queue-event', this.#eventOf(event, closedLoop));
    for (const { fromPs, untilPs, ...loss } of this.loss.losses) {
      yield line('loss', { ...loss, fromNs: nsOf(fromPs), untilNs: nsOf(untilPs) });
    }
    for (const [q, histogram] of this.latency.hops.entries()) {
      if (histogram === undefined) continue;
      const { classes } = scenario.fabric;
      const port = Math.floor(q / classes.length);
      const where = { ...this.#placeOf(port), queue: classes[q % classes.length].queue };
      yield line('hop-latency', { ...where, packets: histogram.count, ...quantilesOf(histogram) });
    }
    for (const [slice, { histogram, bad }] of this.latency.slices) {
      yield line('slice-latency', {
        slice,
        packets: histogram.count,
        badShare: bad / histogram.count,
        ...quantilesOf(histogram),
      });
    }
    for (const { index, sourceAddress, destinationAddress, protocol, sourcePort, destinationPort, owner, peer } of flows) {
      const ends = { sourceAddress, destinationAddress, protocol, sourcePort, destinationPort };
      yield line('flow', { flow: index, ...ends, from: scenario.workloads[owner].name, to: scenario.workloads[peer].name });
    }
    for (const { flow, fromPs, hops } of this.loss.paths) yield line('path', { flow, fromNs: nsOf(fromPs), hops });
    yield line('end', { packets: this.#simulator.totals, events: this.#simulator.events, nodes: topology.switches });
  }

  #eventOf(event: QueueEvent, closedLoop: ClosedLoop | undefined): object {
    const { workloads, fabric } = this.#simulator.scenario;
    const byWorkload = (shares: ByteShare[]): object =>
      Object.fromEntries(shares.map(({ of, bytes }) => [workloads[of].name, bytes]));
    return {
      event: event.kind,
      ...this.#placeOf(event.port),
      queue: fabric.classes[event.cls].queue,
      buildUpNs: nsOf(event.buildUpPs),
      startNs: nsOf(event.startPs),
      peakNs: nsOf(event.peakPs),
      endNs: nsOf(event.endPs),
      isCut: event.isCut,
      peakBytes: event.peakBytes,
      peakWaitNs: nsOf(event.peakWaitPs),
      packets: event.packets,
      droppedPackets: event.droppedPackets,
      buildUpBytes: byWorkload(event.inBuildUp),
      buildUpBytesByFlow: Object.fromEntries(event.flowsInBuildUp.map(({ of, bytes }) => [of, bytes])),
      eventBytes: byWorkload(event.inEvent),
      residenceByteNs: byWorkload(event.residence.map(({ of, bytes }) => ({ of, bytes: Math.round(bytes / PS_PER_NS) }))),
      victims: event.victims.map(({ owner, harmedPackets, packets, harmPs }) => ({
        workload: workloads[owner].name,
        harmedPackets,
        packets,
        harmNs: nsOf(harmPs),
      })),
      counterfactual: Object.fromEntries(event.counterfactual.map(({ owner, share }) => [workloads[owner].name, share])),
      closedLoopCounterfactual: Object.fromEntries(
        (closedLoop?.sharesOf(event) ?? []).map(({ owner, share }) => [workloads[owner].name, share]),
      ),
    };
  }

  #placeOf(port: number): { node: string; interface: number } {
    const { topology } = this.#simulator;
    return { node: topology.nodes[topology.nodeOfPort[port]].name, interface: topology.interfaceOf(port) };
  }
}

function nsOf(ps: number | undefined): number | null {
  return ps === undefined || ps === Infinity ? null : Math.round(ps / PS_PER_NS);
}

function quantilesOf(histogram: { quantile(q: number): number }): object {
  return { p50Ns: histogram.quantile(0.5), p99Ns: histogram.quantile(0.99), p999Ns: histogram.quantile(0.999) };
}
