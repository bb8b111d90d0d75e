// What was truly lost: dropped by a switch that knows why, or vanished on a link; and by which ways flows went.

import type { FabricObserver, Simulator } from '../simulator.ts';

export interface TrueLoss {
  node: string;
  /** Out of which it would have left; 0 when no port was chosen. */
  interfaceId: number;
  /** Reason as switches number them; null: nobody knows. */
  reason: number | null;
  packets: number;
  bytes: number;
  flows: number;
  fromPs: number;
  untilPs: number;
}

/** From this time on the flow's packets took this way: nodes and the interfaces by which they left. */
export interface TruePath {
  flow: number;
  fromPs: number;
  hops: { node: string; interfaceId: number }[];
}

interface Tally {
  loss: TrueLoss;
  flows: Set<number>;
}

/** Ways of this many hops at most are told apart; longer ones are loops. */
const MAX_HOPS = 6;

export class LossTruth implements FabricObserver {
  readonly paths: TruePath[] = [];
  readonly #simulator: Simulator;
  readonly #tallies = new Map<string, Tally>();
  /** By packet: the ports it left by, as one number. */
  readonly #way: number[] = [];
  readonly #lastWay: number[] = [];

  constructor(simulator: Simulator) {
    this.#simulator = simulator;
  }

  get losses(): TrueLoss[] {
    return [...this.#tallies.values()].map(({ loss, flows }) => ({ ...loss, flows: flows.size }));
  }

  left(packet: number): void {
    const { packets, topology } = this.#simulator;
    const before = packets.hops[packet] === 1 ? 0 : this.#way[packet];
    if (packets.hops[packet] <= MAX_HOPS) this.#way[packet] = before * topology.ports + packets.egressPort[packet];
  }

  delivered(packet: number): void {
    const { packets, nowPs } = this.#simulator;
    const { index } = packets.flow[packet];
    if (this.#lastWay[index] === this.#way[packet]) return;
    this.#lastWay[index] = this.#way[packet];
    this.paths.push({ flow: index, fromPs: nowPs, hops: this.#hopsOf(packet) });
  }

  dropped(packet: number, reason: number): void {
    const { packets, topology } = this.#simulator;
    const hasPort = packets.hasPort(packet);
    const node = topology.nodeOfPort[packets.ingressPort[packet]];
    this.#count(packet, node, hasPort ? topology.interfaceOf(packets.egressPort[packet]) : 0, reason);
  }

  vanished(packet: number, port: number): void {
    const { topology } = this.#simulator;
    this.#count(packet, topology.nodeOfPort[port], topology.interfaceOf(port), null);
  }

  #count(packet: number, node: number, interfaceId: number, reason: number | null): void {
    const { packets, topology, nowPs } = this.#simulator;
    const key = `${node}/${interfaceId}/${reason}`;
    let tally = this.#tallies.get(key);
    if (tally === undefined) {
      const { name } = topology.nodes[node];
      const loss = { node: name, interfaceId, reason, packets: 0, bytes: 0, flows: 0, fromPs: nowPs, untilPs: nowPs };
      tally = { loss, flows: new Set() };
      this.#tallies.set(key, tally);
    }
    tally.loss.packets++;
    tally.loss.bytes += packets.bytes[packet];
    tally.loss.untilPs = nowPs;
    tally.flows.add(packets.flow[packet].index);
  }

  #hopsOf(packet: number): TruePath['hops'] {
    const { packets, topology } = this.#simulator;
    const hops: TruePath['hops'] = [];
    let way = this.#way[packet];
    for (let i = Math.min(packets.hops[packet], MAX_HOPS); i > 0; i--) {
      const port = way % topology.ports;
      way = Math.floor(way / topology.ports);
      hops.unshift({ node: topology.nodes[topology.nodeOfPort[port]].name, interfaceId: topology.interfaceOf(port) });
    }
    return hops;
  }
}
