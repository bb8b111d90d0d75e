// Telemetry Report v2.0 with everything it can carry: group header and individual reports of every type. Specification v2.0 sections 3.1 to 3.4.
// The simulator's hot path is report-v20.ts, which writes one fixed shape; this one writes any, for tests.

import { padded, u16, u32, u8 } from './octets.ts';
import {
  bitMask,
  bufferWord,
  doubleWord,
  dropWord,
  interfacePair,
  queueWord,
  word,
  type Known,
  type NodeMetadata,
  type QueueDrop,
} from './metadata.ts';

/** RepMdBits; a key that is present (even as `null`, all ones) sets its bit. `nodeId` sets bit 0, which is reserved (5.4). */
export interface MetadataV20 extends NodeMetadata {
  drop?: Known<QueueDrop>;
  /** Words of the reserved bits 9 to 14, by bit number. */
  reserved?: Partial<Record<9 | 10 | 11 | 12 | 13 | 14, number>>;
}

/** One TLV of InType 1. */
export interface TlvV20 {
  /** 0 domain-specific extension, 1 Ethernet, 2 IPv4, 3 IPv6; 4 bits. */
  type: number;
  /** Default 0. */
  dataTemplate?: number;
  /** Filled with zeros to words. */
  data: Uint8Array;
}

export type InnerV20 =
  | { inType: 0 }
  | { inType: 1; tlvs: readonly TlvV20[] }
  /** 2: domain-specific extension data; 6 to 15: reserved. Filled with zeros to words. */
  | { inType: 2 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15; data: Uint8Array }
  /** Ethernet, IPv4, IPv6: the packet, of which `truncateTo` octets are taken; filled with zeros to words. */
  | { inType: 3 | 4 | 5; packet: Uint8Array; truncateTo?: number };

interface CommonV20 {
  dropped?: boolean;
  congestedQueue?: boolean;
  trackedFlow?: boolean;
  intermediate?: boolean;
  inner: InnerV20;
  /** Words behind the first; default: of what is written, 0xff from 255 words on (allowed in the last report only). */
  reportLength?: number;
  /** Words; default: of the metadata that is written. */
  mdLength?: number;
}

/** RepType 0: inner contents only. */
export interface InnerOnlyReportV20 extends CommonV20 {
  repType: 0;
}

/** RepType 1: INT. */
export interface IntReportV20 extends CommonV20 {
  repType: 1;
  metadata: MetadataV20;
  /** Overrides the bits that follow from `metadata`. */
  repMdBits?: number;
  domainSpecificId?: number;
  dsMdBits?: number;
  dsMdStatus?: number;
  /** Behind the baseline metadata, a multiple of 4 octets. */
  domainSpecificMetadata?: Uint8Array;
}

/** RepType 2 (IOAM, undefined contents) and the reserved types 3 to 15. */
export interface OtherReportV20 extends CommonV20 {
  repType: 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15;
  /** Main contents, filled with zeros to words. */
  contents: Uint8Array;
}

export type IndividualReportV20 = InnerOnlyReportV20 | IntReportV20 | OtherReportV20;

export interface GroupV20 {
  /** 6 bits. */
  hardwareId: number;
  /** Taken modulo 2^22. */
  sequence: number;
  nodeId: number;
  reports: readonly IndividualReportV20[];
  /** Default 2. */
  version?: number;
}

/** The datagram: group header and its reports. */
export function reportGroupV20(group: GroupV20): Buffer {
  const first = (group.version ?? 2) * 0x1000_0000 + (group.hardwareId & 0x3f) * 0x40_0000 + (group.sequence & 0x3f_ffff);
  const reports = group.reports.map((report, index) => individualReportV20(report, index === group.reports.length - 1));
  return Buffer.concat([u32(first), u32(group.nodeId), ...reports]);
}

/** One individual report; `isLast` permits 255 words and more. */
export function individualReportV20(report: IndividualReportV20, isLast = true): Buffer {
  const [main, mdLength] = mainContents(report);
  const body = Buffer.concat([main, innerContents(report.inner)]);
  const words = body.length / 4;
  if (words >= 255 && !isLast && report.reportLength === undefined) throw new Error('only the last report extends to the end');
  const flags =
    (report.dropped ? 0x80 : 0) |
    (report.congestedQueue ? 0x40 : 0) |
    (report.trackedFlow ? 0x20 : 0) |
    (report.intermediate ? 0x10 : 0);
  return Buffer.concat([
    u8((report.repType << 4) | report.inner.inType),
    u8(report.reportLength ?? Math.min(words, 0xff)),
    u8(report.mdLength ?? mdLength),
    u8(flags),
    body,
  ]);
}

function mainContents(report: IndividualReportV20): [octets: Buffer, mdLength: number] {
  if (report.repType === 0) return [Buffer.alloc(0), 0];
  if (report.repType !== 1) return [padded(report.contents, 4), 0];
  const [bits, baseline] = metadataOctets(report.metadata);
  const metadata = Buffer.concat([baseline, report.domainSpecificMetadata ?? Buffer.alloc(0)]);
  if (metadata.length % 4 !== 0) throw new Error('metadata is counted in words');
  const octets = Buffer.concat([
    u16(report.repMdBits ?? bits),
    u16(report.domainSpecificId ?? 0),
    u16(report.dsMdBits ?? 0),
    u16(report.dsMdStatus ?? 0),
    metadata,
  ]);
  return [octets, metadata.length / 4];
}

function metadataOctets(metadata: MetadataV20): [bits: number, octets: Buffer] {
  const reserved = metadata.reserved ?? {};
  const units = [
    metadata.nodeId === undefined ? undefined : word(metadata.nodeId),
    metadata.level1Interfaces === undefined ? undefined : interfacePair(metadata.level1Interfaces, 2),
    metadata.hopLatency === undefined ? undefined : word(metadata.hopLatency),
    metadata.queue === undefined ? undefined : queueWord(metadata.queue),
    metadata.ingressTimestamp === undefined ? undefined : doubleWord(metadata.ingressTimestamp),
    metadata.egressTimestamp === undefined ? undefined : doubleWord(metadata.egressTimestamp),
    metadata.level2Interfaces === undefined ? undefined : interfacePair(metadata.level2Interfaces, 4),
    metadata.egressTxUtilization === undefined ? undefined : word(metadata.egressTxUtilization),
    metadata.buffer === undefined ? undefined : bufferWord(metadata.buffer),
    ...([9, 10, 11, 12, 13, 14] as const).map((n) => (reserved[n] === undefined ? undefined : u32(reserved[n]))),
    metadata.drop === undefined ? undefined : dropWord(metadata.drop),
  ];
  const bits = units.reduce((sum, unit, n) => sum | (unit === undefined ? 0 : bitMask(n)), 0);
  return [bits, Buffer.concat(units.filter((unit) => unit !== undefined))];
}

function innerContents(inner: InnerV20): Buffer {
  if (inner.inType === 0) return Buffer.alloc(0);
  if (inner.inType === 1) return Buffer.concat(inner.tlvs.map(tlvOctets));
  if ('data' in inner) return padded(inner.data, 4);
  return padded(inner.packet.subarray(0, inner.truncateTo), 4);
}

function tlvOctets(tlv: TlvV20): Buffer {
  const data = padded(tlv.data, 4);
  if (data.length > 255 * 4) throw new Error('a TLV holds 255 words at most');
  return Buffer.concat([u8(tlv.type << 4), u8(data.length / 4), u16(tlv.dataTemplate ?? 0), data]);
}
