// The newest arrivals at ports that several queues share: who was served while a packet of another queue waited. A starved queue reports nothing until
// it is released, so what was served before it has to be kept until then.
//
// Rule: bounded by rings and entries. When no ring is free, the one that was idle for longest goes to another port. Only the hot thread sees it.

import type { ArrivalPool } from './arrivals.ts';

const NONE = 0xffff;
/** Events of one port that are open at the same time and want its arrivals. */
const LISTENERS = 4;

export class PortArrivals {
  readonly #entries: number;
  /** By port row: the queue that was seen there first, whether there are others, and the ring. */
  readonly #firstQueue: Uint32Array;
  readonly #isShared: Uint8Array;
  readonly #ring: Uint16Array;
  /** By ring: its port, entries ever written, collector time of the newest, and the queues that listen. */
  readonly #port: Uint32Array;
  readonly #written: Float64Array;
  readonly #usedNs: Float64Array;
  readonly #listeners: Uint32Array;
  readonly #enqueueNs: Float64Array;
  readonly #waitNs: Float64Array;
  readonly #lengthBytes: Float64Array;
  readonly #packets: Float64Array;
  readonly #flowRow: Uint32Array;
  readonly #flowGeneration: Uint32Array;
  readonly #tcpSequence: Uint32Array;
  readonly #hasTcpSequence: Uint8Array;
  readonly #queueRow: Uint32Array;

  constructor(portRows: number, rings: number, entries: number) {
    this.#entries = entries;
    this.#firstQueue = new Uint32Array(portRows);
    this.#isShared = new Uint8Array(portRows);
    this.#ring = new Uint16Array(portRows).fill(NONE);
    this.#port = new Uint32Array(rings);
    this.#written = new Float64Array(rings);
    this.#usedNs = new Float64Array(rings);
    this.#listeners = new Uint32Array(rings * LISTENERS);
    this.#enqueueNs = new Float64Array(rings * entries);
    this.#waitNs = new Float64Array(rings * entries);
    this.#lengthBytes = new Float64Array(rings * entries);
    this.#packets = new Float64Array(rings * entries);
    this.#flowRow = new Uint32Array(rings * entries);
    this.#flowGeneration = new Uint32Array(rings * entries);
    this.#tcpSequence = new Uint32Array(rings * entries);
    this.#hasTcpSequence = new Uint8Array(rings * entries);
    this.#queueRow = new Uint32Array(rings * entries);
  }

  /** Notes that a packet of this queue leaves by the port; true when other queues do so, too. */
  isShared(port: number, queue: number): boolean {
    const first = this.#firstQueue[port];
    if (first === queue) return this.#isShared[port] === 1;
    if (first === 0) {
      this.#firstQueue[port] = queue;
      return false;
    }
    this.#isShared[port] = 1;
    return true;
  }

  /** Keeps an arrival at a shared port, and hands it to the events of its other queues. */
  add(
    port: number,
    queue: number,
    nowNs: number,
    enqueueNs: number,
    waitNs: number,
    lengthBytes: number,
    packets: number,
    flowRow: number,
    flowGeneration: number,
    tcpSequence: number,
    hasTcpSequence: boolean,
    logs: ArrivalPool,
  ): void {
    const ring = this.#ring[port] === NONE ? this.#take(port) : this.#ring[port];
    this.#usedNs[ring] = nowNs;
    const at = ring * this.#entries + (this.#written[ring] % this.#entries);
    this.#written[ring]++;
    this.#enqueueNs[at] = enqueueNs;
    this.#waitNs[at] = waitNs;
    this.#lengthBytes[at] = lengthBytes;
    this.#packets[at] = packets;
    this.#flowRow[at] = flowRow;
    this.#flowGeneration[at] = flowGeneration;
    this.#tcpSequence[at] = tcpSequence;
    this.#hasTcpSequence[at] = hasTcpSequence ? 1 : 0;
    this.#queueRow[at] = queue;
    for (let i = 0; i < LISTENERS; i++) {
      const listener = this.#listeners[ring * LISTENERS + i];
      if (listener !== 0 && listener !== queue) this.#tell(listener, at, nowNs, logs);
    }
  }

  /** An event opened on the queue: it gets the other queues' arrivals that left since node time `sinceNs`, and those to come. False: some are gone. */
  listen(port: number, queue: number, sinceNs: number, nowNs: number, logs: ArrivalPool): boolean {
    const ring = this.#ring[port];
    if (port === 0 || ring === NONE) return false;
    let free = -1;
    for (let i = 0; i < LISTENERS; i++) {
      const listener = this.#listeners[ring * LISTENERS + i];
      if (listener === 0 || listener === queue) free = i;
    }
    const kept = Math.min(this.#entries, this.#written[ring]);
    const oldest = ring * this.#entries + ((this.#written[ring] - kept) % this.#entries);
    if (free < 0 || (kept === this.#entries && this.#enqueueNs[oldest] > sinceNs)) return false;
    this.#listeners[ring * LISTENERS + free] = queue;
    for (let i = 0; i < kept; i++) {
      const at = ring * this.#entries + ((this.#written[ring] - kept + i) % this.#entries);
      if (this.#queueRow[at] !== queue && this.#enqueueNs[at] + this.#waitNs[at] >= sinceNs) this.#tell(queue, at, nowNs, logs);
    }
    return true;
  }

  /** The event is over. */
  leave(port: number, queue: number): void {
    const ring = this.#ring[port];
    if (port === 0 || ring === NONE) return;
    for (let i = 0; i < LISTENERS; i++) {
      if (this.#listeners[ring * LISTENERS + i] === queue) this.#listeners[ring * LISTENERS + i] = 0;
    }
  }

  #tell(queue: number, at: number, nowNs: number, logs: ArrivalPool): void {
    logs.append(
      queue,
      false,
      nowNs,
      this.#enqueueNs[at],
      this.#waitNs[at],
      this.#lengthBytes[at],
      this.#packets[at],
      this.#flowRow[at],
      this.#flowGeneration[at],
      this.#tcpSequence[at],
      this.#hasTcpSequence[at] === 1,
      this.#queueRow[at],
    );
  }

  #take(port: number): number {
    let idlest = 0;
    for (let ring = 1; ring < this.#port.length; ring++) if (this.#usedNs[ring] < this.#usedNs[idlest]) idlest = ring;
    if (this.#usedNs[idlest] > 0) this.#ring[this.#port[idlest]] = NONE;
    this.#ring[port] = idlest;
    this.#port[idlest] = port;
    this.#written[idlest] = 0;
    this.#listeners.fill(0, idlest * LISTENERS, (idlest + 1) * LISTENERS);
    return idlest;
  }
}
