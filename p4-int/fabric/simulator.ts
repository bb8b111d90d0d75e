// The fabric in motion. Packets leave hosts, wait in queues, cross links; whoever watches is told at each step.
//
//   source ─▶ host queue ─link▶ pipeline ─▶ queue of a switch ─▶ (postcard) ─link▶ ... ─▶ host ─▶ receiver
//
// Time is whole picoseconds in doubles. An event for a packet that comes to a queue, one for a port that is free while packets wait.
// Rule: no Date, no Math.random, no order that depends on anything but the scenario and its seed.

import { EventHeap } from './event-heap.ts';
import { planFaults } from './faults.ts';
import { Flow, type FlowParts } from './flow.ts';
import { Packets } from './packets.ts';
import { NONE, Queues } from './queues.ts';
import { randomStream, type Random } from './random.ts';
import { DropReason, Routing } from './routing.ts';
import type { Scenario } from './scenario.ts';
import { Topology } from './topology.ts';
import { startTraffic } from './traffic/traffic.ts';

/** Who is told what happens. `packet` is a row of `packets`, valid during the call; the time is `nowPs` of the simulator. */
export interface FabricObserver {
  /** It stands in a queue of a switch. */
  enqueued?(packet: number): void;
  /** It begins to leave a switch: the moment of its postcard. */
  left?(packet: number): void;
  /** A switch dropped it, and knows why. */
  dropped?(packet: number, reason: number): void;
  /** It vanished on the link of this port, and nobody knows. */
  vanished?(packet: number, port: number): void;
  /** It is where it was sent to. */
  delivered?(packet: number): void;
}

/** Something that wants to be woken. */
export interface Timer {
  fire(): void;
}

/** What is counted of all packets. */
export interface PacketTotals {
  sent: number;
  delivered: number;
  dropped: number;
  vanished: number;
}

const Kind = { arrive: 0, wake: 1, deliver: 2, timer: 3, fault: 4 } as const;

export class Simulator {
  readonly scenario: Scenario;
  readonly topology: Topology;
  readonly packets = new Packets();
  readonly queues: Queues;
  readonly routing: Routing;
  readonly flows: Flow[] = [];
  readonly seed: number;
  readonly totals: PacketTotals = { sent: 0, delivered: 0, dropped: 0, vanished: 0 };
  nowPs = 0;
  /** Events worked off so far. */
  events = 0;
  readonly #heap = new EventHeap();
  readonly #observers: readonly FabricObserver[];
  readonly #timers: Timer[] = [];
  readonly #faults: (() => void)[] = [];
  readonly #portFreePs: Float64Array;
  readonly #wakePs: Float64Array;
  /** By ingress port: packets leave the pipeline in the order they came. */
  readonly #pipelineFreePs: Float64Array;
  /** By port: whether its link carries nothing, and how much of it the link loses. */
  readonly #linkDown: Uint8Array;
  readonly #linkLoss: Float64Array;
  /** By node and DSCP: class of queue. */
  readonly #classOf: Uint8Array;
  readonly #jitter: Random;
  readonly #loss: Random;

  /** `without`: this workload sends nothing, and all else is as it was (the counterfactual). */
  constructor(scenario: Scenario, seed: number, observers: readonly FabricObserver[], without?: string) {
    this.scenario = scenario;
    this.seed = seed;
    this.#observers = observers;
    this.topology = new Topology(scenario.fabric);
    this.queues = new Queues(this.topology, this.packets);
    this.routing = new Routing(this.topology, scenario.faults, seed);
    const { ports, nodes } = this.topology;
    this.#portFreePs = new Float64Array(ports);
    this.#wakePs = new Float64Array(ports).fill(Infinity);
    this.#pipelineFreePs = new Float64Array(ports);
    this.#linkDown = new Uint8Array(ports);
    this.#linkLoss = new Float64Array(ports);
    this.#jitter = randomStream(seed, 'pipeline');
    this.#loss = randomStream(seed, 'link loss');
    const { classes } = scenario.fabric;
    const rest = classes.findIndex(({ dscp }) => dscp.length === 0);
    this.#classOf = new Uint8Array(nodes.length * 64).fill(rest);
    classes.forEach(({ dscp }, cls) => dscp.forEach((value) => nodes.forEach((_, node) => this.mapDscp(node, value, cls))));
    for (const { atPs, apply } of planFaults(scenario.faults, this)) {
      this.#heap.push(atPs, (this.#faults.push(apply) - 1) * 8 + Kind.fault);
    }
    startTraffic(this, without);
  }

  /** Lets the fabric run until `untilPs`. */
  run(untilPs: number): void {
    const heap = this.#heap;
    while (heap.nextPs <= untilPs) {
      this.nowPs = heap.nextPs;
      const value = heap.pop();
      this.events++;
      const index = value >>> 3;
      switch (value & 7) {
        case Kind.arrive:
          this.#arrive(index);
          break;
        case Kind.wake:
          this.#wake(index);
          break;
        case Kind.deliver:
          this.#deliver(index);
          break;
        case Kind.timer:
          this.#timers[index].fire();
          break;
        default:
          this.#faults[index]();
      }
    }
    this.nowPs = untilPs;
  }

  newFlow(parts: Omit<FlowParts, 'index'>): Flow {
    const flow = new Flow({ ...parts, index: this.flows.length });
    this.flows.push(flow);
    this.routing.mark(flow);
    return flow;
  }

  /** The number under which `schedule` wakes the timer. */
  register(timer: Timer): number {
    return this.#timers.push(timer) - 1;
  }

  schedule(atPs: number, timer: number): void {
    this.#heap.push(Math.max(this.nowPs, Math.round(atPs)), timer * 8 + Kind.timer);
  }

  /** A packet of the flow enters the queue of its host. */
  send(packet: number): void {
    this.totals.sent++;
    const port = this.topology.hostPort(this.packets.flow[packet].fromHost);
    this.queues.enter(port, 0, packet);
    this.#serve(port);
  }

  /** The switch puts this DSCP into that class from now on. */
  mapDscp(node: number, dscp: number, cls: number): void {
    this.#classOf[node * 64 + dscp] = cls;
  }

  classOf(node: number, dscp: number): number {
    return this.#classOf[node * 64 + dscp];
  }

  setLinkDown(port: number, isDown: boolean): void {
    this.#linkDown[port] = this.#linkDown[this.topology.peerPort[port]] = isDown ? 1 : 0;
  }

  setLinkLoss(port: number, probability: number): void {
    this.#linkLoss[port] = probability;
  }

  #arrive(packet: number): void {
    const { packets, topology } = this;
    const node = topology.nodeOfPort[packets.ingressPort[packet]];
    const flow = packets.flow[packet];
    if (packets.ttl[packet] <= 1) return this.#drop(packet, DropReason.ttl);
    packets.ttl[packet]--;
    const port = this.routing.portFor(node, flow);
    if (port < 0) return this.#drop(packet, -port);
    const cls = this.#classOf[node * 64 + flow.dscp];
    packets.egressPort[packet] = port;
    packets.queue[packet] = cls;
    packets.enqueuedPs[packet] = this.nowPs;
    if (!this.queues.enter(port, cls, packet)) {
      packets.queueBytes[packet] = this.queues.bytes[port * this.queues.classes.length + cls];
      return this.#drop(packet, DropReason.trafficManager);
    }
    for (const observer of this.#observers) observer.enqueued?.(packet);
    this.#serve(port);
  }

  #wake(port: number): void {
    if (this.nowPs < this.#wakePs[port]) return;
    this.#wakePs[port] = Infinity;
    this.#serve(port);
  }

  #wakeAt(port: number, atPs: number): void {
    if (atPs >= this.#wakePs[port]) return;
    this.#wakePs[port] = atPs;
    this.#heap.push(atPs, port * 8 + Kind.wake);
  }

  /** Sends the next packet of the port, when it is free. */
  #serve(port: number): void {
    if (this.#portFreePs[port] > this.nowPs) return this.#wakeAt(port, this.#portFreePs[port]);
    const packet = this.queues.leave(port, this.nowPs);
    if (packet === NONE) {
      if (!this.queues.isEmpty(port)) this.#wakeAt(port, Math.ceil(this.queues.nextEligiblePs(port)));
      return;
    }
    const { packets, topology } = this;
    const { linkOverhead, propagation } = this.scenario.fabric;
    const sentPs = this.nowPs + Math.round((packets.bytes[packet] + linkOverhead) * topology.psPerByte[port]);
    this.#portFreePs[port] = sentPs;
    if (!this.queues.isEmpty(port)) this.#wakeAt(port, sentPs);
    const node = topology.nodeOfPort[port];
    if (node < topology.switches) {
      packets.hopLatencySumPs[packet] += this.nowPs - packets.ingressPs[packet];
      packets.hops[packet]++;
      for (const observer of this.#observers) observer.left?.(packet);
      if (this.routing.isSwallowed(node, port, packets.flow[packet])) return this.#vanish(packet, port);
    }
    if (this.#linkDown[port] === 1) return this.#vanish(packet, port);
    if (this.#linkLoss[port] > 0 && this.#loss() < this.#linkLoss[port]) return this.#vanish(packet, port);
    this.#cross(packet, topology.peerPort[port], sentPs + propagation);
  }

  /** The packet comes to the other end of a link. */
  #cross(packet: number, port: number, atPs: number): void {
    const { packets, topology } = this;
    packets.ingressPort[packet] = port;
    if (topology.nodeOfPort[port] >= topology.switches) return this.#heap.push(atPs, packet * 8 + Kind.deliver);
    const { pipeline, pipelineJitter } = this.scenario.fabric;
    packets.ingressPs[packet] = atPs;
    const takes = pipelineJitter === 0 ? pipeline : pipeline + Math.floor(this.#jitter() * pipelineJitter);
    const readyPs = Math.max(atPs + takes, this.#pipelineFreePs[port]);
    this.#pipelineFreePs[port] = readyPs;
    this.#heap.push(readyPs, packet * 8 + Kind.arrive);
  }

  #deliver(packet: number): void {
    this.totals.delivered++;
    for (const observer of this.#observers) observer.delivered?.(packet);
    this.packets.flow[packet].receiver?.receive(packet);
    this.packets.free(packet);
  }

  #drop(packet: number, reason: number): void {
    this.totals.dropped++;
    for (const observer of this.#observers) observer.dropped?.(packet, reason);
    this.packets.free(packet);
  }

  #vanish(packet: number, port: number): void {
    this.totals.vanished++;
    for (const observer of this.#observers) observer.vanished?.(packet, port);
    this.packets.free(packet);
  }
}
