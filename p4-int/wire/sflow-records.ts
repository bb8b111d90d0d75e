// sFlow version 5 flow and counter records. sflow_version_5.txt, sflow_drops.txt (1036), sflow_transit.txt (1039, 1040).

import { ipv4Octets, ipv6Octets, padded, u32, u64 } from './octets.ts';

/** A record of enterprise and format that no other kind covers; its length is that of `body`, fill to words not counted (XDR opaque). */
export interface SflowUnknownRecord {
  kind: 'unknown';
  enterprise: number;
  format: number;
  body: Uint8Array;
}

export type SflowFlowRecord =
  /** Format 1. `protocol`: 1 Ethernet, 11 IPv4, 12 IPv6, 13 MPLS and so on; `frameLength`: octets of the original frame. */
  | { kind: 'rawHeader'; protocol: number; frameLength: number; stripped: number; header: Uint8Array }
  /** Format 1001. */
  | { kind: 'switch'; sourceVlan: number; sourcePriority: number; destinationVlan: number; destinationPriority: number }
  /** Format 1002. `null` is an unknown next hop; the masks are prefix lengths. */
  | { kind: 'router'; nextHop: string | null; sourceMask: number; destinationMask: number }
  /** Format 1036. */
  | { kind: 'egressQueue'; queue: number }
  /** Format 1039: nanoseconds; 0xffffffff means that or more. */
  | { kind: 'transitDelay'; nanoseconds: number }
  /** Format 1040: octets. */
  | { kind: 'queueDepth'; bytes: number }
  | SflowUnknownRecord;

/** Format 1, RFC 2233 counters of one interface. */
export interface SflowInterfaceCounters {
  kind: 'interface';
  ifIndex: number;
  ifType: number;
  /** Bits per second. */
  ifSpeed: bigint;
  /** 0 unknown, 1 full duplex, 2 half duplex, 3 in, 4 out. */
  ifDirection: number;
  /** Bit 0 admin up, bit 1 oper up. */
  ifStatus: number;
  ifInOctets: bigint;
  ifInUcastPkts: number;
  ifInMulticastPkts: number;
  ifInBroadcastPkts: number;
  ifInDiscards: number;
  ifInErrors: number;
  ifInUnknownProtos: number;
  ifOutOctets: bigint;
  ifOutUcastPkts: number;
  ifOutMulticastPkts: number;
  ifOutBroadcastPkts: number;
  ifOutDiscards: number;
  ifOutErrors: number;
  ifPromiscuousMode: number;
}

/** Format 2, RFC 2358 counters of one Ethernet interface. */
export interface SflowEthernetCounters {
  kind: 'ethernet';
  alignmentErrors: number;
  fcsErrors: number;
  singleCollisionFrames: number;
  multipleCollisionFrames: number;
  sqeTestErrors: number;
  deferredTransmissions: number;
  lateCollisions: number;
  excessiveCollisions: number;
  internalMacTransmitErrors: number;
  carrierSenseErrors: number;
  frameTooLongs: number;
  internalMacReceiveErrors: number;
  symbolErrors: number;
}

export type SflowCounterRecord = SflowInterfaceCounters | SflowEthernetCounters | SflowUnknownRecord;

/** The number of records and the records. */
export function recordsOctets(records: readonly (SflowFlowRecord | SflowCounterRecord)[]): Buffer {
  return Buffer.concat([u32(records.length), ...records.map(recordOctets)]);
}

/** Address type (0 unknown, 1 IPv4, 2 IPv6) and the address; `null` is unknown. */
export function sflowAddress(address: string | null): Buffer {
  if (address === null) return u32(0);
  if (address.includes(':')) return Buffer.concat([u32(2), ipv6Octets(address)]);
  return Buffer.concat([u32(1), ipv4Octets(address)]);
}

function recordOctets(record: SflowFlowRecord | SflowCounterRecord): Buffer {
  const [format, body] = formatAndBody(record);
  return Buffer.concat([u32(format), u32(body.length), padded(body, 4)]);
}

function formatAndBody(record: SflowFlowRecord | SflowCounterRecord): [format: number, body: Uint8Array] {
  switch (record.kind) {
    case 'rawHeader': {
      const head = [u32(record.protocol), u32(record.frameLength), u32(record.stripped), u32(record.header.length)];
      return [1, Buffer.concat([...head, padded(record.header, 4)])];
    }
    case 'switch':
      return [1001, words(record.sourceVlan, record.sourcePriority, record.destinationVlan, record.destinationPriority)];
    case 'router':
      return [1002, Buffer.concat([sflowAddress(record.nextHop), words(record.sourceMask, record.destinationMask)])];
    case 'egressQueue':
      return [1036, u32(record.queue)];
    case 'transitDelay':
      return [1039, u32(record.nanoseconds)];
    case 'queueDepth':
      return [1040, u32(record.bytes)];
    case 'interface':
      return [1, interfaceCounters(record)];
    case 'ethernet':
      return [2, ethernetCounters(record)];
    case 'unknown':
      return [record.enterprise * 0x1000 + record.format, record.body];
  }
}

function interfaceCounters(c: SflowInterfaceCounters): Buffer {
  return Buffer.concat([
    words(c.ifIndex, c.ifType),
    u64(c.ifSpeed),
    words(c.ifDirection, c.ifStatus),
    u64(c.ifInOctets),
    words(c.ifInUcastPkts, c.ifInMulticastPkts, c.ifInBroadcastPkts, c.ifInDiscards, c.ifInErrors, c.ifInUnknownProtos),
    u64(c.ifOutOctets),
    words(c.ifOutUcastPkts, c.ifOutMulticastPkts, c.ifOutBroadcastPkts, c.ifOutDiscards, c.ifOutErrors, c.ifPromiscuousMode),
  ]);
}

function ethernetCounters(c: SflowEthernetCounters): Buffer {
  return words(
    c.alignmentErrors,
    c.fcsErrors,
    c.singleCollisionFrames,
    c.multipleCollisionFrames,
    c.sqeTestErrors,
    c.deferredTransmissions,
    c.lateCollisions,
    c.excessiveCollisions,
    c.internalMacTransmitErrors,
    c.carrierSenseErrors,
    c.frameTooLongs,
    c.internalMacReceiveErrors,
    c.symbolErrors,
  );
}

function words(...values: readonly number[]): Buffer {
  return Buffer.concat(values.map(u32));
}
