// IFA 2.0: IFA header behind IP, metadata header behind the L4 header, records of 32 octets per hop.
// (draft-kumar-ippm-ifa-08 as scapy implements it; the draft lets namespaces define other records).

import { u16, u32, u8 } from './octets.ts';
import type { OctetsLayer } from './layers.ts';

export interface IfaHeader {
  /** 4 bits. Default 2; scapy writes 3. */
  version?: number;
  /** Global namespace, 4 bits. */
  gns: number;
  /** IP protocol of what follows, TCP or UDP. */
  nextHeader: number;
  /** MF 0x10, TS 0x08, I 0x04, TA 0x02, C 0x01. Default 0. */
  flags?: number;
  /** 8 bits, words of metadata at most. */
  maxLength: number;
  /** What the IP header in front calls IFA. Default 131. */
  ipProtocol?: number;
}

export interface IfaHop {
  /** Local namespace, 4 bits. */
  lns: number;
  /** 20 bits. */
  deviceId: number;
  ttl: number;
  /** 0 to 6: 10, 25, 40, 50, 100, 200, 400 Gbit/s. */
  speed: number;
  /** 2 bits. */
  ecn: number;
  /** 6 bits. */
  queueId: number;
  /** 20 bits. */
  rxSeconds: number;
  /** 16 bits each. */
  egressPort: number;
  ingressPort: number;
  rxNanoseconds: number;
  residenceNanoseconds: number;
  txQueueBytes: number;
  /** 16 bits. */
  queueCells: number;
}

export interface IfaMetadata {
  requestVector: number;
  /** L 0x80, C 0x40 (first and second bit). */
  actionVector?: number;
  hopLimit: number;
  /** Path order: the first node first. */
  hops: readonly IfaHop[];
  /** Words; default: of the records. */
  currentLength?: number;
}

/** 4 octets directly behind the IP header; the L4 layer follows. */
export function ifaHeader(header: IfaHeader): OctetsLayer {
  const octets = Buffer.concat([
    u8(((header.version ?? 2) << 4) | header.gns),
    u8(header.nextHeader),
    u8(header.flags ?? 0),
    u8(header.maxLength),
  ]);
  return { kind: 'octets', octets, ipProtocol: header.ipProtocol ?? 131 };
}

/** 4 octets directly behind the L4 header, and the records, the newest first. */
export function ifaMetadata(metadata: IfaMetadata): OctetsLayer {
  const records = metadata.hops.map(hopOctets).reverse();
  const octets = Buffer.concat([
    u8(metadata.requestVector),
    u8(metadata.actionVector ?? 0),
    u8(metadata.hopLimit),
    u8(metadata.currentLength ?? records.length * 8),
    ...records,
  ]);
  return { kind: 'octets', octets };
}

function hopOctets(hop: IfaHop): Buffer {
  return Buffer.concat([
    u32(hop.lns * 0x1000_0000 + (hop.deviceId & 0xf_ffff) * 0x100 + (hop.ttl & 0xff)),
    u32(hop.speed * 0x1000_0000 + (hop.ecn & 3) * 0x400_0000 + (hop.queueId & 0x3f) * 0x10_0000 + (hop.rxSeconds & 0xf_ffff)),
    u16(hop.egressPort),
    u16(hop.ingressPort),
    u32(hop.rxNanoseconds),
    u32(hop.residenceNanoseconds),
    u32(hop.txQueueBytes),
    u16(0),
    u16(hop.queueCells),
    u32(0),
  ]);
}
