// Tunnels: what carries a packet inside a packet is opened, its identifier noted in the flow's key. GRE (RFC 2784, 2890), VXLAN (RFC 7348),
// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe), Geneve (RFC 8926), GTP-U (3GPP TS 29.281, PDU session container TS 38.415); and the shims by
// which INT travels in the first four (INT v2.1 sections 5.5.2 to 5.5.4).
// Rule: the walk goes on at the cursor; a fragment that ends in a tunnel shows nodes only: their flow stays, and the cut is said.

import { FLOW_WORDS, FlowWord, TunnelKind } from '../flow-key.ts';
import type { HopBatch } from '../hop.ts';
import { u24 } from './bytes.ts';
import { EtherType, InnerType, looksLikeEthernet, networkLayerOf, type Cursor } from './cursor.ts';
import type { InbandStack } from './inband-stack.ts';
import { SHIM_TYPE_MD, SHIM_TYPE_MX, type IntMd } from './int-md.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const KEY_WORDS = FLOW_WORDS;
const { protocol: WORD_PROTOCOL, tunnel: WORD_TUNNEL } = FlowWord;
const { geneve: TUNNEL_GENEVE, gre: TUNNEL_GRE, gtpu: TUNNEL_GTPU, vxlan: TUNNEL_VXLAN } = TunnelKind;
const TUNNEL_SHIFT = 16;
const QFI_SHIFT = 24;
/** What an outer tunnel has left in the protocol word of a flow's key. */
export const TUNNEL_BITS = 0xffff_0000;

const VXLAN_GPE_PORT = 4790;
const GENEVE_PORT = 6081;
const GTPU_PORT = 2152;
/** By Next Protocol of VXLAN-GPE: EtherType of what follows. */
const GPE_PAYLOADS = [0, EtherType.ipv4, EtherType.ipv6, EtherType.ethernet] as const;
const GPE_ETHERNET = 3;
/** Next Protocol of INT in VXLAN-GPE: none is registered, the versions of INT name these. VPP has IOAM at 0x05, whose shim has another type. */
const GPE_INT_V05 = 0x05;
const GPE_INT_V10 = 0x08;
const GPE_INT_V20 = 0x80;
const GPE_INT_V21 = 0x82;
const MAX_GPE_SHIMS = 2;
const GENEVE_OPTION_BYTES = 4;
const GTPU_G_PDU = 255;
const GTPU_PDU_SESSION = 0x85;
const MAX_GTPU_EXTENSIONS = 8;

export interface Tunnels {
  /** GRE at the cursor. */
  readonly readGre: (b: DataView, end: number, row: number) => void;
  /** True when a tunnel is known by this UDP port: the walk goes on inside it, or has ended. */
  readonly readUdpTunnel: (b: DataView, end: number, row: number, port: number) => boolean;
}

/** The readers over a batch, and over the cursor of the walk that they are steps of. */
export function tunnelsOver(
  batch: HopBatch,
  at: Cursor,
  stack: InbandStack,
  { decodeIntHeader, decodeOlderInTunnel }: IntMd,
): Tunnels {
  const { flowKey } = batch.reports;

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
    const payload = b.getUint16(o + 2);
    const { intGreProtocol } = at.profile;
    if (intGreProtocol !== 0 && payload === intGreProtocol) return readGreInt(b, end, row);
    openPayload(payload, end);
  }

  /** The shim of INT over GRE: type, length without the shim in the second octet, EtherType of what follows the stack. */
  function readGreInt(b: DataView, end: number, row: number): void {
    const o = at.offset;
    if (end - o < 4) return at.truncate();
    if (!readInt(b, o, end, row)) return at.stop();
    openPayload(b.getUint16(o + 2), end);
  }

  /** INT behind a four-octet shim at `o` whose second octet is the length: the cursor then stands behind it. False: it cannot be passed. */
  function readInt(b: DataView, o: number, end: number, row: number): boolean {
    const type = b.getUint8(o) >>> 4;
    if (type !== SHIM_TYPE_MD && type !== SHIM_TYPE_MX) return false;
    const bytes = b.getUint8(o + 1) * 4;
    if (at.lookForInt && !stack.isInt) {
      decodeIntHeader(b, o + 4, end, bytes, type === SHIM_TYPE_MX, row, at.profile);
      at.warnings |= stack.warnings;
    }
    at.offset = o + 4 + bytes;
    return true;
  }

  /** The same up to v1.0: the type is the first octet, the length the third, and it counts the shim. */
  function readOlderInt(b: DataView, o: number, end: number, row: number): boolean {
    const bytes = b.getUint8(o + 2) * 4;
    if (b.getUint8(o) !== SHIM_TYPE_MD || bytes === 0) return false;
    if (at.lookForInt && !stack.isInt) {
      decodeOlderInTunnel(b, o, end, row, at.profile);
      at.warnings |= stack.warnings;
    }
    at.offset = o + bytes;
    return true;
  }

  function readUdpTunnel(b: DataView, end: number, row: number, port: number): boolean {
    if (isVxlanPort(port)) readVxlan(b, end, row);
    else if (port === VXLAN_GPE_PORT) readVxlanGpe(b, end, row);
    else if (port === GENEVE_PORT) readGeneve(b, end, row);
    else if (port === GTPU_PORT) readGtpu(b, end, row);
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

  /** The fourth octet says what follows, when the P flag is set; shims may stand between. */
  function readVxlanGpe(b: DataView, end: number, row: number): void {
    if (end - at.offset < 8) return at.truncate();
    const flags = b.getUint8(at.offset);
    if ((flags & 0x08) === 0) return at.stop();
    let next = (flags & 0x04) !== 0 ? b.getUint8(at.offset + 3) : GPE_ETHERNET;
    enterTunnel(row, TUNNEL_VXLAN, u24(b, at.offset + 4));
    at.offset += 8;
    for (let shims = 0; isGpeInt(next); shims++) {
      if (shims === MAX_GPE_SHIMS) return at.stop();
      const o = at.offset;
      if (end - o < 4) return at.truncate();
      const isOlder = next === GPE_INT_V05 || next === GPE_INT_V10;
      next = b.getUint8(o + 3);
      const isPassed = isOlder ? readOlderInt(b, o, end, row) : readInt(b, o, end, row);
      if (!isPassed) return at.stop();
    }
    openPayload(next < GPE_PAYLOADS.length ? GPE_PAYLOADS[next] : 0, end);
  }

  /** Up to 252 octets of options stand between the header and what it carries. */
  function readGeneve(b: DataView, end: number, row: number): void {
    const o = at.offset;
    if (end - o < 8) return at.truncate();
    if (b.getUint8(o) >>> 6 !== 0) return at.stop();
    const next = o + 8 + (b.getUint8(o) & 0x3f) * 4;
    enterTunnel(row, TUNNEL_GENEVE, u24(b, o + 4));
    if (at.lookForInt && at.profile.intGeneveClass !== 0) readGeneveOptions(b, o + 8, Math.min(next, end), row);
    at.offset = next;
    openPayload(b.getUint16(o + 2), end);
  }

  /** INT as a Geneve option: its type is that of the shim, its length counts without the option's own header. */
  function readGeneveOptions(b: DataView, o: number, end: number, row: number): void {
    while (end - o >= GENEVE_OPTION_BYTES) {
      const bytes = (b.getUint8(o + 3) & 0x1f) * 4;
      const type = b.getUint8(o + 2);
      const isInt = b.getUint16(o) === at.profile.intGeneveClass && (type === SHIM_TYPE_MD || type === SHIM_TYPE_MX);
      if (isInt && !stack.isInt) {
        decodeIntHeader(b, o + GENEVE_OPTION_BYTES, end, bytes, type === SHIM_TYPE_MX, row, at.profile);
        at.warnings |= stack.warnings;
      }
      o += GENEVE_OPTION_BYTES + bytes;
    }
  }

  /** Only G-PDUs carry packets. What they carry is not named: the version nibble tells, or Ethernet shows itself. */
  function readGtpu(b: DataView, end: number, row: number): void {
    const o = at.offset;
    if (end - o < 8) return at.truncate();
    const flags = b.getUint8(o);
    if ((flags & 0xf0) !== 0x30 || b.getUint8(o + 1) !== GTPU_G_PDU) return at.stop();
    enterTunnel(row, TUNNEL_GTPU, b.getUint32(o + 4));
    at.offset = o + 8;
    // Sequence number, N-PDU number and extension type are there together when any of their flags is set.
    if ((flags & 0x07) !== 0) {
      if (end - at.offset < 4) return at.truncate();
      const extension = (flags & 0x04) !== 0 ? b.getUint8(at.offset + 3) : 0;
      at.offset += 4;
      if (extension !== 0 && !readGtpuExtensions(b, end, row, extension)) return;
    }
    if (at.offset >= end) return at.truncate();
    const version = b.getUint8(at.offset) >>> 4;
    if (version === 4) at.layer = InnerType.ipv4;
    else if (version === 6) at.layer = InnerType.ipv6;
    else if (looksLikeEthernet(b, at.offset, end)) at.layer = InnerType.ethernet;
    else at.stop();
  }

  /** True when the cursor stands behind the last extension header; each counts itself in units of four octets. */
  function readGtpuExtensions(b: DataView, end: number, row: number, first: number): boolean {
    let type = first;
    for (let extensions = 0; type !== 0; extensions++) {
      if (end - at.offset < 4) {
        at.truncate();
        return false;
      }
      const bytes = b.getUint8(at.offset) * 4;
      if (bytes === 0 || extensions === MAX_GTPU_EXTENSIONS) {
        at.stop();
        return false;
      }
      if (type === GTPU_PDU_SESSION) noteQfi(row, b.getUint8(at.offset + 2) & 0x3f);
      if (end - at.offset < bytes) {
        at.truncate();
        return false;
      }
      type = b.getUint8(at.offset + bytes - 1);
      at.offset += bytes;
    }
    return true;
  }

  function enterTunnel(row: number, kind: number, id: number): void {
    const k = row * KEY_WORDS;
    flowKey[k + WORD_TUNNEL] = id;
    flowKey[k + WORD_PROTOCOL] = (flowKey[k + WORD_PROTOCOL] & ~TUNNEL_BITS) | (kind << TUNNEL_SHIFT);
  }

  function noteQfi(row: number, qfi: number): void {
    flowKey[row * KEY_WORDS + WORD_PROTOCOL] |= (qfi + 1) << QFI_SHIFT;
  }

  /** What a tunnel carries, by its EtherType. */
  function openPayload(etherType: number, end: number): void {
    if (at.offset >= end) return at.truncate();
    at.layer = etherType === EtherType.ethernet ? InnerType.ethernet : networkLayerOf(etherType);
  }

  return { readGre, readUdpTunnel };
}

function isGpeInt(next: number): boolean {
  return next === GPE_INT_V21 || next === GPE_INT_V20 || next === GPE_INT_V10 || next === GPE_INT_V05;
}

/** IANA 4789, Linux and Flannel and Cilium 8472, Weave 6784. */
function isVxlanPort(port: number): boolean {
  return port === 4789 || port === 8472 || port === 6784;
}
