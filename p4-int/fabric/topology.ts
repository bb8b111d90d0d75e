// A leaf-spine fabric as data: who is connected to whom, by which interface, and the way from host to host.

/** Rates in octets per ns (1.25 is 10 Gbit/s), propagation in ns. */
export interface FabricShape {
  leaves: number;
  spines: number;
  hostsPerLeaf: number;
  bytesPerNs: number;
  propagationNs: number;
  /** Time from ingress stamp to the queue, ns. */
  pipelineNs: number;
  /** Octets that a queue holds before it drops. */
  queueBytes: number;
}

/** A switch: leaves first, then spines. */
export interface FabricNode {
  name: string;
  nodeId: number;
}

/** One hop of a way: in by this interface, out by that one. */
export interface Hop {
  node: number;
  ingressInterfaceId: number;
  egressInterfaceId: number;
}

/** Leaf interfaces: 1 ... hosts, then one per spine. Spine interfaces: one per leaf from 1. */
export class Topology {
  readonly shape: FabricShape;
  readonly nodes: readonly FabricNode[];

  constructor(shape: FabricShape) {
    this.shape = shape;
    const leaves = Array.from({ length: shape.leaves }, (_, i) => ({ name: `leaf-${i + 1}`, nodeId: 0x0a01 + i }));
    const spines = Array.from({ length: shape.spines }, (_, i) => ({ name: `spine-${i + 1}`, nodeId: 0x0b01 + i }));
    this.nodes = [...leaves, ...spines];
  }

  get hosts(): number {
    return this.shape.leaves * this.shape.hostsPerLeaf;
  }

  leafOf(host: number): number {
    return Math.floor(host / this.shape.hostsPerLeaf);
  }

  /** Interface of the host on its leaf. */
  hostInterface(host: number): number {
    return (host % this.shape.hostsPerLeaf) + 1;
  }

  /** The way from one host to another over `spine` (ignored when both hang on one leaf). */
  path(from: number, to: number, spine: number): Hop[] {
    const source = this.leafOf(from);
    const target = this.leafOf(to);
    const [enter, leave] = [this.hostInterface(from), this.hostInterface(to)];
    if (source === target) return [{ node: source, ingressInterfaceId: enter, egressInterfaceId: leave }];
    const uplink = this.shape.hostsPerLeaf + 1 + spine;
    return [
      { node: source, ingressInterfaceId: enter, egressInterfaceId: uplink },
      { node: this.shape.leaves + spine, ingressInterfaceId: source + 1, egressInterfaceId: target + 1 },
      { node: target, ingressInterfaceId: uplink, egressInterfaceId: leave },
    ];
  }
}
