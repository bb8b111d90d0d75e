// Output queues: who gets in, what is marked, and whose turn it is. Strict priority between levels, deficit round robin within a level (Shreedhar and
// Varghese, SIGCOMM 1995), shapers, static and shared buffers (dynamic thresholds: Choudhury and Hahne, 1998), ECN marks at the entrance.

import type { FabricSpec } from './scenario.ts';
import type { Packets } from './packets.ts';
import type { Topology } from './topology.ts';
import { psPerByteAt } from './units.ts';

/** No packet may leave now. */
export const NONE = -1;
/** Octets that a queue of weight 1 may send in its turn. */
const QUANTUM_BYTES = 1500;

export class Queues {
  readonly classes: FabricSpec['classes'];
  /** By port and class. */
  readonly bytes: Float64Array;
  /** By port: octets of all its queues. */
  readonly portBytes: Float64Array;
  readonly #packets: Packets;
  readonly #topology: Topology;
  readonly #n: number;
  readonly #count: Int32Array;
  readonly #head: Int32Array;
  readonly #tail: Int32Array;
  readonly #deficit: Float64Array;
  readonly #eligiblePs: Float64Array;
  /** By port: the class whose turn it is, by priority level. */
  readonly #turn: Int8Array;
  /** By node: octets in its shared buffer. */
  readonly #shared: Float64Array;
  /** Classes of each priority level, the highest first. */
  readonly #levels: number[][];
  readonly #ecnAbove: Float64Array;
  readonly #shaperPsPerByte: Float64Array;

  constructor(topology: Topology, packets: Packets) {
    const { classes } = topology.spec;
    this.classes = classes;
    this.#topology = topology;
    this.#packets = packets;
    this.#n = classes.length;
    const queues = topology.ports * this.#n;
    this.bytes = new Float64Array(queues);
    this.portBytes = new Float64Array(topology.ports);
    this.#count = new Int32Array(queues);
    this.#head = new Int32Array(queues).fill(NONE);
    this.#tail = new Int32Array(queues).fill(NONE);
    this.#deficit = new Float64Array(queues);
    this.#eligiblePs = new Float64Array(queues);
    this.#shared = new Float64Array(topology.nodes.length);
    const priorities = [...new Set(classes.map(({ priority }) => priority))].sort((a, b) => b - a);
    this.#levels = priorities.map((level) => classes.flatMap(({ priority }, i) => (priority === level ? [i] : [])));
    this.#turn = new Int8Array(topology.ports * this.#levels.length);
    this.#ecnAbove = Float64Array.from(classes, ({ ecnAbove }) => ecnAbove ?? Infinity);
    this.#shaperPsPerByte = Float64Array.from(classes, ({ shaper }) => (shaper === undefined ? 0 : psPerByteAt(shaper)));
  }

  /** The class of a queue number. Throws when there is none. */
  classOfQueue(queue: number): number {
    const found = this.classes.findIndex((one) => one.queue === queue);
    if (found < 0) throw new Error(`there is no queue ${queue}; there are ${this.classes.map((one) => one.queue).join(', ')}`);
    return found;
  }

  isEmpty(port: number): boolean {
    return this.portBytes[port] === 0;
  }

  /** Puts the packet behind the others of its class; false when it finds no room. */
  enter(port: number, cls: number, packet: number): boolean {
    const { spec, nodeOfPort, switches } = this.#topology;
    const q = port * this.#n + cls;
    const size = this.#packets.bytes[packet];
    const node = nodeOfPort[port];
    const queued = this.bytes[q];
    if (node < switches) {
      const { sharedBuffer } = spec;
      let room = spec.queueBytes;
      if (sharedBuffer !== undefined) room = Math.min(room, sharedBuffer.alpha * (sharedBuffer.bytes - this.#shared[node]));
      if (queued + size > room) return false;
      this.#shared[node] += size;
      if (queued > this.#ecnAbove[cls] && this.#packets.ecn[packet] === 2) this.#packets.ecn[packet] = 3;
    }
    this.#packets.queueBytes[packet] = queued;
    this.#packets.queuePackets[packet] = this.#count[q]++;
    this.bytes[q] = queued + size;
    this.portBytes[port] += size;
    this.#packets.next[packet] = NONE;
    if (this.#tail[q] === NONE) this.#head[q] = packet;
    else this.#packets.next[this.#tail[q]] = packet;
    this.#tail[q] = packet;
    return true;
  }

  /** Takes the packet whose turn it is out of its queue; NONE when a shaper holds all that wait. */
  leave(port: number, nowPs: number): number {
    const base = port * this.#n;
    for (let level = 0; level < this.#levels.length; level++) {
      const members = this.#levels[level];
      if (members.length === 1) {
        const q = base + members[0];
        if (this.#head[q] !== NONE && this.#eligiblePs[q] <= nowPs) return this.#take(port, members[0], nowPs);
        continue;
      }
      const cls = this.#roundRobin(port, level, members, nowPs);
      if (cls !== NONE) return this.#take(port, cls, nowPs);
    }
    return NONE;
  }

  /** When a shaper lets the next of the waiting packets go. */
  nextEligiblePs(port: number): number {
    let earliest = Infinity;
    for (let cls = 0; cls < this.#n; cls++) {
      const q = port * this.#n + cls;
      if (this.#head[q] !== NONE) earliest = Math.min(earliest, this.#eligiblePs[q]);
    }
    return earliest;
  }

  #roundRobin(port: number, level: number, members: readonly number[], nowPs: number): number {
    const base = port * this.#n;
    const turn = port * this.#levels.length + level;
    const ready = (cls: number): boolean => this.#head[base + cls] !== NONE && this.#eligiblePs[base + cls] <= nowPs;
    if (!members.some(ready)) return NONE;
    for (;;) {
      const cls = members[this.#turn[turn]];
      const q = base + cls;
      if (ready(cls) && this.#deficit[q] >= this.#packets.bytes[this.#head[q]]) {
        this.#deficit[q] -= this.#packets.bytes[this.#head[q]];
        return cls;
      }
      // A queue that has nothing to send keeps no credit.
      if (this.#head[q] === NONE) this.#deficit[q] = 0;
      this.#turn[turn] = (this.#turn[turn] + 1) % members.length;
      const next = members[this.#turn[turn]];
      if (ready(next)) this.#deficit[base + next] += QUANTUM_BYTES * this.classes[next].weight;
    }
  }

  #take(port: number, cls: number, nowPs: number): number {
    const q = port * this.#n + cls;
    const packet = this.#head[q];
    const size = this.#packets.bytes[packet];
    this.#head[q] = this.#packets.next[packet];
    if (this.#head[q] === NONE) this.#tail[q] = NONE;
    this.#count[q]--;
    this.bytes[q] -= size;
    this.portBytes[port] -= size;
    const node = this.#topology.nodeOfPort[port];
    if (node < this.#topology.switches) {
      this.#shared[node] -= size;
      const shaper = this.#shaperPsPerByte[cls];
      if (shaper > 0) this.#eligiblePs[q] = Math.max(nowPs, this.#eligiblePs[q]) + size * shaper;
    }
    return packet;
  }
}
