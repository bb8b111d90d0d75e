// Telemetry Report v1.0: one report per datagram, header with optional metadata, packet to the end. Specification v1.0 sections 3.1 to 3.3, and as ONOS has it.

import { u32 } from './octets.ts';
import { dropWord, interfacePair, queueWord, word, type NodeMetadata, type Known, type QueueDrop } from './metadata.ts';

/** RepMdBits 0 to 5; a key that is present (even as `null`, all ones) sets its bit. */
export interface MetadataV10 extends Pick<NodeMetadata, 'level1Interfaces' | 'hopLatency' | 'queue' | 'egressTxUtilization'> {
  /** 32 bits. */
  egressTimestamp?: Known<number>;
  drop?: Known<QueueDrop>;
}

export interface ReportV10 {
  /** 0 Ethernet, 1 IPv4, 2 IPv6; 3 bits. */
  nProt: number;
  dropped?: boolean;
  congestedQueue?: boolean;
  trackedFlow?: boolean;
  /** `onos`: D, Q, F in front of the reserved bits. Default: behind them. */
  flagPlacement?: 'onos';
  /** 6 bits. */
  hardwareId: number;
  switchId: number;
  /** 32 bits. */
  sequence: number;
  /** 32 bits. */
  ingressTimestamp: number;
  metadata?: MetadataV10;
  /** Words of a later revision behind the metadata, counted in Length. */
  surplus?: Uint8Array;
  /** Words of the whole header; default: of what is written. */
  length?: number;
  /** Default 1. */
  version?: number;
  /** Begins with the header that `nProt` names; whole or cut. */
  packet: Uint8Array;
}

/** The datagram of one report. */
export function reportV10(report: ReportV10): Buffer {
  const [bits, octets] = metadataOctets(report.metadata ?? {});
  const optional = Buffer.concat([octets, report.surplus ?? Buffer.alloc(0)]);
  const flags = (report.dropped ? 4 : 0) | (report.congestedQueue ? 2 : 0) | (report.trackedFlow ? 1 : 0);
  const first =
    (report.version ?? 1) * 0x1000_0000 +
    ((report.length ?? 4 + optional.length / 4) & 0xf) * 0x100_0000 +
    report.nProt * 0x20_0000 +
    bits * 0x8000 +
    flags * (report.flagPlacement === 'onos' ? 0x1000 : 0x40) +
    (report.hardwareId & 0x3f);
  return Buffer.concat([
    u32(first),
    u32(report.switchId),
    u32(report.sequence),
    u32(report.ingressTimestamp),
    optional,
    report.packet,
  ]);
}

function metadataOctets(metadata: MetadataV10): [bits: number, octets: Buffer] {
  const { level1Interfaces, hopLatency, queue, egressTimestamp, drop, egressTxUtilization } = metadata;
  const units = [
    level1Interfaces === undefined ? undefined : interfacePair(level1Interfaces, 2),
    hopLatency === undefined ? undefined : word(hopLatency),
    queue === undefined ? undefined : queueWord(queue),
    egressTimestamp === undefined ? undefined : word(egressTimestamp),
    drop === undefined ? undefined : dropWord(drop),
    egressTxUtilization === undefined ? undefined : word(egressTxUtilization),
  ];
  const bits = units.reduce((sum, unit, n) => sum | (unit === undefined ? 0 : 0x20 >>> n), 0);
  return [bits, Buffer.concat(units.filter((unit) => unit !== undefined))];
}
