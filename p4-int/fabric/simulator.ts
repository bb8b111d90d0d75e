// The fabric in motion: packets from seeded sources through first-in-first-out output queues, every hop told to an observer.
// A queue's wait follows from when its port is free (Lindley's recursion), so each hop costs one event.
// Rule: no Date, no Math.random, no dependence on anything but the scenario and its seed.

import { EventHeap } from './event-heap.ts';
import { randomStream, type Random } from './random.ts';
import type { Hop, Topology } from './topology.ts';

/** A flow as data. Addresses are IPv4 as numbers; times in ns of fabric time. */
export interface Flow {
  fromHost: number;
  toHost: number;
  sourceAddress: number;
  destinationAddress: number;
  protocol: 6 | 17;
  sourcePort: number;
  destinationPort: number;
  dscp: number;
  packetBytes: number;
  /** Spine that the flow takes; default: by hash of the ports. */
  spine?: number;
  /** One packet every `intervalNs`, give or take `jitter` (0 to 1) of it. */
  intervalNs: number;
  jitter: number;
  /** Sends only while (t - startNs) modulo periodNs is below onNs; always when `burst` is absent. */
  burst?: { startNs: number; periodNs: number; onNs: number };
}

/** One hop of one packet, in the order of egress times at each node. Valid during the call only. */
export interface ObservedHop {
  flow: number;
  hop: Hop;
  /** Hops that the packet had behind it: its TTL has fallen by one more than this. */
  position: number;
  ingressNs: number;
  egressNs: number;
  /** Octets in the queue ahead of the packet. */
  queueBytes: number;
  identification: number;
  tcpSequence: number;
  dropped: boolean;
}

const QUEUE_FULL = -1;
/** Kinds of event, in the low two bits of an event's value. */
const Kind = { send: 0, arrive: 1, report: 2 } as const;

export class Simulator {
  readonly #topology: Topology;
  readonly #flows: readonly Flow[];
  readonly #paths: Hop[][];
  readonly #observe: (hop: ObservedHop) => void;
  readonly #heap = new EventHeap();
  readonly #randoms: Random[];
  /** When each port is free, by node and interface. */
  readonly #portFreeNs: Float64Array;
  readonly #hostFreeNs: Float64Array;
  readonly #interfaces: number;
  readonly #nextIdentification: Uint32Array;
  readonly #nextTcpSequence: Float64Array;
  /** Packets under way; freed slots are used again. */
  readonly #packets: ObservedHop[] = [];
  readonly #freePackets: number[] = [];
  nowNs = 0;
  /** Events worked off so far. */
  events = 0;

  constructor(topology: Topology, flows: readonly Flow[], seed: number, observe: (hop: ObservedHop) => void) {
    this.#topology = topology;
    this.#flows = flows;
    this.#observe = observe;
    this.#interfaces = topology.shape.hostsPerLeaf + topology.shape.spines + topology.shape.leaves + 1;
    this.#portFreeNs = new Float64Array(topology.nodes.length * this.#interfaces);
    this.#hostFreeNs = new Float64Array(topology.hosts);
    this.#nextIdentification = new Uint32Array(flows.length);
    this.#nextTcpSequence = new Float64Array(flows.length).fill(1);
    this.#randoms = flows.map((_, i) => randomStream(seed, `flow ${i}`));
    this.#paths = flows.map((flow) => {
      const spine = flow.spine ?? (flow.sourcePort * 31 + flow.destinationPort) % topology.shape.spines;
      return topology.path(flow.fromHost, flow.toHost, spine);
    });
    flows.forEach((flow, i) => this.#heap.push(this.#whenOn(flow, this.#randoms[i]() * flow.intervalNs), (i << 2) | Kind.send));
  }

  /** Lets the fabric run until `untilNs`. */
  run(untilNs: number): void {
    while (this.#heap.nextNs <= untilNs) {
      this.nowNs = this.#heap.nextNs;
      const value = this.#heap.pop();
      this.events++;
      const index = value >> 2;
      if ((value & 3) === Kind.send) this.#send(index);
      else if ((value & 3) === Kind.arrive) this.#arrive(index);
      else this.#report(index);
    }
    this.nowNs = untilNs;
  }

  #send(flowIndex: number): void {
    const flow = this.#flows[flowIndex];
    const leaves = Math.max(this.nowNs, this.#hostFreeNs[flow.fromHost]) + flow.packetBytes / this.#topology.shape.bytesPerNs;
    this.#hostFreeNs[flow.fromHost] = leaves;
    const packet = this.#newPacket(flowIndex);
    this.#heap.push(Math.round(leaves + this.#topology.shape.propagationNs), (packet << 2) | Kind.arrive);
    const spread = 1 + (this.#randoms[flowIndex]() * 2 - 1) * flow.jitter;
    this.#heap.push(this.#whenOn(flow, this.nowNs + Math.max(1, flow.intervalNs * spread)), (flowIndex << 2) | Kind.send);
  }

  #newPacket(flowIndex: number): number {
    const flow = this.#flows[flowIndex];
    const slot = this.#freePackets.pop() ?? this.#packets.length;
    this.#packets[slot] = {
      flow: flowIndex,
      hop: this.#paths[flowIndex][0],
      position: 0,
      ingressNs: 0,
      egressNs: 0,
      queueBytes: 0,
      identification: this.#nextIdentification[flowIndex]++,
      tcpSequence: this.#nextTcpSequence[flowIndex],
      dropped: false,
    };
    this.#nextTcpSequence[flowIndex] = (this.#nextTcpSequence[flowIndex] + flow.packetBytes - 40) % 0x1_0000_0000;
    return slot;
  }

  #arrive(slot: number): void {
    const packet = this.#packets[slot];
    const { packetBytes } = this.#flows[packet.flow];
    packet.ingressNs = this.nowNs;
    const ready = this.nowNs + this.#topology.shape.pipelineNs;
    const wait = this.#enqueue(packet.hop, ready, packetBytes);
    packet.dropped = wait === QUEUE_FULL;
    packet.queueBytes = packet.dropped ? this.#topology.shape.queueBytes : Math.round(wait * this.#topology.shape.bytesPerNs);
    packet.egressNs = Math.round(ready + Math.max(0, wait));
    this.#heap.push(packet.egressNs, (slot << 2) | Kind.report);
  }

  /** Ns that the packet waits for its port, or QUEUE_FULL. */
  #enqueue(hop: Hop, readyNs: number, bytes: number): number {
    const { bytesPerNs, queueBytes } = this.#topology.shape;
    const port = hop.node * this.#interfaces + hop.egressInterfaceId;
    const wait = Math.max(0, this.#portFreeNs[port] - readyNs);
    if (wait * bytesPerNs + bytes > queueBytes) return QUEUE_FULL;
    this.#portFreeNs[port] = readyNs + wait + bytes / bytesPerNs;
    return wait;
  }

  #report(slot: number): void {
    const packet = this.#packets[slot];
    this.#observe(packet);
    const next = this.#paths[packet.flow][packet.position + 1];
    if (packet.dropped || next === undefined) {
      this.#freePackets.push(slot);
      return;
    }
    packet.hop = next;
    packet.position++;
    const sent = packet.egressNs + this.#flows[packet.flow].packetBytes / this.#topology.shape.bytesPerNs;
    this.#heap.push(Math.round(sent + this.#topology.shape.propagationNs), (slot << 2) | Kind.arrive);
  }

  /** `atNs`, or the start of the flow's next burst when it is silent then. */
  #whenOn(flow: Flow, atNs: number): number {
    if (flow.burst === undefined) return atNs;
    const { startNs, periodNs, onNs } = flow.burst;
    if (atNs < startNs) return startNs + (atNs % flow.intervalNs);
    const phase = (atNs - startNs) % periodNs;
    return phase < onNs ? atNs : atNs - phase + periodNs;
  }
}
