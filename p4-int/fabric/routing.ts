// Where a switch sends a packet: equal-cost next hops by hash, and what faults make of that.

import ipaddr from 'ipaddr.js';
import type { Flow } from './flow.ts';
import { randomStream } from './random.ts';
import type { FaultSpec } from './scenario.ts';
import type { Topology } from './topology.ts';

/** Reasons of a drop, as SD-Fabric numbers them (fabric-tna, define.p4). */
export const DropReason = { ttl: 26, routeMiss: 29, trafficManager: 71, acl: 80 } as const;

type PrefixFault = Extract<FaultSpec, { prefix: string }>;

export class Routing {
  readonly #topology: Topology;
  readonly #seeds: Uint32Array;
  /** By node and destination leaf: the ports of all shortest ways. */
  #ways: number[][][] = [];
  readonly #down = new Set<number>();
  /** Faults about prefixes that are in force, by node; the number is the bit of Flow.prefixBits. */
  readonly #active: { fault: PrefixFault; bit: number }[][];
  readonly #prefixes: string[];

  constructor(topology: Topology, faults: readonly FaultSpec[], seed: number) {
    this.#topology = topology;
    this.#prefixes = [...new Set(faults.flatMap((fault) => ('prefix' in fault ? [fault.prefix] : [])))];
    if (this.#prefixes.length > 31) throw new Error('faults name more than 31 prefixes');
    this.#active = topology.nodes.map(() => []);
    const random = randomStream(seed, 'ecmp');
    const polarised = topology.spec.ecmp === 'polarised';
    const common = Math.floor(random() * 2 ** 32);
    this.#seeds = Uint32Array.from(topology.nodes, () => (polarised ? common : Math.floor(random() * 2 ** 32)));
    this.rebuild();
  }

  /** Notes which prefixes of faults the flow's address lies in. */
  mark(flow: Flow): void {
    this.#prefixes.forEach((prefix, bit) => {
      if (contains(prefix, flow.routedAddress)) flow.prefixBits |= 1 << bit;
    });
  }

  /** Begins or ends a fault about a prefix. */
  set(fault: PrefixFault, isOn: boolean): void {
    const list = this.#active[this.#topology.switchNamed(fault.node)];
    const at = list.findIndex((one) => one.fault === fault);
    if (isOn && at < 0) list.push({ fault, bit: 1 << this.#prefixes.indexOf(fault.prefix) });
    if (!isOn && at >= 0) list.splice(at, 1);
  }

  /** Routes avoid the link of this port, both ends; or no longer. */
  setDown(port: number, isDown: boolean): void {
    for (const end of [port, this.#topology.peerPort[port]]) {
      if (isDown) this.#down.add(end);
      else this.#down.delete(end);
    }
    this.rebuild();
  }

  /** The port by which the packet leaves, or minus the reason why it does not. */
  portFor(node: number, flow: Flow): number {
    const { leaves, spec } = this.#topology;
    const leaf = this.#topology.leafOf(flow.toHost);
    for (const { fault, bit } of this.#active[node]) {
      if ((flow.prefixBits & bit) === 0) continue;
      if (fault.kind === 'acl') return -DropReason.acl;
      if (fault.kind === 'no-route') return -DropReason.routeMiss;
      if (fault.kind === 'wrong-route' || fault.kind === 'pinned-route') return this.#topology.portOf(node, fault.interface);
    }
    if (node < leaves && node === leaf) return this.#topology.nodes[leaf].firstPort + flow.toHost - leaf * spec.hostsPerLeaf;
    const ways = this.#ways[node][leaf];
    if (ways.length === 0) return -DropReason.routeMiss;
    return ways.length === 1 ? ways[0] : ways[mixed(flow.hash ^ this.#seeds[node]) % ways.length];
  }

  /** Whether what leaves by this port vanishes. */
  isSwallowed(node: number, port: number, flow: Flow): boolean {
    for (const { fault, bit } of this.#active[node]) {
      if (fault.kind !== 'blackhole' || (flow.prefixBits & bit) === 0) continue;
      if (this.#topology.portOf(node, fault.interface) === port) return true;
    }
    return false;
  }

  rebuild(): void {
    const topology = this.#topology;
    const isUp = (port: number): boolean => !this.#down.has(port);
    const spineOf = (uplink: number): number => topology.nodeOfPort[topology.peerPort[uplink]];
    this.#ways = Array.from({ length: topology.switches }, (_, node) =>
      Array.from({ length: topology.leaves }, (_unused, leaf) => {
        if (node >= topology.leaves) return topology.downlinksOf(node, leaf).filter(isUp);
        // A spine that has lost its way to the leaf is none to it.
        return topology.uplinksOf(node).filter((port) => isUp(port) && topology.downlinksOf(spineOf(port), leaf).some(isUp));
      }),
    );
  }
}

/** All bits depend on all bits (the finaliser of MurmurHash3); without it, seeds and CRC-32 would add up linearly. */
function mixed(hash: number): number {
  let h = hash | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function contains(prefix: string, address: string): boolean {
  const [network, bits] = ipaddr.parseCIDR(prefix);
  const parsed = ipaddr.parse(address);
  return parsed.kind() === network.kind() && parsed.match([network, bits] as never);
}
