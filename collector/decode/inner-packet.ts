// The truncated packet inside a report: Ethernet, VLAN, IPv4, IPv6, TCP, UDP, ICMP, VXLAN, and an INT-MD stack behind L4.
// It keeps the innermost IP flow, because that is the pod's (an overlay's outer addresses are only nodes).
//
//   link ─▶ network ─▶ transport ─▶ (INT-MD ─▶ original port, DSCP or protocol) ─▶ (VXLAN ─▶ link ...)
//
// Rule: a fragment may stop anywhere. What is whole is kept, the rest is W_INNER_TRUNCATED; nothing here refuses a report.

import { FlowPart, type HopBatch } from '../hop.ts';
import { u16, u24, u32 } from './bytes.ts';
import { decodeIntMd, NextProtocolType, type IntStack } from './int-md.ts';
import type { SourceProfile } from './profile.ts';
import { Warning } from './reason.ts';

/** InType values of Telemetry Report v2.0 section 3.2 that start a packet. */
export const InnerType = { none: 0, tlv: 1, domainSpecific: 2, ethernet: 3, ipv4: 4, ipv6: 5 } as const;

const MAX_ENCAPSULATIONS = 4;
const MAX_VLAN_TAGS = 4;
const MAX_IPV6_EXTENSIONS = 8;
const EtherType = { ipv4: 0x0800, ipv6: 0x86dd, vlan: 0x8100, provider: 0x88a8, oldProvider: 0x9100 } as const;
const Protocol = {
  hopByHop: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  authentication: 51,
  icmpv6: 58,
  options: 60,
} as const;

/** Where the walk through a packet stands. One for all packets: nothing is allocated per report. */
class Cursor {
  offset = 0;
  /** InnerType that comes next; InnerType.none: the walk is over. */
  layer: number = InnerType.none;
  /** IP protocol behind the network layer; -1 when there is no more to read. */
  protocol = -1;
  warnings = 0;

  /** The walk ends here because the fragment does. */
  truncate(): void {
    this.warnings |= Warning.innerTruncated;
    this.stop();
  }

  /** The walk ends here: nothing that is known follows. */
  stop(): void {
    this.layer = InnerType.none;
    this.protocol = -1;
  }
}

const at = new Cursor();

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
  at.offset = o;
  at.layer = innerType;
  at.warnings = 0;
  for (let depth = 0; depth <= MAX_ENCAPSULATIONS && at.layer !== InnerType.none; depth++) {
    at.protocol = -1;
    if (at.layer === InnerType.ethernet) readLink(b, end);
    if (at.layer === InnerType.ipv4) readIpv4(b, end, batch, row);
    else if (at.layer === InnerType.ipv6) readIpv6(b, end, batch, row);
    at.layer = InnerType.none;
    if (at.protocol === Protocol.icmp || at.protocol === Protocol.icmpv6) {
      if (end - at.offset < 8) at.truncate();
    } else if (at.protocol >= 0) readTransport(b, end, batch, row, profile, lookForInt, stack);
  }
  return at.warnings;
}

/** True for an Ethernet frame with a sane EtherType and IP version: what some programs send where they announce IP. */
export function looksLikeEthernet(b: Uint8Array, o: number, end: number): boolean {
  for (let type = o + 12, tags = 0; tags <= MAX_VLAN_TAGS && end - type >= 3; type += 4, tags++) {
    const etherType = u16(b, type);
    if (etherType === EtherType.ipv4) return b[type + 2] >>> 4 === 4;
    if (etherType === EtherType.ipv6) return b[type + 2] >>> 4 === 6;
    if (!isVlanTag(etherType)) return false;
  }
  return false;
}

function isVlanTag(etherType: number): boolean {
  return etherType === EtherType.vlan || etherType === EtherType.provider || etherType === EtherType.oldProvider;
}

function readLink(b: Uint8Array, end: number): void {
  if (end - at.offset < 14) return at.truncate();
  let etherType = u16(b, at.offset + 12);
  at.offset += 14;
  for (let tags = 0; isVlanTag(etherType); tags++) {
    if (tags === MAX_VLAN_TAGS) return at.stop();
    if (end - at.offset < 4) return at.truncate();
    etherType = u16(b, at.offset + 2);
    at.offset += 4;
  }
  at.layer = etherType === EtherType.ipv4 ? InnerType.ipv4 : etherType === EtherType.ipv6 ? InnerType.ipv6 : InnerType.none;
}

function readIpv4(b: Uint8Array, end: number, batch: HopBatch, row: number): void {
  const o = at.offset;
  if (end - o < 20) return at.truncate();
  const headerLength = (b[o] & 0x0f) * 4;
  if (b[o] >>> 4 !== 4 || headerLength < 20) return at.stop();
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
  r.protocol[row] = b[o + 9];
  r.dscp[row] = b[o + 1] >>> 2;
  r.ttl[row] = b[o + 8];
  r.packetLengthBytes[row] = u16(b, o + 2);
  r.flowParts[row] = FlowPart.addresses | (r.flowParts[row] & FlowPart.vni);
  at.offset += headerLength;
  if (at.offset > end) return at.truncate();
  const isLaterFragment = (u16(b, o + 6) & 0x1fff) !== 0;
  // What lies behind a packet that is shorter than an L4 header is the padding of its frame.
  const isPadding = u16(b, o + 2) >= headerLength && u16(b, o + 2) < headerLength + 4;
  if (isLaterFragment || isPadding) return at.stop();
  at.protocol = b[o + 9];
}

function readIpv6(b: Uint8Array, end: number, batch: HopBatch, row: number): void {
  const o = at.offset;
  if (end - o < 40) return at.truncate();
  if (b[o] >>> 4 !== 6) return at.stop();
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
  at.offset += 40;
  at.protocol = b[o + 6];
  for (let extensions = 0; isExtension(at.protocol); extensions++) {
    if (extensions === MAX_IPV6_EXTENSIONS) return at.stop();
    if (end - at.offset < 8) return at.truncate();
    const kind = at.protocol;
    const header = at.offset;
    at.protocol = b[header];
    r.protocol[row] = at.protocol;
    at.offset += extensionBytes(kind, b[header + 1]);
    if (at.offset > end) return at.truncate();
    // Behind a later fragment lies the middle of a packet, whatever the next header says.
    if (kind === Protocol.fragment && u16(b, header + 2) >>> 3 !== 0) return at.stop();
  }
}

function isExtension(protocol: number): boolean {
  return (
    protocol === Protocol.hopByHop ||
    protocol === Protocol.routing ||
    protocol === Protocol.options ||
    protocol === Protocol.fragment ||
    protocol === Protocol.authentication
  );
}

/** Octets of an IPv6 extension header (RFC 8200 section 4; authentication: RFC 4302 section 2.2). */
function extensionBytes(protocol: number, length: number): number {
  if (protocol === Protocol.fragment) return 8;
  return protocol === Protocol.authentication ? (length + 2) * 4 : (length + 1) * 8;
}

function readTransport(
  b: Uint8Array,
  end: number,
  batch: HopBatch,
  row: number,
  profile: SourceProfile,
  lookForInt: boolean,
  stack: IntStack,
): void {
  const { protocol } = at;
  if (protocol !== Protocol.tcp && protocol !== Protocol.udp) return at.stop();
  const r = batch.reports;
  const o = at.offset;
  if (end - o < 4) return at.truncate();
  r.sourcePort[row] = u16(b, o);
  r.destinationPort[row] = u16(b, o + 2);
  r.flowParts[row] |= FlowPart.ports;
  if (protocol === Protocol.tcp && end - o >= 8) {
    r.tcpSequence[row] = u32(b, o + 4);
    r.flowParts[row] |= FlowPart.tcpSequence;
  }
  const headerBytes = protocol === Protocol.tcp ? 20 : 8;
  if (end - o < headerBytes) return at.truncate();
  at.offset += headerBytes;

  const isAnnounced =
    r.dscp[row] === profile.intDscp ||
    (profile.intUdpPort !== 0 && protocol === Protocol.udp && r.destinationPort[row] === profile.intUdpPort);
  if (lookForInt && !stack.isInt && isAnnounced && readInt(b, o, end, batch, row, profile, stack)) return;
  if (protocol === Protocol.udp && isVxlanPort(r.destinationPort[row])) return readVxlan(b, end, batch, row);
  if (protocol === Protocol.tcp && !stack.isInt && o + (b[o + 12] >>> 4) * 4 > end) at.warnings |= Warning.innerTruncated;
  at.stop();
}

/**
 * Looks for INT-MD behind the L4 header at `l4` and undoes what INT overwrote. Returns true when the original L4 header followed the
 * stack and has been read; false when the walk goes on at the cursor, behind the stack if there was one.
 */
function readInt(
  b: Uint8Array,
  l4: number,
  end: number,
  batch: HopBatch,
  row: number,
  profile: SourceProfile,
  stack: IntStack,
): boolean {
  // ONOS and GEANT put the shim right behind the 20-octet TCP header even when options follow: look there first.
  let next = decodeIntMd(b, at.offset, end, batch, row, profile, stack);
  if (!stack.isInt && at.protocol === Protocol.tcp) {
    const options = l4 + (b[l4 + 12] >>> 4) * 4;
    if (options > at.offset && options < end) next = decodeIntMd(b, options, end, batch, row, profile, stack);
  }
  at.warnings |= stack.warnings;
  if (!stack.isInt) return false;
  const r = batch.reports;
  if (stack.nextProtocolType === NextProtocolType.originalDscp) r.dscp[row] = stack.originalDscp;
  else if (stack.nextProtocolType === NextProtocolType.originalPort) r.destinationPort[row] = stack.originalPort;
  else {
    // A UDP header was inserted for INT: the original L4 header, with the real ports, follows the stack.
    r.protocol[row] = stack.originalProtocol;
    r.sourcePort[row] = 0;
    r.destinationPort[row] = 0;
    r.flowParts[row] &= ~(FlowPart.ports | FlowPart.tcpSequence);
    if (next === 0) at.stop();
    else {
      at.offset = next;
      at.protocol = stack.originalProtocol;
      readTransport(b, end, batch, row, profile, false, stack);
    }
    return true;
  }
  if (next !== 0) at.offset = next;
  return false;
}

function readVxlan(b: Uint8Array, end: number, batch: HopBatch, row: number): void {
  if (end - at.offset < 8) return at.truncate();
  if ((b[at.offset] & 0x08) === 0) return at.stop();
  batch.reports.vni[row] = u24(b, at.offset + 4);
  batch.reports.flowParts[row] |= FlowPart.vni;
  at.offset += 8;
  // A fragment that ends behind the VXLAN header shows nodes only: their flow stays, and the cut is said.
  if (at.offset >= end) return at.truncate();
  at.layer = InnerType.ethernet;
}

/** IANA 4789, Linux and Flannel and Cilium 8472, Weave 6784. */
function isVxlanPort(port: number): boolean {
  return port === 4789 || port === 8472 || port === 6784;
}
