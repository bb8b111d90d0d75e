// The truncated packet inside a report: Ethernet, VLAN, IPv4, IPv6, TCP, UDP, ICMP, VXLAN, and an INT-MD stack behind L4.
// It keeps the innermost IP flow, because that is the pod's (design fact: an overlay's outer addresses are only nodes).
// Rule: a fragment may stop anywhere. What is whole is kept, the rest is W_INNER_TRUNCATED; nothing here refuses a report.

import { FlowPart, type HopBatch } from '../hop.ts';
import { u16, u24, u32 } from './bytes.ts';
import { decodeIntMd, type IntStack } from './int-md.ts';
import type { SourceProfile } from './profile.ts';
import { Warning } from './reason.ts';

/** InType values of Telemetry Report v2.0 section 3.2 that start a packet. */
export const InnerType = { none: 0, tlv: 1, domainSpecific: 2, ethernet: 3, ipv4: 4, ipv6: 5 } as const;

const MAX_ENCAPSULATIONS = 4;
const MAX_VLAN_TAGS = 4;
const MAX_IPV6_EXTENSIONS = 8;
const PROTOCOL_ICMP = 1;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
const PROTOCOL_ICMPV6 = 58;

/**
 * Decodes the packet at [o, end) into report row `row`; appends the hops of an embedded INT-MD stack to `batch` in path
 * order and describes them in `stack`. Returns warning bits. `lookForInt`: F = 1, or an inner-only report (section 6.7).
 */
export function decodeInnerPacket(
  b: Uint8Array,
  o: number,
  end: number,
  innerType: number,
  batch: HopBatch,
  row: number,
  profile: SourceProfile,
  lookForInt: boolean,
  stack: IntStack,
): number {
  const reports = batch.reports;
  let warnings = 0;
  let layer = innerType;
  for (let depth = 0; depth <= MAX_ENCAPSULATIONS; depth++) {
    if (layer === InnerType.ethernet) {
      if (end - o < 14) return warnings | Warning.innerTruncated;
      let etherType = u16(b, o + 12);
      o += 14;
      for (let tags = 0; etherType === 0x8100 || etherType === 0x88a8 || etherType === 0x9100; tags++) {
        if (tags === MAX_VLAN_TAGS) return warnings;
        if (end - o < 4) return warnings | Warning.innerTruncated;
        etherType = u16(b, o + 2);
        o += 4;
      }
      if (etherType === 0x0800) layer = InnerType.ipv4;
      else if (etherType === 0x86dd) layer = InnerType.ipv6;
      else return warnings;
    }

    let protocol: number;
    let firstFragment = true;
    if (layer === InnerType.ipv4) {
      if (end - o < 20) return warnings | Warning.innerTruncated;
      const headerLength = (b[o] & 0x0f) * 4;
      if (b[o] >>> 4 !== 4 || headerLength < 20) return warnings;
      protocol = b[o + 9];
      firstFragment = (u16(b, o + 6) & 0x1fff) === 0;
      writeIpv4(batch, row, b, o, protocol);
      o += headerLength;
      if (o > end) return warnings | Warning.innerTruncated;
    } else {
      if (end - o < 40) return warnings | Warning.innerTruncated;
      if (b[o] >>> 4 !== 6) return warnings;
      writeIpv6(batch, row, b, o);
      protocol = b[o + 6];
      o += 40;
      for (let extensions = 0; protocol === 0 || protocol === 43 || protocol === 60 || protocol === 44; extensions++) {
        if (extensions === MAX_IPV6_EXTENSIONS) return warnings;
        if (end - o < 8) return warnings | Warning.innerTruncated;
        const length = protocol === 44 ? 8 : (b[o + 1] + 1) * 8;
        if (protocol === 44) firstFragment = u16(b, o + 2) >>> 3 === 0;
        protocol = b[o];
        o += length;
      }
      reports.protocol[row] = protocol;
      if (o > end) return warnings | Warning.innerTruncated;
    }
    if (!firstFragment) return warnings;

    if (protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6) {
      return end - o < 8 ? warnings | Warning.innerTruncated : warnings;
    }
    if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) return warnings;
    if (end - o < 4) return warnings | Warning.innerTruncated;
    reports.sourcePort[row] = u16(b, o);
    reports.destinationPort[row] = u16(b, o + 2);
    reports.flowParts[row] |= FlowPart.ports;

    const l4 = o;
    if (protocol === PROTOCOL_TCP) {
      if (end - o >= 8) {
        reports.tcpSequence[row] = u32(b, o + 4);
        reports.flowParts[row] |= FlowPart.tcpSequence;
      }
      if (end - o < 20) return warnings | Warning.innerTruncated;
    } else if (end - o < 8) return warnings | Warning.innerTruncated;
    o += protocol === PROTOCOL_TCP ? 20 : 8;

    const announcedByPort =
      profile.intUdpPort !== 0 && protocol === PROTOCOL_UDP && reports.destinationPort[row] === profile.intUdpPort;
    if (lookForInt && stack.hops === 0 && (announcedByPort || reports.dscp[row] === profile.intDscp)) {
      // ONOS and GEANT put the shim right behind the 20-octet TCP header even when options follow: look there first.
      let next = decodeIntMd(b, o, end, batch, row, profile, stack);
      if (next === 0 && protocol === PROTOCOL_TCP) {
        const dataOffset = (b[l4 + 12] >>> 4) * 4;
        if (dataOffset > 20 && l4 + dataOffset < end) next = decodeIntMd(b, l4 + dataOffset, end, batch, row, profile, stack);
      }
      warnings |= stack.warnings;
      if (next !== 0) {
        if (stack.nextProtocolType === 0) reports.dscp[row] = stack.originalDscp;
        else if (stack.nextProtocolType === 1) reports.destinationPort[row] = stack.originalPort;
        else {
          // A UDP header was inserted for INT: the original L4 header, with the real ports, follows the stack.
          reports.protocol[row] = stack.originalProtocol;
          reports.flowParts[row] &= ~(FlowPart.ports | FlowPart.tcpSequence);
          if (end - next < 4) return warnings | Warning.innerTruncated;
          reports.sourcePort[row] = u16(b, next);
          reports.destinationPort[row] = u16(b, next + 2);
          reports.flowParts[row] |= FlowPart.ports;
          return warnings;
        }
        o = next;
      }
    }

    if (protocol !== PROTOCOL_UDP || !isVxlanPort(reports.destinationPort[row])) return warnings;
    if (end - o < 8) return warnings | Warning.innerTruncated;
    if ((b[o] & 0x08) === 0) return warnings;
    reports.vni[row] = u24(b, o + 4);
    reports.flowParts[row] |= FlowPart.vni;
    o += 8;
    // A fragment that ends behind the VXLAN header shows nodes only: their flow stays, and the cut is said.
    if (o >= end) return warnings | Warning.innerTruncated;
    layer = InnerType.ethernet;
  }
  return warnings;
}

/** IANA 4789, Linux and Flannel and Cilium 8472, Weave 6784. */
function isVxlanPort(port: number): boolean {
  return port === 4789 || port === 8472 || port === 6784;
}

function writeIpv4(batch: HopBatch, row: number, b: Uint8Array, o: number, protocol: number): void {
  const r = batch.reports;
  const a = row * 4;
  r.sourceAddress[a] = 0;
  r.sourceAddress[a + 1] = 0;
  r.sourceAddress[a + 2] = 0xffff;
  r.sourceAddress[a + 3] = u32(b, o + 12);
  r.destinationAddress[a] = 0;
  r.destinationAddress[a + 1] = 0;
  r.destinationAddress[a + 2] = 0xffff;
  r.destinationAddress[a + 3] = u32(b, o + 16);
  r.addressFamily[row] = 4;
  r.protocol[row] = protocol;
  r.dscp[row] = b[o + 1] >>> 2;
  r.ttl[row] = b[o + 8];
  r.packetLengthBytes[row] = u16(b, o + 2);
  r.flowParts[row] = FlowPart.addresses | (r.flowParts[row] & FlowPart.vni);
}

function writeIpv6(batch: HopBatch, row: number, b: Uint8Array, o: number): void {
  const r = batch.reports;
  for (let word = 0; word < 4; word++) {
    r.sourceAddress[row * 4 + word] = u32(b, o + 8 + word * 4);
    r.destinationAddress[row * 4 + word] = u32(b, o + 24 + word * 4);
  }
  r.addressFamily[row] = 6;
  r.protocol[row] = b[o + 6];
  r.dscp[row] = (u16(b, o) >>> 6) & 0x3f;
  r.ttl[row] = b[o + 7];
  r.packetLengthBytes[row] = 40 + u16(b, o + 4);
  r.flowParts[row] = FlowPart.addresses | (r.flowParts[row] & FlowPart.vni);
}
