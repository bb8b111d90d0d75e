// The truncated packet inside a report: Ethernet, VLAN, IPv4, IPv6, TCP, UDP, ICMP, VXLAN, and an INT-MD stack behind L4.
// It keeps the innermost IP flow, because that is the pod's (an overlay's outer addresses are only nodes).
//
//   link ─▶ network ─▶ transport ─▶ (INT-MD ─▶ original port, DSCP or protocol) ─▶ (VXLAN ─▶ link ...)
//
// Rule: a fragment may stop anywhere. What is whole is kept, the rest is W_INNER_TRUNCATED; nothing here refuses a report.

import { FLOW_WORDS, FlowPart, FlowWord, type HopBatch } from '../hop.ts';
import { u24 } from './bytes.ts';
import { NextProtocolType, type DecodeIntMd, type IntStack } from './int-md.ts';
import type { SourceProfile } from './profile.ts';
import { Warning } from './reason.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const KEY_WORDS = FLOW_WORDS;
const { addresses: PART_ADDRESSES, ports: PART_PORTS, tcpSequence: PART_TCP_SEQUENCE } = FlowPart;
const { ports: WORD_PORTS, protocol: WORD_PROTOCOL, tunnel: WORD_TUNNEL } = FlowWord;

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

/**
 * Decodes the packet at [o, end) into report row `row`; appends the hops of an embedded INT-MD stack in path order. Returns
 * warning bits. `lookForInt`: F = 1, or an inner-only report (section 6.7).
 */
export type DecodeInnerPacket = (
  b: DataView,
  o: number,
  end: number,
  innerType: number,
  row: number,
  profile: SourceProfile,
  lookForInt: boolean,
) => number;

/** The decoder over a batch; `stack` is where `decodeIntMd` describes what it found. */
export function innerPacketOver(batch: HopBatch, stack: IntStack, decodeIntMd: DecodeIntMd): DecodeInnerPacket {
  const { flowParts, flowKey, ttl, dscp, packetLengthBytes, tcpSequence } = batch.reports;
  const at = new Cursor();

  function decodeInnerPacket(
    b: DataView,
    o: number,
    end: number,
    innerType: number,
    row: number,
    profile: SourceProfile,
    lookForInt: boolean,
  ): number {
    at.offset = o;
    at.layer = innerType;
    at.warnings = 0;
    for (let depth = 0; depth <= MAX_ENCAPSULATIONS && at.layer !== InnerType.none; depth++) {
      at.protocol = -1;
      if (at.layer === InnerType.ethernet) readLink(b, end);
      if (at.layer === InnerType.ipv4) readIpv4(b, end, row);
      else if (at.layer === InnerType.ipv6) readIpv6(b, end, row);
      at.layer = InnerType.none;
      if (at.protocol === Protocol.icmp || at.protocol === Protocol.icmpv6) {
        if (end - at.offset < 8) at.truncate();
      } else if (at.protocol >= 0) readTransport(b, end, row, profile, lookForInt);
    }
    return at.warnings;
  }

  function readLink(b: DataView, end: number): void {
    if (end - at.offset < 14) return at.truncate();
    let etherType = b.getUint16(at.offset + 12);
    at.offset += 14;
    for (let tags = 0; isVlanTag(etherType); tags++) {
      if (tags === MAX_VLAN_TAGS) return at.stop();
      if (end - at.offset < 4) return at.truncate();
      etherType = b.getUint16(at.offset + 2);
      at.offset += 4;
    }
    at.layer = etherType === EtherType.ipv4 ? InnerType.ipv4 : etherType === EtherType.ipv6 ? InnerType.ipv6 : InnerType.none;
  }

  function readIpv4(b: DataView, end: number, row: number): void {
    const o = at.offset;
    if (end - o < 20) return at.truncate();
    const first = b.getUint32(o);
    const headerLength = ((first >>> 24) & 0x0f) * 4;
    if (first >>> 28 !== 4 || headerLength < 20) return at.stop();
    const totalLength = first & 0xffff;
    const third = b.getUint32(o + 8);
    const protocol = (third >>> 16) & 0xff;
    const k = row * KEY_WORDS;
    flowKey[k] = 0;
    flowKey[k + 1] = 0;
    flowKey[k + 2] = 0xffff;
    flowKey[k + 3] = b.getUint32(o + 12);
    flowKey[k + 4] = 0;
    flowKey[k + 5] = 0;
    flowKey[k + 6] = 0xffff;
    flowKey[k + 7] = b.getUint32(o + 16);
    // Ports of an outer packet are not this one's.
    flowKey[k + WORD_PORTS] = 0;
    flowKey[k + WORD_PROTOCOL] = (4 << 8) | protocol;
    dscp[row] = (first >>> 18) & 0x3f;
    ttl[row] = third >>> 24;
    packetLengthBytes[row] = totalLength;
    flowParts[row] = PART_ADDRESSES;
    at.offset += headerLength;
    if (at.offset > end) return at.truncate();
    const isLaterFragment = (b.getUint16(o + 6) & 0x1fff) !== 0;
    // What lies behind a packet that is shorter than an L4 header is the padding of its frame.
    const isPadding = totalLength >= headerLength && totalLength < headerLength + 4;
    if (isLaterFragment || isPadding) return at.stop();
    at.protocol = protocol;
  }

  function readIpv6(b: DataView, end: number, row: number): void {
    const o = at.offset;
    if (end - o < 40) return at.truncate();
    if (b.getUint8(o) >>> 4 !== 6) return at.stop();
    // Source and destination lie one behind the other, on the wire as in the key.
    for (let word = 0; word < 8; word++) flowKey[row * KEY_WORDS + word] = b.getUint32(o + 8 + word * 4);
    const protocolAt = row * KEY_WORDS + WORD_PROTOCOL;
    flowKey[row * KEY_WORDS + WORD_PORTS] = 0;
    flowKey[protocolAt] = (6 << 8) | b.getUint8(o + 6);
    dscp[row] = (b.getUint16(o) >>> 6) & 0x3f;
    ttl[row] = b.getUint8(o + 7);
    packetLengthBytes[row] = 40 + b.getUint16(o + 4);
    flowParts[row] = PART_ADDRESSES;
    at.offset += 40;
    at.protocol = b.getUint8(o + 6);
    for (let extensions = 0; isExtension(at.protocol); extensions++) {
      if (extensions === MAX_IPV6_EXTENSIONS) return at.stop();
      if (end - at.offset < 8) return at.truncate();
      const kind = at.protocol;
      const header = at.offset;
      at.protocol = b.getUint8(header);
      flowKey[protocolAt] = (6 << 8) | at.protocol;
      at.offset += extensionBytes(kind, b.getUint8(header + 1));
      if (at.offset > end) return at.truncate();
      // Behind a later fragment lies the middle of a packet, whatever the next header says.
      if (kind === Protocol.fragment && b.getUint16(header + 2) >>> 3 !== 0) return at.stop();
    }
  }

  function readTransport(b: DataView, end: number, row: number, profile: SourceProfile, lookForInt: boolean): void {
    const { protocol } = at;
    if (protocol !== Protocol.tcp && protocol !== Protocol.udp) return at.stop();
    const o = at.offset;
    if (end - o < 4) return at.truncate();
    const ports = b.getUint32(o);
    flowKey[row * KEY_WORDS + WORD_PORTS] = ports;
    flowParts[row] |= PART_PORTS;
    if (protocol === Protocol.tcp && end - o >= 8) {
      tcpSequence[row] = b.getUint32(o + 4);
      flowParts[row] |= PART_TCP_SEQUENCE;
    }
    const headerBytes = protocol === Protocol.tcp ? 20 : 8;
    if (end - o < headerBytes) return at.truncate();
    at.offset += headerBytes;

    const isAnnounced =
      dscp[row] === profile.intDscp ||
      (profile.intUdpPort !== 0 && protocol === Protocol.udp && (ports & 0xffff) === profile.intUdpPort);
    if (lookForInt && !stack.isInt && isAnnounced && readInt(b, o, end, row, profile)) return;
    // Read again: INT may have put another port in the place of the original one.
    if (protocol === Protocol.udp && isVxlanPort(flowKey[row * KEY_WORDS + WORD_PORTS] & 0xffff)) return readVxlan(b, end, row);
    if (protocol === Protocol.tcp && !stack.isInt && o + (b.getUint8(o + 12) >>> 4) * 4 > end)
      at.warnings |= Warning.innerTruncated;
    at.stop();
  }

  /**
   * Looks for INT-MD behind the L4 header at `l4` and undoes what INT overwrote. Returns true when the original L4 header followed the
   * stack and has been read; false when the walk goes on at the cursor, behind the stack if there was one.
   */
  function readInt(b: DataView, l4: number, end: number, row: number, profile: SourceProfile): boolean {
    // ONOS and GEANT put the shim right behind the 20-octet TCP header even when options follow: look there first.
    let next = decodeIntMd(b, at.offset, end, row, profile);
    if (!stack.isInt && at.protocol === Protocol.tcp) {
      const options = l4 + (b.getUint8(l4 + 12) >>> 4) * 4;
      if (options > at.offset && options < end) next = decodeIntMd(b, options, end, row, profile);
    }
    at.warnings |= stack.warnings;
    if (!stack.isInt) return false;
    const k = row * KEY_WORDS;
    if (stack.nextProtocolType === NextProtocolType.originalDscp) dscp[row] = stack.originalDscp;
    else if (stack.nextProtocolType === NextProtocolType.originalPort) {
      flowKey[k + WORD_PORTS] = ((flowKey[k + WORD_PORTS] & 0xffff0000) | stack.originalPort) >>> 0;
    } else {
      // A UDP header was inserted for INT: the original L4 header, with the real ports, follows the stack.
      flowKey[k + WORD_PROTOCOL] = (flowKey[k + WORD_PROTOCOL] & 0xff00) | stack.originalProtocol;
      flowKey[k + WORD_PORTS] = 0;
      flowParts[row] &= ~(PART_PORTS | PART_TCP_SEQUENCE);
      if (next === 0) at.stop();
      else {
        at.offset = next;
        at.protocol = stack.originalProtocol;
        readTransport(b, end, row, profile, false);
      }
      return true;
    }
    if (next !== 0) at.offset = next;
    return false;
  }

  function readVxlan(b: DataView, end: number, row: number): void {
    if (end - at.offset < 8) return at.truncate();
    if ((b.getUint8(at.offset) & 0x08) === 0) return at.stop();
    flowKey[row * KEY_WORDS + WORD_TUNNEL] = u24(b, at.offset + 4) + 1;
    at.offset += 8;
    // A fragment that ends behind the VXLAN header shows nodes only: their flow stays, and the cut is said.
    if (at.offset >= end) return at.truncate();
    at.layer = InnerType.ethernet;
  }

  return decodeInnerPacket;
}

/** True for an Ethernet frame with a sane EtherType and IP version: what some programs send where they announce IP. */
export function looksLikeEthernet(b: DataView, o: number, end: number): boolean {
  for (let type = o + 12, tags = 0; tags <= MAX_VLAN_TAGS && end - type >= 3; type += 4, tags++) {
    const etherType = b.getUint16(type);
    if (etherType === EtherType.ipv4) return b.getUint8(type + 2) >>> 4 === 4;
    if (etherType === EtherType.ipv6) return b.getUint8(type + 2) >>> 4 === 6;
    if (!isVlanTag(etherType)) return false;
  }
  return false;
}

function isVlanTag(etherType: number): boolean {
  return etherType === EtherType.vlan || etherType === EtherType.provider || etherType === EtherType.oldProvider;
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

/** IANA 4789, Linux and Flannel and Cilium 8472, Weave 6784. */
function isVxlanPort(port: number): boolean {
  return port === 4789 || port === 8472 || port === 6784;
}
