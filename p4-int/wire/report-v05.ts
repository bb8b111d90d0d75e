// Telemetry Report v0.5: fixed header, drop or switch-local header, Ethernet frame to the end of the datagram. Specification v0.5 section 3.2.

import { u16, u32, u8 } from './octets.ts';

export interface FixedHeaderV05 {
  dropped?: boolean;
  congestedQueue?: boolean;
  trackedFlow?: boolean;
  /** 6 bits. */
  hardwareId: number;
  /** 32 bits. */
  sequence: number;
  /** 32 bits, nanoseconds by the letter. */
  ingressTimestamp: number;
  /** Default 0. */
  version?: number;
}

/** NProto 1: 12 octets. */
export interface DropHeaderV05 {
  switchId: number;
  ingressPort: number;
  egressPort: number;
  /** 8 bits. */
  queueId: number;
  /** 8 bits. */
  dropReason: number;
}

/** NProto 2: 16 octets. */
export interface LocalHeaderV05 {
  switchId: number;
  ingressPort: number;
  egressPort: number;
  /** 8 bits. */
  queueId: number;
  /** 24 bits. */
  queueOccupancy: number;
  /** 32 bits. */
  egressTimestamp: number;
}

export type ReportV05 = FixedHeaderV05 & {
  /** An Ethernet frame, whole or cut. */
  packet: Uint8Array;
} & ({ nProto: 0 } | { nProto: 1; drop: DropHeaderV05 } | { nProto: 2; local: LocalHeaderV05 });

/** The datagram of one report. */
export function reportV05(report: ReportV05): Buffer {
  return Buffer.concat([fixedHeaderV05(report, report.nProto), secondHeader(report), report.packet]);
}

/** The 12 octets that every v0.5 report starts with; `nProto` is 4 bits. */
export function fixedHeaderV05(header: FixedHeaderV05, nProto: number): Buffer {
  const flags = (header.dropped ? 0x80 : 0) | (header.congestedQueue ? 0x40 : 0) | (header.trackedFlow ? 0x20 : 0);
  return Buffer.concat([
    u8(((header.version ?? 0) << 4) | nProto),
    u8(flags),
    u8(0),
    u8(header.hardwareId & 0x3f),
    u32(header.sequence),
    u32(header.ingressTimestamp),
  ]);
}

function secondHeader(report: ReportV05): Buffer {
  switch (report.nProto) {
    case 0:
      return Buffer.alloc(0);
    case 1: {
      const { switchId, ingressPort, egressPort, queueId, dropReason } = report.drop;
      return Buffer.concat([u32(switchId), u16(ingressPort), u16(egressPort), u8(queueId), u8(dropReason), u16(0)]);
    }
    case 2: {
      const { switchId, ingressPort, egressPort, queueId, queueOccupancy, egressTimestamp } = report.local;
      const queue = u32(queueId * 0x100_0000 + (queueOccupancy & 0xff_ffff));
      return Buffer.concat([u32(switchId), u16(ingressPort), u16(egressPort), queue, u32(egressTimestamp)]);
    }
  }
}
