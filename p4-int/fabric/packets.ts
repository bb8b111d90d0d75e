// Packets under way, in columns; a packet is the number of its row, and rows of packets that have arrived or were dropped are used again.

import { larger } from './columns.ts';
import type { Flow } from './flow.ts';

export const TcpFlag = { fin: 1, syn: 2, ack: 16, ece: 64 } as const;

export class Packets {
  flow: Flow[] = [];
  /** Octets of IP, of the outermost header on. */
  bytes = new Int32Array(1024);
  ttl = new Uint8Array(1024);
  /** 0: its sender cannot be told of congestion; 2: it can; 3: it is told (RFC 3168). */
  ecn = new Uint8Array(1024);
  tcpFlags = new Uint8Array(1024);
  identification = new Uint16Array(1024);
  tcpSequence = new Uint32Array(1024);
  tcpAcknowledgment = new Uint32Array(1024);
  payloadBytes = new Int32Array(1024);
  /** Distinct for every packet that was ever sent. */
  serial = new Float64Array(1024);
  sentPs = new Float64Array(1024);
  /** Sum of the times that it spent in switches. */
  hopLatencySumPs = new Float64Array(1024);
  hops = new Uint8Array(1024);
  /** Where it is: port that it came in by, and the port and queue that it waits for. */
  ingressPort = new Int32Array(1024);
  egressPort = new Int32Array(1024);
  queue = new Uint8Array(1024);
  ingressPs = new Float64Array(1024);
  enqueuedPs = new Float64Array(1024);
  /** Octets and packets in the queue when it came. */
  queueBytes = new Int32Array(1024);
  queuePackets = new Int32Array(1024);
  /** The packet behind it in its queue; -1 at the end. */
  next = new Int32Array(1024);
  readonly #free: number[] = [];
  #rows = 0;
  #serials = 0;

  /** Packets under way. */
  get alive(): number {
    return this.#rows - this.#free.length;
  }

  /** A row for a new packet of the flow. */
  add(flow: Flow, bytes: number, nowPs: number): number {
    const packet = this.#free.pop() ?? this.#newRow();
    this.flow[packet] = flow;
    this.bytes[packet] = bytes;
    this.ttl[packet] = 64;
    this.ecn[packet] = flow.isEcnCapable ? 2 : 0;
    this.tcpFlags[packet] = TcpFlag.ack;
    this.identification[packet] = flow.nextIdentification++;
    this.tcpSequence[packet] = 0;
    this.tcpAcknowledgment[packet] = 0;
    this.payloadBytes[packet] = 0;
    this.serial[packet] = this.#serials++;
    this.sentPs[packet] = nowPs;
    this.hopLatencySumPs[packet] = 0;
    this.hops[packet] = 0;
    this.next[packet] = -1;
    return packet;
  }

  /** Whether its switch has chosen a port for it yet: what is dropped before has none. */
  hasPort(packet: number): boolean {
    return this.enqueuedPs[packet] >= this.ingressPs[packet];
  }

  free(packet: number): void {
    this.#free.push(packet);
  }

  #newRow(): number {
    if (this.#rows === this.bytes.length) this.#grow();
    return this.#rows++;
  }

  #grow(): void {
    this.bytes = larger(this.bytes);
    this.ttl = larger(this.ttl);
    this.ecn = larger(this.ecn);
    this.tcpFlags = larger(this.tcpFlags);
    this.identification = larger(this.identification);
    this.tcpSequence = larger(this.tcpSequence);
    this.tcpAcknowledgment = larger(this.tcpAcknowledgment);
    this.payloadBytes = larger(this.payloadBytes);
    this.serial = larger(this.serial);
    this.sentPs = larger(this.sentPs);
    this.hopLatencySumPs = larger(this.hopLatencySumPs);
    this.hops = larger(this.hops);
    this.ingressPort = larger(this.ingressPort);
    this.egressPort = larger(this.egressPort);
    this.queue = larger(this.queue);
    this.ingressPs = larger(this.ingressPs);
    this.enqueuedPs = larger(this.enqueuedPs);
    this.queueBytes = larger(this.queueBytes);
    this.queuePackets = larger(this.queuePackets);
    this.next = larger(this.next);
  }
}
