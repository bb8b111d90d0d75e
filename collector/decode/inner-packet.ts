// The truncated packet inside a report: Ethernet, VLAN, MPLS, IPv4, IPv6, TCP, UDP, SCTP, ICMP; VXLAN, VXLAN-GPE, Geneve, GRE, IP in IP; and an
// INT-MD stack behind L4.
// It keeps the innermost IP flow, because that is the pod's (an overlay's outer addresses are only nodes).
//
//   link ─▶ network ─▶ transport ─▶ (INT-MD ─▶ original port, DSCP or protocol) ─▶ (tunnel ─▶ link or network ...)
//
// Rule: a fragment may stop anywhere. What is whole is kept, the rest is W_INNER_TRUNCATED; nothing here refuses a report.

import { FLOW_WORDS, FlowPart, FlowWord, TunnelKind, type HopBatch } from '../hop.ts';
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
const MAX_MPLS_LABELS = 8;
const EtherType = {
  ipv4: 0x0800,
  ipv6: 0x86dd,
  vlan: 0x8100,
  provider: 0x88a8,
  oldProvider: 0x9100,
  mpls: 0x8847,
  mplsMulticast: 0x8848,
  /** Transparent Ethernet bridging: an Ethernet frame inside GRE or Geneve. */
  ethernet: 0x6558,
} as const;
const Protocol = {
  hopByHop: 0,
  icmp: 1,
  ipv4: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  gre: 47,
  authentication: 51,
  icmpv6: 58,
  options: 60,
  sctp: 132,
} as const;

const VXLAN_GPE_PORT = 4790;
const GENEVE_PORT = 6081;
/** EtherTypes by Next Protocol of VXLAN-GPE: 1 IPv4, 2 IPv6, 3 Ethernet. */
const GPE_PAYLOADS = [0, EtherType.ipv4, EtherType.ipv6, EtherType.ethernet] as const;
const GPE_ETHERNET = 3;
const { geneve: TUNNEL_GENEVE, gre: TUNNEL_GRE, vxlan: TUNNEL_VXLAN } = TunnelKind;
const TUNNEL_SHIFT = 16;
const TUNNEL_BITS = 0xff0000;

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
      if (at.protocol === Protocol.tcp || at.protocol === Protocol.udp) readTransport(b, end, row, profile, lookForInt);
      else if (at.protocol >= 0) readOther(b, end, row);
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
    if (etherType === EtherType.mpls || etherType === EtherType.mplsMulticast) return readMpls(b, end);
    at.layer = networkLayerOf(etherType);
  }

  /** Labels say nothing of what they carry: the version nibble behind the last one does, if it is IP. */
  function readMpls(b: DataView, end: number): void {
    for (let labels = 0; labels < MAX_MPLS_LABELS; labels++) {
      if (end - at.offset < 4) return at.truncate();
      const isLast = (b.getUint8(at.offset + 2) & 1) !== 0;
      at.offset += 4;
      if (!isLast) continue;
      if (at.offset >= end) return at.truncate();
      const version = b.getUint8(at.offset) >>> 4;
      at.layer = version === 4 ? InnerType.ipv4 : version === 6 ? InnerType.ipv6 : InnerType.none;
      return;
    }
    at.stop();
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
    flowKey[k + WORD_PROTOCOL] = (flowKey[k + WORD_PROTOCOL] & TUNNEL_BITS) | (4 << 8) | protocol;
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
    const familyBits = (flowKey[protocolAt] & TUNNEL_BITS) | (6 << 8);
    flowKey[protocolAt] = familyBits | b.getUint8(o + 6);
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
      flowKey[protocolAt] = familyBits | at.protocol;
      at.offset += extensionBytes(kind, b.getUint8(header + 1));
      if (at.offset > end) return at.truncate();
      // Behind a later fragment lies the middle of a packet, whatever the next header says.
      if (kind === Protocol.fragment && b.getUint16(header + 2) >>> 3 !== 0) return at.stop();
    }
  }

  function readTransport(b: DataView, end: number, row: number, profile: SourceProfile, lookForInt: boolean): void {
    const { protocol } = at;
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
    if (protocol === Protocol.udp && readUdpTunnel(b, end, row, flowKey[row * KEY_WORDS + WORD_PORTS] & 0xffff)) return;
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
      flowKey[k + WORD_PROTOCOL] = (flowKey[k + WORD_PROTOCOL] & ~0xff) | stack.originalProtocol;
      flowKey[k + WORD_PORTS] = 0;
      flowParts[row] &= ~(PART_PORTS | PART_TCP_SEQUENCE);
      if (next === 0) at.stop();
      else {
        at.offset = next;
        at.protocol = stack.originalProtocol;
        if (at.protocol === Protocol.tcp || at.protocol === Protocol.udp) readTransport(b, end, row, profile, false);
        else readOther(b, end, row);
      }
      return true;
    }
    if (next !== 0) at.offset = next;
    return false;
  }

  /** Protocols beside TCP and UDP: what carries a packet is opened, what has ports shows them. */
  function readOther(b: DataView, end: number, row: number): void {
    const { protocol } = at;
    if (protocol === Protocol.ipv4) at.layer = InnerType.ipv4;
    else if (protocol === Protocol.ipv6) at.layer = InnerType.ipv6;
    else if (protocol === Protocol.gre) readGre(b, end, row);
    else if (protocol === Protocol.sctp) {
      if (end - at.offset < 4) return at.truncate();
      flowKey[row * KEY_WORDS + WORD_PORTS] = b.getUint32(at.offset);
      flowParts[row] |= PART_PORTS;
      at.stop();
    } else if ((protocol === Protocol.icmp || protocol === Protocol.icmpv6) && end - at.offset < 8) at.truncate();
    else at.stop();
  }

  /** RFC 2784 and 2890: checksum, key and sequence number are there when their flags say so. */
  function readGre(b: DataView, end: number, row: number): void {
    const o = at.offset;
    if (end - o < 4) return at.truncate();
    const flags = b.getUint16(o);
    if ((flags & 7) !== 0) return at.stop();
    const keyAt = o + ((flags & 0x8000) !== 0 ? 8 : 4);
    const hasKey = (flags & 0x2000) !== 0;
    const next = keyAt + (hasKey ? 4 : 0) + ((flags & 0x1000) !== 0 ? 4 : 0);
    if (next > end) return at.truncate();
    if (hasKey) enterTunnel(row, TUNNEL_GRE, b.getUint32(keyAt));
    at.offset = next;
    openPayload(b.getUint16(o + 2), end);
  }

  /** True when a tunnel is known by this UDP port: the walk goes on inside it, or has ended. */
  function readUdpTunnel(b: DataView, end: number, row: number, port: number): boolean {
    if (isVxlanPort(port)) readVxlan(b, end, row);
    else if (port === VXLAN_GPE_PORT) readVxlanGpe(b, end, row);
    else if (port === GENEVE_PORT) readGeneve(b, end, row);
    else return false;
    return true;
  }

  function readVxlan(b: DataView, end: number, row: number): void {
    if (end - at.offset < 8) return at.truncate();
    if ((b.getUint8(at.offset) & 0x08) === 0) return at.stop();
    enterTunnel(row, TUNNEL_VXLAN, u24(b, at.offset + 4));
    at.offset += 8;
    openPayload(EtherType.ethernet, end);
  }

  /** draft-ietf-nvo3-vxlan-gpe: the fourth octet says what follows, when the P flag is set. */
  function readVxlanGpe(b: DataView, end: number, row: number): void {
    if (end - at.offset < 8) return at.truncate();
    const flags = b.getUint8(at.offset);
    if ((flags & 0x08) === 0) return at.stop();
    const next = (flags & 0x04) !== 0 ? b.getUint8(at.offset + 3) : GPE_ETHERNET;
    enterTunnel(row, TUNNEL_VXLAN, u24(b, at.offset + 4));
    at.offset += 8;
    openPayload(next < GPE_PAYLOADS.length ? GPE_PAYLOADS[next] : 0, end);
  }

  /** RFC 8926: up to 252 octets of options stand between the header and what it carries. */
  function readGeneve(b: DataView, end: number, row: number): void {
    const o = at.offset;
    if (end - o < 8) return at.truncate();
    if (b.getUint8(o) >>> 6 !== 0) return at.stop();
    const next = o + 8 + (b.getUint8(o) & 0x3f) * 4;
    enterTunnel(row, TUNNEL_GENEVE, u24(b, o + 4));
    at.offset = next;
    openPayload(b.getUint16(o + 2), end);
  }

  function enterTunnel(row: number, kind: number, id: number): void {
    const k = row * KEY_WORDS;
    flowKey[k + WORD_TUNNEL] = id;
    flowKey[k + WORD_PROTOCOL] = (flowKey[k + WORD_PROTOCOL] & 0xffff) | (kind << TUNNEL_SHIFT);
  }

  /** What a tunnel carries, by its EtherType. A fragment that ends here shows nodes only: their flow stays, and the cut is said. */
  function openPayload(etherType: number, end: number): void {
    if (at.offset >= end) return at.truncate();
    at.layer = etherType === EtherType.ethernet ? InnerType.ethernet : networkLayerOf(etherType);
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

function networkLayerOf(etherType: number): number {
  if (etherType === EtherType.ipv4) return InnerType.ipv4;
  return etherType === EtherType.ipv6 ? InnerType.ipv6 : InnerType.none;
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
