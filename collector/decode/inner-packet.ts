// The truncated packet inside a report: Ethernet, VLAN, MPLS, IPv4, IPv6, TCP, UDP, SCTP, ICMP, tunnels several levels deep; and in-band telemetry
// on the way: INT behind L4, IOAM in IPv6 options, IFA behind IP.
// It keeps the innermost IP flow, because that is the pod's (an overlay's outer addresses are only nodes), and the outermost packet beside it.
//
//   link ─▶ network ─▶ transport ─▶ (INT ─▶ original port, DSCP or protocol) ─▶ (tunnel ─▶ link or network ...)
//
// Rule: a fragment may stop anywhere. What is whole is kept, the rest is W_INNER_TRUNCATED; nothing here refuses a report.

import { FLOW_WORDS, FlowPart, FlowWord, OUTER_WORDS } from '../flow-key.ts';
import type { HopBatch } from '../hop.ts';
import { InnerType, isVlanTag, MAX_VLAN_TAGS, MPLS_LAYER, networkLayerOf, Protocol, type Cursor } from './cursor.ts';
import { Overwritten, type InbandStack } from './inband-stack.ts';
import { IFA_HEADER_BYTES, type DecodeIfa } from './ifa.ts';
import type { IntMd } from './int-md.ts';
import type { ReadIoamOptions } from './ioam.ts';
import type { SourceProfile } from './profile.ts';
import { Warning } from './reason.ts';
import { TUNNEL_BITS, type Tunnels } from './tunnel.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const KEY_WORDS = FLOW_WORDS;
const OUTER_KEY_WORDS = OUTER_WORDS;
const { addresses: PART_ADDRESSES, ports: PART_PORTS, tcpSequence: PART_TCP_SEQUENCE } = FlowPart;
const { ports: WORD_PORTS, protocol: WORD_PROTOCOL } = FlowWord;

/** Network layers that are opened, the first included. */
const MAX_ENCAPSULATIONS = 4;
const MAX_IPV6_EXTENSIONS = 8;
const MAX_MPLS_LABELS = 8;

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

/** The readers that the walk hands over to. */
export interface InnerLayers {
  int: IntMd;
  tunnels: Tunnels;
  readIoamOptions: ReadIoamOptions;
  decodeIfa: DecodeIfa;
}

/** The decoder over a batch and over the cursor that its readers share; `stack` is where they describe what they found. */
export function innerPacketOver(batch: HopBatch, at: Cursor, stack: InbandStack, layers: InnerLayers): DecodeInnerPacket {
  const { flowParts, flowKey, vlanId, ttl, dscp, ecn, ipIdentification, packetLengthBytes, tcpSequence, tcpAcknowledgment } =
    batch.reports;
  const { outerParts, outerKey, outerDscp, outerTtl } = batch.reports;
  const { decodeIfa, readIoamOptions } = layers;
  const { decodeIntMd } = layers.int;
  const { readGre, readUdpTunnel } = layers.tunnels;

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
    at.lookForInt = lookForInt;
    at.profile = profile;
    for (let depth = 0; depth <= MAX_ENCAPSULATIONS && at.layer !== InnerType.none; depth++) {
      at.protocol = -1;
      if (depth === 1) keepOuter(row);
      if (at.layer === InnerType.ethernet) readLink(b, end, row);
      if (at.layer === MPLS_LAYER) readMpls(b, end);
      if (at.layer === InnerType.ipv4) readIpv4(b, end, row);
      else if (at.layer === InnerType.ipv6) readIpv6(b, end, row);
      at.layer = InnerType.none;
      if (at.protocol === Protocol.tcp || at.protocol === Protocol.udp) readTransport(b, end, row, profile, lookForInt);
      else if (at.protocol >= 0) readOther(b, end, row);
    }
    return at.warnings;
  }

  /** A tunnel begins: what was read so far is the outermost packet. */
  function keepOuter(row: number): void {
    outerParts[row] = flowParts[row];
    for (let word = 0; word < OUTER_KEY_WORDS; word++) outerKey[row * OUTER_KEY_WORDS + word] = flowKey[row * KEY_WORDS + word];
    outerKey[row * OUTER_KEY_WORDS + WORD_PROTOCOL] &= ~TUNNEL_BITS;
    outerDscp[row] = dscp[row];
    outerTtl[row] = ttl[row];
  }

  function readLink(b: DataView, end: number, row: number): void {
    if (end - at.offset < 14) return at.truncate();
    let etherType = b.getUint16(at.offset + 12);
    at.offset += 14;
    for (let tags = 0; isVlanTag(etherType); tags++) {
      if (tags === MAX_VLAN_TAGS) return at.stop();
      if (end - at.offset < 4) return at.truncate();
      if (tags === 0 && vlanId[row] === 0 && flowParts[row] === 0) vlanId[row] = b.getUint16(at.offset) & 0xfff;
      etherType = b.getUint16(at.offset + 2);
      at.offset += 4;
    }
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
    ecn[row] = (first >>> 16) & 3;
    const second = b.getUint32(o + 4);
    ipIdentification[row] = second >>> 16;
    ttl[row] = third >>> 24;
    packetLengthBytes[row] = totalLength;
    flowParts[row] = PART_ADDRESSES;
    at.offset += headerLength;
    if (at.offset > end) return at.truncate();
    const isLaterFragment = (second & 0x1fff) !== 0;
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
    ecn[row] = (b.getUint16(o) >>> 4) & 3;
    ipIdentification[row] = 0;
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
      const hasOptions = kind === Protocol.hopByHop || kind === Protocol.options;
      if (hasOptions && at.lookForInt && !stack.isInt) readIoamOptions(b, header + 2, Math.min(at.offset, end), row);
      if (at.offset > end) return at.truncate();
      // Behind a later fragment lies the middle of a packet, whatever the next header says.
      if (kind === Protocol.fragment && b.getUint16(header + 2) >>> 3 !== 0) return at.stop();
    }
  }

  function readTransport(b: DataView, end: number, row: number, profile: SourceProfile, lookForInt: boolean): void {
    const { protocol } = at;
    const o = at.offset;
    if (!readPorts(b, end, row)) return;
    const ports = flowKey[row * KEY_WORDS + WORD_PORTS];
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

  /** Ports and TCP sequence at the cursor, which then stands behind the L4 header without its options; false: it is cut. */
  function readPorts(b: DataView, end: number, row: number): boolean {
    const o = at.offset;
    const isTcp = at.protocol === Protocol.tcp;
    if (end - o >= 4) {
      flowKey[row * KEY_WORDS + WORD_PORTS] = b.getUint32(o);
      flowParts[row] |= PART_PORTS;
    }
    if (isTcp && end - o >= 8) {
      tcpSequence[row] = b.getUint32(o + 4);
      flowParts[row] |= PART_TCP_SEQUENCE;
      tcpAcknowledgment[row] = end - o >= 12 ? b.getUint32(o + 8) : 0;
    }
    const headerBytes = isTcp ? 20 : 8;
    if (end - o < headerBytes) {
      at.truncate();
      return false;
    }
    at.offset += headerBytes;
    return true;
  }

  /**
   * Looks for INT-MD behind the L4 header at `l4` and undoes what INT overwrote. Returns true when the original L4 header followed the
   * stack and has been read; false when the walk goes on at the cursor, behind the stack if there was one.
   */
  function readInt(b: DataView, l4: number, end: number, row: number, profile: SourceProfile): boolean {
    // ONOS and GEANT put the shim right behind the 20-octet TCP header even when options follow: look there first.
    let next = decodeIntMd(b, at.offset, end, row, profile);
    if (next === 0 && at.protocol === Protocol.tcp) {
      const options = l4 + (b.getUint8(l4 + 12) >>> 4) * 4;
      if (options > at.offset && options < end) {
        next = decodeIntMd(b, options, end, row, profile);
        // Neither place has a stack: what the first one is at fault for stands.
        if (next === 0 && !stack.isInt) decodeIntMd(b, at.offset, end, row, profile);
      }
    }
    at.warnings |= stack.warnings;
    if (!stack.isInt) return false;
    const { overwritten } = stack;
    if (overwritten === Overwritten.protocol) {
      // A UDP header was inserted for INT: the original L4 header, with the real ports, follows the stack.
      restoreProtocol(row);
      flowKey[row * KEY_WORDS + WORD_PORTS] = 0;
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
    if (overwritten === Overwritten.dscp || overwritten === Overwritten.v05) dscp[row] = stack.originalDscp;
    if (overwritten === Overwritten.port || (overwritten === Overwritten.v05 && stack.originalPort !== 0)) {
      const k = row * KEY_WORDS + WORD_PORTS;
      flowKey[k] = ((flowKey[k] & 0xffff0000) | stack.originalPort) >>> 0;
    }
    if (next !== 0) at.offset = next;
    return false;
  }

  function restoreProtocol(row: number): void {
    const k = row * KEY_WORDS + WORD_PROTOCOL;
    flowKey[k] = (flowKey[k] & ~0xff) | stack.originalProtocol;
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
    } else if (protocol === at.profile.ifaProtocol && at.lookForInt && !stack.isInt) readIfa(b, end, row);
    else if ((protocol === Protocol.icmp || protocol === Protocol.icmpv6) && end - at.offset < 8) at.truncate();
    else at.stop();
  }

  /** IFA stands between IP and L4, its stack behind L4: the flow is that of the next header. */
  function readIfa(b: DataView, end: number, row: number): void {
    const behindStack = decodeIfa(b, at.offset, end, row, at.profile);
    at.warnings |= stack.warnings;
    if (!stack.isInt) return at.stop();
    restoreProtocol(row);
    at.protocol = stack.originalProtocol;
    at.offset += IFA_HEADER_BYTES;
    if (!readPorts(b, end, row)) return;
    const port = flowKey[row * KEY_WORDS + WORD_PORTS] & 0xffff;
    at.offset = behindStack;
    if (at.protocol !== Protocol.udp || behindStack === 0 || !readUdpTunnel(b, end, row, port)) at.stop();
  }

  return decodeInnerPacket;
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
