// A flow: whose packets they are, where they go, and what their heads say.

import { crc32 } from 'node:zlib';
import type { TrafficSpec } from './scenario.ts';

/** Who receives what a flow delivers; a TCP connection is told of every packet. */
export interface Receiver {
  /** `sequence`, `acknowledgment` and `flags` as in the TCP header; `payload` octets. */
  receive(packet: number): void;
}

export interface FlowParts {
  index: number;
  /** Index of the workload that sends, and of the one that is sent to. */
  owner: number;
  peer: number;
  fromHost: number;
  toHost: number;
  sourceAddress: string;
  destinationAddress: string;
  protocol: 6 | 17;
  sourcePort: number;
  destinationPort: number;
  dscp: number;
  /** Its packets may be marked instead of dropped. */
  isEcnCapable: boolean;
  gtpu?: TrafficSpec['gtpu'];
}

export class Flow implements FlowParts {
  readonly index: number;
  readonly owner: number;
  readonly peer: number;
  readonly fromHost: number;
  readonly toHost: number;
  readonly sourceAddress: string;
  readonly destinationAddress: string;
  readonly protocol: 6 | 17;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly dscp: number;
  readonly isEcnCapable: boolean;
  readonly gtpu: TrafficSpec['gtpu'];
  /** CRC-32 of what a switch hashes: the outermost addresses, ports and protocol. */
  readonly hash: number;
  /** What the packets are delivered to; nobody by default. */
  receiver: Receiver | undefined;
  nextIdentification = 0;
  /** Bit by prefix of a fault: whether it is meant. See Routing. */
  prefixBits = 0;

  constructor(parts: FlowParts) {
    this.index = parts.index;
    this.owner = parts.owner;
    this.peer = parts.peer;
    this.fromHost = parts.fromHost;
    this.toHost = parts.toHost;
    this.sourceAddress = parts.sourceAddress;
    this.destinationAddress = parts.destinationAddress;
    this.protocol = parts.protocol;
    this.sourcePort = parts.sourcePort;
    this.destinationPort = parts.destinationPort;
    this.dscp = parts.dscp;
    this.isEcnCapable = parts.isEcnCapable;
    this.gtpu = parts.gtpu;
    const { gtpu } = parts;
    this.hash = crc32(
      gtpu === undefined
        ? `${parts.sourceAddress} ${parts.destinationAddress} ${parts.protocol} ${parts.sourcePort} ${parts.destinationPort}`
        : `${gtpu.outerSource} ${gtpu.outerDestination} 17 2152 2152`,
    );
  }

  get isV6(): boolean {
    return this.destinationAddress.includes(':');
  }

  /** The address that the fabric forwards by. */
  get routedAddress(): string {
    return this.gtpu?.outerDestination ?? this.destinationAddress;
  }
}
