// A leaf-spine fabric as data: nodes, their interfaces, and what each interface is connected to.
// Nodes are numbered leaves first, then the border leaf, then spines, then hosts; ports are numbered through all nodes.

import type { FabricSpec } from './scenario.ts';
import { psPerByteAt } from './units.ts';

/** A switch or a host. */
export interface FabricNode {
  name: string;
  /** What its reports call it. Hosts send none: 0. */
  nodeId: number;
  kind: 'leaf' | 'spine' | 'host';
  /** Number of its first port. */
  firstPort: number;
  ports: number;
}

/** Leaf interfaces: 1 ... hosts, then one per spine and parallel link. Spine interfaces: one per leaf and parallel link, from 1. */
export class Topology {
  readonly spec: FabricSpec;
  readonly nodes: readonly FabricNode[];
  readonly leaves: number;
  /** Switches are the nodes below this number. */
  readonly switches: number;
  readonly hosts: number;
  readonly ports: number;
  /** By port: the port at the other end of the link, and the node of this end. */
  readonly peerPort: Int32Array;
  readonly nodeOfPort: Int32Array;
  readonly bitsPerSecond: Float64Array;
  readonly psPerByte: Float64Array;

  constructor(spec: FabricSpec) {
    this.spec = spec;
    const hasBorder = spec.borderHosts > 0;
    this.leaves = spec.leaves + (hasBorder ? 1 : 0);
    this.switches = this.leaves + spec.spines;
    this.hosts = spec.leaves * spec.hostsPerLeaf + spec.borderHosts;
    const nodes: FabricNode[] = [];
    let firstPort = 0;
    const add = (name: string, nodeId: number, kind: FabricNode['kind'], ports: number): void => {
      nodes.push({ name, nodeId, kind, firstPort, ports });
      firstPort += ports;
    };
    const uplinks = spec.spines * spec.linksPerPair;
    for (let i = 0; i < spec.leaves; i++) add(`leaf-${i + 1}`, 0x0a01 + i, 'leaf', spec.hostsPerLeaf + uplinks);
    if (hasBorder) add('border-1', 0x0c01, 'leaf', spec.borderHosts + uplinks);
    for (let i = 0; i < spec.spines; i++) add(`spine-${i + 1}`, 0x0b01 + i, 'spine', this.leaves * spec.linksPerPair);
    for (let i = 0; i < this.hosts; i++) add(`host-${i + 1}`, 0, 'host', 1);
    this.nodes = nodes;
    this.ports = firstPort;
    this.peerPort = new Int32Array(this.ports);
    this.nodeOfPort = new Int32Array(this.ports);
    this.bitsPerSecond = new Float64Array(this.ports);
    this.psPerByte = new Float64Array(this.ports);
    nodes.forEach((node, index) => this.nodeOfPort.fill(index, node.firstPort, node.firstPort + node.ports));
    this.#connect();
  }

  /** The switch of that name. Throws when there is none. */
  switchNamed(name: string): number {
    const found = this.nodes.findIndex((node) => node.name === name && node.kind !== 'host');
    if (found < 0) throw new Error(`no switch is called ${name}; there are ${this.#switchNames()}`);
    return found;
  }

  /** The port of an interface, which counts from 1. Throws when the node has no such interface. */
  portOf(node: number, interfaceId: number): number {
    const { firstPort, ports, name } = this.nodes[node];
    if (interfaceId < 1 || interfaceId > ports) throw new Error(`${name} has interfaces 1 to ${ports}, not ${interfaceId}`);
    return firstPort + interfaceId - 1;
  }

  interfaceOf(port: number): number {
    return port - this.nodes[this.nodeOfPort[port]].firstPort + 1;
  }

  leafOf(host: number): number {
    const { leaves, hostsPerLeaf } = this.spec;
    return Math.min(Math.floor(host / hostsPerLeaf), leaves);
  }

  /** The only port of a host. */
  hostPort(host: number): number {
    return this.nodes[this.switches + host].firstPort;
  }

  /** Ports of a leaf towards the spines: spine by spine, then the next parallel link of each. */
  uplinksOf(leaf: number): number[] {
    const { spines, linksPerPair } = this.spec;
    const first = this.nodes[leaf].firstPort + this.#hostsOf(leaf);
    return Array.from({ length: spines * linksPerPair }, (_, i) => first + (i % spines) * linksPerPair + Math.floor(i / spines));
  }

  /** Ports of a spine towards a leaf. */
  downlinksOf(spine: number, leaf: number): number[] {
    const { linksPerPair } = this.spec;
    const first = this.nodes[spine].firstPort + leaf * linksPerPair;
    return Array.from({ length: linksPerPair }, (_, i) => first + i);
  }

  #hostsOf(leaf: number): number {
    return leaf < this.spec.leaves ? this.spec.hostsPerLeaf : this.spec.borderHosts;
  }

  #connect(): void {
    const { spec } = this;
    const join = (a: number, b: number, bitsPerSecond: number): void => {
      for (const [from, to] of [
        [a, b],
        [b, a],
      ]) {
        this.peerPort[from] = to;
        this.bitsPerSecond[from] = bitsPerSecond;
        this.psPerByte[from] = psPerByteAt(bitsPerSecond);
      }
    };
    for (let host = 0; host < this.hosts; host++) {
      const leaf = this.leafOf(host);
      const rate = leaf < spec.leaves ? spec.hostRate : spec.borderRate;
      join(this.nodes[leaf].firstPort + host - leaf * spec.hostsPerLeaf, this.hostPort(host), rate);
    }
    for (let leaf = 0; leaf < this.leaves; leaf++) {
      this.uplinksOf(leaf).forEach((port, i) => {
        const spine = this.leaves + (i % spec.spines);
        join(port, this.downlinksOf(spine, leaf)[Math.floor(i / spec.spines)], spec.fabricRate);
      });
    }
  }

  #switchNames(): string {
    return this.nodes
      .slice(0, this.switches)
      .map(({ name }) => name)
      .join(', ');
  }
}
